/* Operators whose usual cases have loops of their own, against their definitions, where the operator tests of onnx have no case. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { model, node, tensor, tensorType } from './onnx.mjs';

const numbers = (length, seed = 1) => Float32Array.from({ length }, (_, i) => (((i + 1) * 7919 * seed) % 2003) / 1001 - 1);
const size = (dims) => dims.reduce((a, b) => a * b, 1);

/** The outputs of one operator, of these types or (null) left out. `feeds` are tensors in the order of its inputs. */
async function run(op, feeds, attributes = {}, { outputs = [feeds[0].type], opset = 21, domain = '' } = {}) {
  const names = feeds.map((feed, i) => (feed ? `x${i}` : ''));
  const results = outputs.map((type, i) => (type ? `y${i}` : ''));
  const bytes = model({
    opset,
    nodes: [node(op, names, results, { domain, ...attributes })],
    inputs: Object.fromEntries(feeds.flatMap((feed, i) => (feed ? [[names[i], tensorType(feed.type, feed.dims)]] : []))),
    outputs: Object.fromEntries(results.flatMap((name, i) => (name ? [[name, tensorType(outputs[i])]] : []))),
  });
  const session = await InferenceSession.create(bytes);
  const found = await session.run(Object.fromEntries(feeds.flatMap((feed, i) => (feed ? [[names[i], feed]] : []))));
  await session.release();
  return results.map((name) => found[name] ?? null);
}

function assertNear(found, wanted, tolerance = 1e-5) {
  assert.equal(found.length, wanted.length);
  for (const [i, value] of wanted.entries()) {
    assert.ok(Math.abs(found[i] - value) <= tolerance * Math.max(1, Math.abs(value)), `element ${i}: found ${found[i]}, wanted ${value}`);
  }
}

test('a depthwise convolution of three dimensions', async () => {
  const [filters, group] = [6, 3];
  const [input, kernel, strides, pads, dilations] = [[5, 6, 7], [3, 2, 3], [2, 1, 1], [1, 0, 2, 2, 1, 0], [1, 2, 1]];
  const out = input.map((length, d) => Math.floor((length + pads[d] + pads[d + 3] - (kernel[d] - 1) * dilations[d] - 1) / strides[d]) + 1);
  const [x, w, b] = [numbers(2 * group * size(input)), numbers(filters * size(kernel), 3), numbers(filters, 5)];
  const wanted = [];
  for (let n = 0; n < 2; n++)
    for (let f = 0; f < filters; f++)
      for (let at = 0; at < size(out); at++) {
        const place = [Math.floor(at / (out[1] * out[2])), Math.floor(at / out[2]) % out[1], at % out[2]];
        let sum = b[f];
        for (let t = 0; t < size(kernel); t++) {
          const tap = [Math.floor(t / (kernel[1] * kernel[2])), Math.floor(t / kernel[2]) % kernel[1], t % kernel[2]];
          const [z, y, c] = tap.map((k, d) => place[d] * strides[d] - pads[d] + k * dilations[d]);
          if (z < 0 || y < 0 || c < 0 || z >= input[0] || y >= input[1] || c >= input[2]) continue;
          const channel = n * group + Math.floor(f / (filters / group));
          sum += w[f * size(kernel) + t] * x[((channel * input[0] + z) * input[1] + y) * input[2] + c];
        }
        wanted.push(sum);
      }
  const feeds = [new Tensor('float32', x, [2, group, ...input]), new Tensor('float32', w, [filters, 1, ...kernel]), new Tensor('float32', b, [filters])];
  const [y] = await run('Conv', feeds, { group, strides, pads, dilations });
  assert.deepEqual(y.dims, [2, filters, ...out]);
  assertNear(y.data, wanted);
});

