/* Operators that are functions of the caller, wherever the session is: what they are given, what they may return, and what is
 * told of mistakes. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { InferenceSession, Tensor, WeftError } from '../../dist/weft.mjs';
import { mapType, model, node, optionalType, sequenceType, tensor, tensorType } from './onnx.mjs';

const floats = tensorType('float32', ['N']);
const x = new Tensor('float32', [1, -2, 3]);

/** y = -lab:Op(x, absent, x) */
const lone = (attributes = {}) =>
  model({
    nodes: [node('Op', ['x', '', 'x'], ['m'], { domain: 'lab', name: 'mine', ...attributes }), node('Neg', ['m'], ['y'])],
    inputs: { x: floats },
    outputs: { y: floats },
  });

/** Where a session can be: its options, and what the host lacks. */
const places = {
  'on this thread': {},
  'in a worker': { options: { worker: true } },
  'in a worker that shares no memory': { options: { worker: true }, apart: true },
};

/** Sessions of a place. */
const creator = ({ options: own = {}, apart = false }) => async (operators, bytes = lone(), options = {}) => {
  if (apart) globalThis.crossOriginIsolated = false;
  try {
    const functions = typeof operators === 'object' ? operators : { 'lab:Op': operators };
    return await InferenceSession.create(bytes, { operators: functions, ...own, ...options });
  } finally {
    delete globalThis.crossOriginIsolated;
  }
};

for (const [place, settings] of Object.entries(places)) describe(`functions of a session ${place}`, () => {
  const create = creator(settings);

  for (const threads of [1, 2]) {
    test(`a function runs in place of a node, with ${threads} threads`, async () => {
      let calls = 0;
      const run = ([a, b, c]) => {
        calls++;
        assert.equal(b, null);
        return new Tensor('float32', a.data.map((v, i) => v + 10 * c.data[i]), a.dims);
      };
      const session = await create(run, lone(), { threads });
      assert.equal(calls, 0);
      for (let i = 1; i <= 2; i++) {
        const { y } = await session.run({ x });
        assert.deepEqual([...y.data], [-11, 22, -33]);
        assert.equal(calls, i);
      }
      assert.deepEqual([...x.data], [1, -2, 3]);
      await session.release();
    });
  }

  test('outputs told ahead', async () => {
    const told = [];
    const answers = [({ dims }) => ({ type: 'float32', dims }), () => undefined, () => ({ type: 'float32', dims: [7] }), () => ({ type: 'float32', dims: [-1] })];
    let answer = answers[0];
    const infer = ([a, b, c], { name }) => {
      told.push([a.type, a.dims, a.data, b, c.dims, name]);
      return answer(a);
    };
    const operator = { run: ([a]) => new Tensor('float32', a.data.map((v) => 2 * v), a.dims), infer };
    const session = await create({ 'lab:Op': operator }, lone({ beta: 3 }));
    for (let i = 0; i < 2; i++) assert.deepEqual([...(await session.run({ x })).y.data], [-2, 4, -6]);
    const inWorker = settings.options?.worker;
    assert.equal(told.length === 0, Boolean(inWorker));
    if (inWorker) return;
    assert.deepEqual(told.at(-1), ['float32', [3], undefined, null, [3], undefined]);
    [, answer] = answers;
    const other = new Tensor('float32', [1, 2]);
    assert.deepEqual([...(await session.run({ x: other })).y.data], [-2, -4]);
    answer = answers[2];
    await assert.rejects(session.run({ x: new Tensor('float32', [1]) }), /mine.*told float32 \[7\] ahead and made float32 \[1\]/);
    answer = answers[3];
    await assert.rejects(session.run({ x: new Tensor('float32', [1, 2, 3, 4]) }), /mine.*expected infer to return \{type, dims\}/);
    await assert.rejects(create({ 'lab:Op': { run: () => x, infer: 3 } }), /operators: expected a function as infer of 'lab:Op'/);
  });

  test('attributes of every kind', async () => {
    let seen;
    const run = ([a], attributes) => ((seen = attributes), a);
    const raw = new Uint8Array(new Float32Array([5, 6]).buffer);
    const given = { i: -3, large: 2n ** 62n, f: { float: 0.5 }, s: 'grüß', is: [1, 2], ss: ['a', 'b'], t: tensor('t', 'float32', [2], { raw }) };
    const session = await create(run, lone(given));
    await session.run({ x });
    const { t, ...plain } = seen;
    assert.deepEqual(plain, { i: -3, large: 2n ** 62n, f: 0.5, s: 'grüß', is: [1, 2], ss: ['a', 'b'] });
    assert.deepEqual([t.type, [...t.data]], ['float32', [5, 6]]);
  });

  test('several outputs, strings, and an output that is not wanted', async () => {
    const bytes = model({
      nodes: [node('Op', ['x'], ['a', '', 'c'], { domain: 'lab' })],
      inputs: { x: floats },
      outputs: { a: tensorType('string', ['M']), c: tensorType('int64', []) },
    });
    const session = await create(() => [new Tensor(['one', 'zwölf']), undefined, new Tensor('int64', [7n], [])], bytes);
    const { a, c } = await session.run({ x });
    assert.deepEqual([a.data, c.data[0]], [['one', 'zwölf'], 7n]);
  });

  test('a large result makes the memory grow', async () => {
    const session = await create(() => new Tensor('float32', new Float32Array(4e6).fill(2), [4e6]));
    const { y } = await session.run({ x });
    assert.deepEqual([y.size, y.data[0], y.data[3999999]], [4e6, -2, -2]);
  });

  test('what goes wrong names the node, and the session stays usable', async () => {
    const cause = new TypeError('no such thing');
    const results = [
      [() => { throw cause; }, /mine.*its function threw TypeError: no such thing/],
      [() => undefined, /mine.*returned undefined/],
      [async () => x, /mine.*returned Promise/],
      [() => [], /mine.*made no output 0/],
      [() => [7], /mine.*output 0.*expected a Tensor/],
    ];
    let run;
    const session = await create((...args) => run(...args));
    for (const [wrong, message] of results) {
      run = wrong;
      await assert.rejects(session.run({ x }), (error) => {
        assert.ok(error instanceof WeftError);
        assert.match(error.message, message);
        assert.deepEqual([error.code, error.node, error.op], ['RUN_FAILED', 'mine', 'Op']);
        if (wrong === results[0][0]) assert.equal(error.cause, cause);
        return true;
      });
    }
    run = ([a]) => a;
    assert.deepEqual([...(await session.run({ x })).y.data], [-1, 2, -3]);
    await assert.rejects(session.run({}), (error) => error.cause === undefined);
  });

  test('several nodes, each asked once, one from what another made', async () => {
    const bytes = model({
      nodes: [
        node('Double', ['x'], ['a'], { domain: 'lab' }), node('Neg', ['a'], ['b']), node('Double', ['b'], ['c'], { domain: 'lab' }),
        node('Join', ['a', 'c'], ['y'], { domain: 'lab' }),
      ],
      inputs: { x: floats },
      outputs: { y: floats },
    });
    const asked = [];
    const session = await create({
      'lab:Double': ([a]) => (asked.push('Double'), new Tensor('float32', a.data.map((v) => 2 * v))),
      'lab:Join': ([a, b]) => (asked.push('Join'), new Tensor('float32', [...a.data, ...b.data])),
    }, bytes);
    for (let i = 0; i < 2; i++) {
      assert.deepEqual([...(await session.run({ x })).y.data], [2, -4, 6, -4, 8, -12]);
    }
    assert.deepEqual(asked, ['Double', 'Double', 'Join', 'Double', 'Double', 'Join']);
  });

  test('values that are no tensors, there and back', async () => {
    const seq = sequenceType(floats);
    const entries = mapType('int64', tensorType('float32', []));
    const bytes = model({
      nodes: [node('Op', ['s', 'm', 'o'], ['t', 'n', 'p'], { domain: 'lab' })],
      inputs: { s: seq, m: entries, o: optionalType(floats) },
      outputs: { t: seq, n: entries, p: optionalType(floats) },
    });
    let seen;
    const session = await create((inputs) => (seen = inputs), bytes);
    const m = new Map([[5n, 0.5], [-(2n ** 60n), 2]]);
    const { t, n, p } = await session.run({ s: [x, new Tensor('float32', [4])], m, o: null });
    assert.deepEqual(seen.slice(1), [m, null]);
    assert.deepEqual(t.map(({ data }) => [...data]), [[1, -2, 3], [4]]);
    assert.deepEqual([n, p], [m, null]);
  });

  test('an AbortSignal ends the wait, not the session', { skip: !settings.options }, async () => {
    const controller = new AbortController();
    let abort = true;
    const session = await create(([a]) => {
      if (abort) controller.abort();
      return a;
    });
    await assert.rejects(session.run({ x }, { signal: controller.signal }), { code: 'CANCELLED' });
    abort = false;
    assert.deepEqual([...(await session.run({ x })).y.data], [-1, 2, -3]);
    await session.release();
  });
});