test('signals in frames, and rows in bands, by their filters', async () => {
  for (const [channels, group, filters, width, taps, stride, pads] of [
    [1, 1, 6, 40, 9, 4, [0, 0]], [2, 2, 12, 40, 16, 8, [0, 0]], [1, 1, 5, 300, 200, 50, [0, 0]],
    [3, 1, 6, 41, 5, 2, [2, 2]], [6, 2, 10, 23, 3, 1, [0, 1]], [2, 1, 4, 16, 3, 2, [1, 0]],
  ]) {
    const each = channels / group;
    const out = Math.floor((width + pads[0] + pads[1] - taps) / stride) + 1;
    const [x, w, b] = [numbers(2 * channels * width), numbers(filters * each * taps, 3), numbers(filters, 5)];
    const wanted = [];
    for (let n = 0; n < 2; n++)
      for (let f = 0; f < filters; f++)
        for (let at = 0; at < out; at++) {
          let sum = b[f];
          for (let c = 0; c < each; c++)
            for (let t = 0; t < taps; t++) {
              const place = at * stride - pads[0] + t;
              const channel = n * channels + Math.floor(f / (filters / group)) * each + c;
              if (place >= 0 && place < width) sum += w[(f * each + c) * taps + t] * x[channel * width + place];
            }
          wanted.push(sum);
        }
    for (const flat of [true, false]) {
      const shape = (...dims) => (flat ? dims : [...dims.slice(0, 2), 1, dims[2]]);
      const feeds = [
        new Tensor('float32', x, shape(2, channels, width)), new Tensor('float32', w, shape(filters, each, taps)),
        new Tensor('float32', b, [filters]),
      ];
      const settings = flat ? { strides: [stride], pads } : { strides: [1, stride], pads: [0, pads[0], 0, pads[1]] };
      const [y] = await run('Conv', feeds, { group, ...settings });
      assertNear(y.data, wanted);
    }
  }
});

test('Einsum of one operand without a sum', async () => {
  const x = new Tensor('float32', numbers(24), [2, 3, 4]);
  const [turned] = await run('Einsum', [x], { equation: 'abc->cab' });
  assert.deepEqual(turned.dims, [4, 2, 3]);
  assert.deepEqual([...turned.data], Array.from({ length: 24 }, (_, i) => x.data[(i % 6) * 4 + Math.floor(i / 6)]));
  const square = new Tensor('int64', BigInt64Array.from({ length: 9 }, (_, i) => BigInt(i)), [3, 3]);
  const [diagonal] = await run('Einsum', [square], { equation: 'ii->i' });
  assert.deepEqual([...diagonal.data], [0n, 4n, 8n]);
});

test('MaxPool of bytes', async () => {
  for (const [type, array] of [['int8', Int8Array], ['uint8', Uint8Array]]) {
    const x = array.from({ length: 36 }, (_, i) => i * 37);
    const [y] = await run('MaxPool', [new Tensor(type, x, [1, 1, 6, 6])], { kernel_shape: [2, 2], strides: [2, 2] });
    const wanted = Array.from({ length: 9 }, (_, i) => Math.floor(i / 3) * 12 + (i % 3) * 2).map((p) => Math.max(x[p], x[p + 1], x[p + 6], x[p + 7]));
    assert.deepEqual([...y.data], wanted);
  }
});

test('a pooling window larger than the input: with ceil_mode the only one may reach beyond it, else there is none', async () => {
  const x = new Tensor('float32', [1, 2, 3, 4], [1, 1, 2, 2]);
  const window = { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 };
  for (const [op, wanted, attributes] of [
    ['MaxPool', 4, {}],
    ['AveragePool', 2.5, {}],
    ['LpPool', 10, { p: 1 }],
    ['MaxPool', 1, { kernel_shape: [2, 2], dilations: [2, 2] }],
  ]) {
    const [y] = await run(op, [x], { ...window, ...attributes }, { opset: 22 });
    assert.deepEqual(y.dims, [1, 1, 1, 1], op);
    assert.deepEqual([...y.data], [wanted], op);
  }
  const [empty] = await run('MaxPool', [x], { kernel_shape: [3, 1] });
  assert.deepEqual(empty.dims, [1, 1, 0, 2]);
  await assert.rejects(run('MaxPool', [x], { kernel_shape: [3, 1], strides: [2, 1] }), /the window of 3 is larger than the padded input of 2/);
  await assert.rejects(run('MaxPool', [x], { kernel_shape: [4, 1] }), /the window of 4 is larger than the padded input of 2/);
});

test('quantizing to 16 bits, and by rows of scales', async () => {
  const x = new Tensor('float32', [0.25, -0.75, 1e9, -1e9, NaN, 1.5], [2, 3]);
  const [one] = await run('QuantizeLinear', [x, new Tensor('float32', [0.5], []), new Tensor('int16', [10], [])], {}, { outputs: ['int16'] });
  assert.deepEqual([...one.data], [10, 8, 32767, -32768, -32768, 13]);
  const scales = new Tensor('float32', [0.5, 0.25, 1], [3]);
  const zeros = new Tensor('uint8', [0, 5, 7], [3]);
  const [rows] = await run('QuantizeLinear', [x, scales, zeros], { axis: 1 }, { outputs: ['uint8'] });
  assert.deepEqual([...rows.data], [0, 2, 255, 0, 0, 9]);
  const [back] = await run('DequantizeLinear', [new Tensor('uint16', [1, 65535, 3, 10, 20, 30], [2, 3]), scales], { axis: 1 }, { outputs: ['float32'] });
  assert.deepEqual([...back.data], [0.5, 16383.75, 3, 5, 5, 30]);
});

test('LpNormalization of what has squares beyond floats', async () => {
  for (const scale of [1e30, 1, 1e-30]) {
    const x = new Tensor('float32', [3 * scale, -4 * scale], [1, 2]);
    assertNear((await run('LpNormalization', [x], { p: 2 }))[0].data, [0.6, -0.8], 1e-6);
    assertNear((await run('LpNormalization', [x], { p: 1 }))[0].data, [3 / 7, -4 / 7], 1e-6);
  }
  assert.deepEqual([...(await run('LpNormalization', [new Tensor('float32', [0, 0], [1, 2])]))[0].data], [0, 0]);
});

test('LRN with the usual and with another power', async () => {
  const x = numbers(7 * 300);
  for (const beta of [0.75, 0.6]) {
    const attributes = { size: 4, alpha: { float: 0.5 }, beta: { float: beta }, bias: { float: 2 } };
    const [y] = await run('LRN', [new Tensor('float32', x, [1, 7, 300, 1])], attributes);
    const wanted = Array.from(x, (value, i) => {
      const [c, at] = [Math.floor(i / 300), i % 300];
      let sum = 0;
      for (let j = Math.max(0, c - 1); j <= Math.min(6, c + 2); j++) sum += x[j * 300 + at] ** 2;
      return value / (2 + (0.5 / 4) * sum) ** Math.fround(beta);
    });
    assertNear(y.data, wanted, 1e-6);
  }
});

test('ScatterElements that adds', async () => {
  const indices = new Tensor('int64', BigInt64Array.from([0n, 1n, 0n, 0n]), [2, 2]);
  const feeds = [new Tensor('float32', [1, 2, 3, 4], [2, 2]), indices, new Tensor('float32', [10, 20, 30, 40], [2, 2])];
  assert.deepEqual([...(await run('ScatterElements', feeds, { axis: 0, reduction: 'add' }))[0].data], [41, 42, 3, 24]);
  assert.deepEqual([...(await run('ScatterElements', feeds, { axis: 0, reduction: 'max' }))[0].data], [30, 40, 3, 20]);
});