test('options that cannot be', async () => {
  const create = creator({});
  await assert.rejects(create(5), /operators: expected a function for 'lab:Op', found number 5/);
  await assert.rejects(InferenceSession.create(lone(), { operators: { Neg: () => x } }), /Neg of ONNX's default domain cannot be replaced/);
  await assert.rejects(InferenceSession.create(lone()), { code: 'UNSUPPORTED', message: /no operator lab:Op version 1;/ });
});

/* Its tensors are [3, 5] floats, at the end of their files. */
const folder = new URL('../../../shared/corpus/os_custom_op_unknown/', import.meta.url);
const missing = existsSync(folder) ? false : 'there is no ../shared/corpus';
const readTensor = (name) => {
  const bytes = new Uint8Array(readFileSync(new URL(`test_data_set_0/${name}`, folder))).slice(-60);
  return new Tensor('float32', new Float32Array(bytes.buffer), [3, 5]);
};

test("the corpus' model with an operator of its own", { skip: missing }, async () => {
  const swish = ([a], { b }) => new Tensor('float32', a.data.map((v) => v / (1 + Math.exp(-b * v))), a.dims);
  const bytes = readFileSync(new URL('model.onnx', folder));
  const session = await InferenceSession.create(bytes, { operators: { 'lab.custom:SwishB': swish } });
  const { y } = await session.run({ x: readTensor('input_0.pb') });
  const expected = readTensor('output_0.pb');
  assert.deepEqual(y.dims, expected.dims);
  y.data.forEach((value, i) => assert.ok(Math.abs(value - expected.data[i]) < 1e-5, `${i}: ${value}, ${expected.data[i]}`));
});