test('Col2Im adds what overlaps', async () => {
  const feeds = [new Tensor('float32', numbers(2 * 4 * 9), [1, 8, 9]), new Tensor('int64', [4n, 4n], [2]), new Tensor('int64', [2n, 2n], [2])];
  const [y] = await run('Col2Im', feeds);
  const wanted = new Float32Array(32);
  for (let c = 0; c < 2; c++)
    for (let t = 0; t < 4; t++)
      for (let i = 0; i < 9; i++) wanted[c * 16 + (Math.floor(i / 3) + (t >> 1)) * 4 + (i % 3) + (t & 1)] += feeds[0].data[(c * 4 + t) * 9 + i];
  assertNear(y.data, [...wanted]);
});

test('Col2Im of floats as of doubles, with any strides, pads and dilations', async () => {
  const shapes = [
    { image: [9], block: [3], attributes: { strides: [2] }, places: 4 },
    { image: [40], block: [5], attributes: { strides: [3], pads: [2, 1] }, places: 13 },
    { image: [28, 28], block: [4, 4], attributes: { strides: [4, 4] }, places: 49 },
    { image: [9, 21], block: [2, 3], attributes: { strides: [2, 2], dilations: [3, 2], pads: [1, 0, 2, 3] }, places: 5 * 10 },
    { image: [5, 33], block: [2, 2], attributes: { dilations: [2, 1] }, places: 3 * 32 },
    { image: [3, 1], block: [2, 1], attributes: { strides: [1, 5] }, places: 2 },
    { image: [4, 5, 6], block: [2, 2, 3], attributes: { strides: [1, 2, 3], pads: [0, 1, 0, 1, 0, 2] }, places: 4 * 3 * 2 },
  ];
  for (const { image, block, attributes, places } of shapes) {
    const more = [image, block].map((list) => new Tensor('int64', list.map(BigInt), [list.length]));
    const dims = [2, 3 * size(block), places];
    const x = numbers(size(dims));
    const [y] = await run('Col2Im', [new Tensor('float32', x, dims), ...more], attributes);
    const [exact] = await run('Col2Im', [new Tensor('float64', [...x], dims), ...more], attributes);
    assert.deepEqual(y.dims, [2, 3, ...image]);
    assertNear(y.data, [...exact.data]);
  }
});

test('comparisons of every type, by lengths', async () => {
  const types = ['float32', 'float64', 'int8', 'uint8', 'int32', 'int64'];
  const compare = { Less: (a, b) => a < b, LessOrEqual: (a, b) => a <= b, Greater: (a, b) => a > b, Equal: (a, b) => a === b };
  for (const type of types) {
    for (const length of [1, 15, 16, 17, 33, 70]) {
      const make = (seed) => Array.from(numbers(length, seed), (v) => (type === 'uint8' ? Math.abs(Math.trunc(3 * v)) : Math.trunc(3 * v)));
      const [a, b] = [make(1), make(3)];
      if (type.startsWith('float')) a[length - 1] = NaN;
      const tensors = [a, b].map((list) => new Tensor(type, type === 'int64' ? list.map(BigInt) : list, [length]));
      for (const [op, how] of Object.entries(compare)) {
        const [y] = await run(op, tensors, {}, { outputs: ['bool'] });
        assert.deepEqual([...y.data], a.map((v, i) => Number(how(v, b[i]))), `${op} of ${length} ${type}`);
      }
    }
  }
});

test('powers of negative numbers, and the rules for what is not finite', async () => {
  const bases = [-Infinity, -3e38, -2.5, -2, -1, -0.5, -1e-30, -1e-45, -0, 0, 1e-45, 0.5, 1, 3, Infinity, NaN];
  const exponents = [-Infinity, -1e10, -16777217, -3, -2, -1, -0.5, -0, 0, 0.5, 1, 2, 3, 4, 7, 2.5, 16777216, 1e10, Infinity, NaN];
  const pairs = bases.flatMap((x) => exponents.map((e) => [Math.fround(x), Math.fround(e)]));
  const [x, e] = [0, 1].map((i) => new Tensor('float32', pairs.map((pair) => pair[i])));
  const [y] = await run('Pow', [x, e]);
  pairs.forEach(([base, exponent], i) => {
    const wanted = base === 1 || (base === -1 && Math.abs(exponent) === Infinity) ? 1 : Math.fround(base ** exponent);
    const near = Math.abs(y.data[i] - wanted) <= 3e-7 * Math.abs(wanted);
    assert.ok(Object.is(y.data[i], wanted) || (near && wanted !== 0), `${base} ** ${exponent} is ${y.data[i]}, expected ${wanted}`);
  });
});

test('support vectors: kernels as they are defined', async () => {
  const [rows, columns, vectors] = [5, 7, 9];
  const [x, support, coefficients] = [numbers(rows * columns), numbers(vectors * columns, 3), numbers(vectors, 5)];
  const kernels = {
    LINEAR: (dot) => dot,
    POLY: (dot) => (0.5 * dot + 0.25) ** 3,
    SIGMOID: (dot) => Math.tanh(0.5 * dot + 0.25),
    RBF: (dot, distance) => Math.exp(-0.5 * distance),
  };
  for (const [kernel_type, kernel] of Object.entries(kernels)) {
    const attributes = {
      kernel_type, kernel_params: { floats: [0.5, 0.25, 3] }, n_supports: vectors, support_vectors: { floats: support },
      coefficients: { floats: coefficients }, rho: { floats: [0.125] },
    };
    const [y] = await run('SVMRegressor', [new Tensor('float32', x, [rows, columns])], attributes, { domain: 'ai.onnx.ml' });
    const wanted = Array.from({ length: rows }, (_, r) => {
      let sum = 0.125;
      for (let v = 0; v < vectors; v++) {
        const pairs = Array.from({ length: columns }, (_, c) => [x[r * columns + c], support[v * columns + c]]);
        const dot = pairs.reduce((all, [a, b]) => all + a * b, 0);
        sum += coefficients[v] * kernel(dot, pairs.reduce((all, [a, b]) => all + (a - b) ** 2, 0));
      }
      return sum;
    });
    assertNear(y.data, wanted);
  }
});

test('linear classifiers: probabilities of more rows than are scored together', async () => {
  const [rows, columns] = [37, 5];
  const [x, coefficients] = [numbers(rows * columns), numbers(3 * columns, 3)];
  const rules = {
    NONE: (s) => s,
    LOGISTIC: (s) => s.map((v) => 1 / (1 + Math.exp(-v))),
    SOFTMAX: (s) => s.map((v) => Math.exp(v) / s.reduce((sum, w) => sum + Math.exp(w), 0)),
  };
  for (const [post_transform, rule] of Object.entries(rules)) {
    const attributes = { coefficients: { floats: coefficients }, intercepts: { floats: [0.5, 0, -0.5] }, classlabels_ints: [4, 5, 6], post_transform };
    const feeds = [new Tensor('float32', x, [rows, columns])];
    const [label, y] = await run('LinearClassifier', feeds, attributes, { domain: 'ai.onnx.ml', outputs: ['int64', 'float32'] });
    const scores = Array.from({ length: rows }, (_, r) =>
      [0.5, 0, -0.5].map((b, c) => Array.from({ length: columns }, (_, i) => x[r * columns + i] * coefficients[c * columns + i]).reduce((p, q) => p + q, b)));
    assert.deepEqual([...label.data].map(Number), scores.map((s) => 4 + s.indexOf(Math.max(...s))));
    assertNear(y.data, scores.flatMap(rule));
  }
});

test('the shortest decimals of floats', async () => {
  const x = [0, -0, 1, 0.1, 1 / 3, 123456.789, 1e-5, 1e-6, 3e38, 1.5e16, 16777216, 100];
  const [y] = await run('Cast', [new Tensor('float32', x)], { to: 8 }, { outputs: ['string'] });
  for (const [i, text] of y.data.entries()) {
    assert.equal(Math.fround(Number(text)), Math.fround(x[i]), text);
    assert.ok(text.replace(/^-/, '').length <= String(Number(Math.fround(x[i]).toPrecision(9))).length + 4, text);
  }
  assert.deepEqual([y.data[3], y.data[4], y.data[5]], ['0.1', '0.33333334', '123456.79']);
});

test('texts of every length', async () => {
  const texts = ['', 'a', 'ä€😀', 'x'.repeat(341), 'ü'.repeat(342), '😀'.repeat(5000), 'last'];
  const [y] = await run('Identity', [new Tensor('string', texts)]);
  assert.deepEqual([...y.data], texts);
});

test('a large product whose factors are large where the others are small', async () => {
  const [m, n, k] = [64, 128, 256];
  const scale = (l) => (l < k / 2 ? 2 ** 20 : 1);
  const x = numbers(m * k).map((value, i) => value * scale(i % k));
  const w = numbers(k * n, 3).map((value, i) => value / scale(Math.floor(i / n)));
  const session = await InferenceSession.create(
    model({
      nodes: [node('MatMul', ['x', 'w'], ['y'])],
      initializers: [tensor('w', 'float32', [k, n], { raw: new Uint8Array(w.buffer) })],
      inputs: { x: tensorType('float32', [m, k]) },
      outputs: { y: tensorType('float32', [m, n]) },
    }),
  );
  const { y } = await session.run({ x: new Tensor('float32', x, [m, k]) });
  await session.release();
  const wanted = Array.from({ length: m * n }, (_, at) => {
    let sum = 0;
    for (let l = 0; l < k; l++) sum += x[Math.floor(at / n) * k + l] * w[l * n + (at % n)];
    return sum;
  });
  assertNear(y.data, wanted, 2e-5);
});

test('recurrent layers of few and of many sequences, as of doubles', async () => {
  const directions = ['forward', 'reverse', 'bidirectional'];
  for (const [i, [batch, hidden, input]] of [[3, 8, 16], [9, 5, 3], [130, 8, 16], [65, 16, 7], [40, 33, 20], [12, 200, 180]].entries()) {
    for (const [j, [op, gates]] of [['GRU', 3], ['LSTM', 4]].entries()) {
      for (const layout of [0, 1]) {
        const steps = 5, direction = directions[(i + j + layout) % 3], d = direction === 'bidirectional' ? 2 : 1;
        const shape = (...dims) => (layout === 1 ? [dims[1], dims[0], dims[2]] : dims);
        const feeds = [
          [shape(steps, batch, input), 1], [[d, gates * hidden, input], 0.5], [[d, gates * hidden, hidden], 0.4],
          [[d, 2 * gates * hidden], 0.3], [[batch], 0], [shape(d, batch, hidden), 1], [shape(d, batch, hidden), 2],
        ].slice(0, op === 'GRU' ? 6 : 7);
        const attributes = { hidden_size: hidden, direction, layout, ...(op === 'GRU' && { linear_before_reset: 1 }) };
        const results = { float32: [], float64: [] };
        for (const type of ['float64', 'float32']) {
          const tensors = feeds.map(([dims, factor], k) => {
            const values = numbers(size(dims), 3 + 2 * k).map((value) => value * factor);
            return k === 4 ? null : new Tensor(type, type === 'float32' ? values : Float64Array.from(values), dims);
          });
          const last = Array(op === 'GRU' ? 1 : 2).fill(type);
          for (const outputs of [[type, ...last], [null, ...last], [type]]) results[type].push(...(await run(op, tensors, attributes, { outputs })));
        }
        for (const [k, wanted] of results.float64.entries()) {
          if (wanted) assertNear(results.float32[k].data, wanted.data, 1e-5);
        }
      }
    }
  }
});
