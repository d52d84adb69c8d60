/*
 * Results that nobody has read yet stay in the session's memory, fed again or forgotten without a copy. None of that may show,
 * nor take more memory than copies would.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { InferenceSession, Tensor, WeftError } from '../../dist/weft.mjs';
import { doubling, identity, model, node, sequenceType, tensor, tensorType } from './onnx.mjs';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

const LARGE = 16384;
const MB = 2 ** 20;
/** A feed whose result is worth leaving where it is. */
const large = (value = 1, count = LARGE) => new Tensor('float32', new Float32Array(count).fill(value), [count]);
/** How a test sees what users do not. */
const isUnread = (tensor) => Object.getOwnPropertyDescriptor(tensor, 'data').get !== undefined;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** An unread result of a session that doubles. */
async function doubled(value = 1, options = {}) {
  const session = await InferenceSession.create(doubling(), options);
  const { y } = await session.run({ x: large(value) });
  return { session, y };
}

/** Whether a tensor holds one value, everywhere. */
function holds({ type, dims, size, location, data }, value, count = LARGE) {
  assert.deepEqual([type, dims, size, location, data.length], ['float32', [count], count, 'cpu', count]);
  assert.ok(data.every((item) => item === value), `${data[0]} instead of ${value}`);
}

test('a large result waits, and is like any other when it is read', async () => {
  const { session, y } = await doubled();
  assert.ok(isUnread(y));
  const { used } = session.weft.memory;
  assert.deepEqual(Object.keys(y), Object.keys(large()));
  holds(y, 2);
  assert.equal(y.data, y.data);
  assert.equal(await y.getData(), y.data);
  assert.ok(!isUnread(y) && session.weft.memory.used < used - 4 * LARGE + 1000);
  const { y: small } = await session.run({ x: new Tensor('float32', [1, 2]) });
  assert.ok(!isUnread(small));
  await session.release();
});

test('it is fed as it is', async () => {
  const { session, y } = await doubled();
  const { y: second } = await session.run({ x: y });
  const { y: third } = await session.run({ x: second });
  assert.ok(isUnread(y) && isUnread(second));
  holds(third, 8);
  holds(y, 2);
  y.data.fill(5);
  holds((await session.run({ x: y })).y, 10);
  holds((await session.run({ x: second })).y, 8);
  second.data = new Float32Array(LARGE).fill(7);
  holds((await session.run({ x: second })).y, 14);
  await session.release();
});

test('dims and data that its owner sets are respected', async () => {
  const bytes = model({
    nodes: [node('Identity', ['x'], ['y']), node('Shape', ['x'], ['shape'])],
    inputs: { x: tensorType('float32') },
    outputs: { y: tensorType('float32'), shape: tensorType('int64') },
  });
  const session = await InferenceSession.create(bytes);
  const results = [];
  for (let i = 0; i < 4; i++) results.push((await session.run({ x: large(i) })).y);
  const [first, second, third, fourth] = results;
  first.dims = [2, LARGE / 2];
  assert.deepEqual([...(await session.run({ x: first })).shape.data], [2n, BigInt(LARGE / 2)]);
  second.dims[0]++;
  await assert.rejects(session.run({ x: second }), /expected data of 16385 items, found 16384/);
  third.data = new Float32Array(LARGE).fill(6);
  holds((await session.run({ x: third })).y, 6);
  Object.freeze(fourth);
  assert.equal(fourth.data, fourth.data);
  holds(fourth, 3);
  holds((await session.run({ x: fourth })).y, 3);
  await session.release();
});

test('all that reads a tensor finds its data', async () => {
  const session = await InferenceSession.create(doubling('float32', [1, 3, 64, 64]));
  const x = new Tensor('float32', new Float32Array(3 * 64 * 64).fill(0.25), [1, 3, 64, 64]);
  const expected = new Float32Array(3 * 64 * 64).fill(0.5);
  const result = async () => {
    const { y } = await session.run({ x });
    assert.ok(isUnread(y));
    return y;
  };
  const plain = new Tensor('float32', expected, x.dims);
  assert.deepEqual(await result(), plain);
  assert.deepEqual(structuredClone(await result()), structuredClone(plain));
  assert.deepEqual({ ...(await result()) }, { ...plain });
  assert.equal(JSON.stringify(await result()), JSON.stringify(plain));
  assert.equal(inspect(await result()), inspect(plain));
  assert.deepEqual(await (await result()).getData(), expected);
  const moved = await result();
  assert.deepEqual([await moved.getData(true), moved.location], [expected, 'cpu']);
  assert.deepEqual((await result()).reshape([3, 4096]), plain.reshape([3, 4096]));
  globalThis.ImageData ??= class { constructor(data, width, height) { Object.assign(this, { data, width, height }); } };
  assert.deepEqual((await result()).toImageData(), plain.toImageData());
  const { port1, port2 } = new MessageChannel();
  const sent = new Promise((resolve) => (port2.onmessage = ({ data }) => resolve(data)));
  port1.postMessage(await result());
  const arrived = await sent;
  port1.close();
  assert.deepEqual(arrived.data, expected);
  assert.deepEqual((await session.run({ x: arrived })).y.data[0], 1);
  await session.release();
});

test('elements of every size come out as they are', async () => {
  const numbers = Array.from({ length: 2 * LARGE }, (_, i) => i % 2);
  for (const type of ['float16', 'bool', 'int4', 'uint8', 'float64', 'bfloat16']) {
    const session = await InferenceSession.create(identity(tensorType(type, ['N'])));
    const x = new Tensor(type, numbers, [numbers.length]);
    const { y } = await session.run({ x });
    const { y: again } = await session.run({ x: y });
    assert.ok(isUnread(y) && isUnread(again), type);
    assert.deepEqual([y.data, again.data], [x.data, x.data], type);
    await session.release();
  }
});

test('what is disposed of is gone at once', async () => {
  const { session, y } = await doubled();
  const { used } = session.weft.memory;
  y.dispose();
  assert.ok(session.weft.memory.used < used - 4 * LARGE + 1000);
  assert.equal(y.location, 'none');
  assert.throws(() => y.data, /disposed of/);
  await assert.rejects(session.run({ x: y }), /disposed of/);
  await session.release();
});

test('a session that is released leaves its results', async () => {
  const { session, y } = await doubled();
  const { y: second } = await session.run({ x: y });
  await session.release();
  holds(y, 2);
  holds(second, 4);
  const other = await InferenceSession.create(doubling());
  holds((await other.run({ x: second })).y, 8);
  await other.release();
});

test('a session that stops leaves its results', async () => {
  const { instantiate } = WebAssembly;
  let stops = false;
  WebAssembly.instantiate = async (...args) => {
    const { exports } = await instantiate(...args);
    const weft_session_run = (...all) => {
      if (stops) throw new WebAssembly.RuntimeError('unreachable');
      return exports.weft_session_run(...all);
    };
    return { exports: { ...exports, weft_session_run } };
  };
  const session = await InferenceSession.create(doubling()).finally(() => (WebAssembly.instantiate = instantiate));
  const results = [];
  for (let i = 0; i < 3; i++) results.push((await session.run({ x: large(i) })).y);
  stops = true;
  await assert.rejects(session.run({ x: results[0] }), (error) => error instanceof WeftError && error.code === 'INTERNAL');
  holds(results[1], 2);
  const other = await InferenceSession.create(doubling());
  holds((await other.run({ x: results[0] })).y, 0);
  await session.release();
  holds(results[2], 4);
  await other.release();
});

test('tensors that are given for results are filled', async () => {
  const { session, y } = await doubled();
  const target = large(0);
  const { y: same } = await session.run({ x: y }, { y: target });
  assert.equal(same, target);
  holds(target, 4);
  const { y: result } = await session.run({ x: target });
  await session.run({ x: large(3) }, { y: result });
  holds(result, 6);
  await session.release();
});

test('other sessions take it, also in workers', async () => {
  const { session, y } = await doubled();
  const proxied = await InferenceSession.create(doubling(), { worker: true });
  const { y: there } = await proxied.run({ x: y });
  assert.ok(!isUnread(there));
  holds(there, 4);
  const { used } = proxied.weft.memory;
  await proxied.run({ x: y });
  assert.ok(proxied.weft.memory.used < used + 1000);
  const lists = await InferenceSession.create(identity(sequenceType(tensorType('float32'))));
  const { y: list } = await lists.run({ x: [y, there] });
  list.forEach((item, i) => holds(item, [2, 4][i]));
  await Promise.all([session.release(), proxied.release(), lists.release()]);
});

test('a sequence takes it as it is', async () => {
  const session = await InferenceSession.create(
    model({
      nodes: [node('ConcatFromSequence', ['x'], ['y'], { axis: 0 })],
      inputs: { x: sequenceType(tensorType('float32', ['N'])) },
      outputs: { y: tensorType('float32', ['M']) },
    }),
  );
  const { y } = await session.run({ x: [large(1), large(1)] });
  const { y: twice } = await session.run({ x: [y, y] });
  assert.ok(isUnread(y));
  holds(twice, 1, 4 * LARGE);
  holds(y, 1, 2 * LARGE);
  await session.release();
});

test('an operator of the caller may read or dispose of what the run is fed', async () => {
  let fed;
  const bytes = model({
    nodes: [node('Op', ['x'], ['m'], { domain: 'lab' }), node('Add', ['m', 'x'], ['y'])],
    inputs: { x: tensorType('float32', ['N']) },
    outputs: { y: tensorType('float32', ['N']) },
  });
  for (const act of [(tensor) => tensor?.data, (tensor) => tensor?.dispose()]) {
    for (const preferredOutputLocation of ['cpu', 'wasm']) {
      if (preferredOutputLocation === 'wasm' && act.toString().includes('data')) continue;
      const operators = { 'lab:Op': ([x]) => (act(fed), new Tensor('float32', new Float32Array(x.size).fill(9), x.dims)) };
      fed = undefined;
      const session = await InferenceSession.create(bytes, { operators, preferredOutputLocation });
      const { y } = await session.run({ x: large(1) });
      fed = y;
      const { y: next } = await session.run({ x: y });
      assert.equal((await next.getData())[LARGE - 1], 19);
      await session.release();
    }
  }
});

test('no run fails for want of memory that unread results take', async () => {
  const maxMemory = 4 * MB;
  const session = await InferenceSession.create(doubling(), { limits: { maxMemory } });
  const results = [];
  let x = large(0, MB / 4);
  for (let i = 0; i < 20; i++) results.push((await session.run({ x: i % 3 === 2 ? results[i - 1] : large(i, MB / 4) })).y);
  results.forEach((y, i) => holds(y, i % 3 === 2 ? 4 * (i - 1) : 2 * i, MB / 4));
  x = large(1, MB / 4);
  for (let i = 1; i <= 20; i++) {
    const before = x;
    ({ y: x } = await session.run({ x }));
    if (i % 5 === 0) holds(before, 2 ** (i - 1), MB / 4);
  }
  holds(x, 2 ** 20, MB / 4);
  await assert.rejects(session.run({ x: large(1, MB + 1) }), (error) => error.code === 'OUT_OF_MEMORY');
  await session.release();
});

test('results that are kept unread do not pile up in the module', async () => {
  const session = await InferenceSession.create(doubling());
  const kept = [];
  for (let i = 0; i < 200; i++) kept.push((await session.run({ x: large(i, MB / 4) })).y);
  assert.ok(session.weft.memory.reserved < 100 * MB, `${session.weft.memory.reserved} bytes`);
  kept.forEach((y, i) => holds(y, 2 * i, MB / 4));
  await session.release();
});

for (const fed of [true, false]) test(`a loop of 1000 runs that never waits, its results ${fed ? 'fed' : 'forgotten'}, needs little memory`, async () => {
  const session = await InferenceSession.create(doubling());
  const before = process.memoryUsage.rss();
  let x = large(0, MB);
  for (let i = 0; i < 1000; i++) {
    const { y } = await session.run({ x });
    if (fed) x = y;
  }
  assert.ok(session.weft.memory.reserved < 150 * MB, `${session.weft.memory.reserved} bytes`);
  const grown = process.memoryUsage.rss() - before;
  assert.ok(grown < 400 * MB, `${grown} bytes`);
  await session.release();
});

test('what is forgotten is given back when it is collected', async () => {
  const session = await InferenceSession.create(doubling());
  await session.run({ x: large() });
  const { used } = session.weft.memory;
  for (let i = 0; i < 20; i++) await session.run({ x: large() });
  for (let i = 0; i < 20 && session.weft.memory.used > used; i++) {
    await turn();
    collect();
  }
  assert.ok(session.weft.memory.used <= used, `${session.weft.memory.used} bytes, ${used} before`);
  await session.release();
});

test('a session that is forgotten goes, and its results stay', async () => {
  const { y } = await doubled();
  await turn();
  collect();
  await turn();
  holds(y, 2);
});

/* ---- caches that grow --------------------------------------------------------------------------------------------------- */
const [HEADS, SIZE] = [4, 64];

const raw = (type, dims, data) => (name) => tensor(name, type, dims, { raw: new Uint8Array(data.buffer) });
const PLACES = 1024;

/** How a step adds rows: nodes, and what they need. */
const forms = {
  concat: (type) => ({
    nodes: [
      ...['key', 'value'].map((name) => node('Concat', [`past.${name}`, 'x'], [`present.${name}`], { axis: 2 })),
      node('Transpose', ['present.key'], ['turned'], { perm: [0, 1, 3, 2] }),
      // A matrix of weights in 16 bits makes the rest of such a graph floats.
      ...(type === 'float16' ? [node('MatMul', ['x', 'weights'], ['query'])] : []),
      node('MatMul', [type === 'float16' ? 'query' : 'x', 'turned'], ['scores']),
      node('Softmax', ['scores'], ['shares'], { axis: -1 }),
      node('MatMul', ['shares', 'present.value'], ['y']),
    ],
    constants: { weights: raw('float16', [SIZE, SIZE], new Uint16Array(SIZE * SIZE).fill(0x2400)) },
  }),
  own: () => attending('Attention', ['rows', 'rows', 'rows', '', 'past.key', 'past.value'], { q_num_heads: HEADS, kv_num_heads: HEADS }),
  multi: () => attending('MultiHeadAttention', ['rows', 'rows', 'rows', '', '', '', 'past.key', 'past.value'], { domain: 'com.microsoft', num_heads: HEADS }),
  group: (type) => grouped(type, ['rows', 'rows', 'rows'], HEADS),
  shared: (type) => grouped(type, ['queries', 'rows', 'rows'], 2 * HEADS),
  packed: (type) => grouped(type, ['all', '', ''], HEADS),
};

/** Heads side by side are queries, keys and values. */
const attending = (op, inputs, attributes, nodes = [], constants = {}) => ({
  nodes: [
    node('Transpose', ['x'], ['by.row'], { perm: [0, 2, 1, 3] }),
    node('Reshape', ['by.row', 'flat'], ['rows']),
    ...nodes,
    node(op, inputs, ['y', 'present.key', 'present.value'], attributes),
  ],
  constants: { flat: raw('int64', [3], new BigInt64Array([0n, 0n, BigInt(HEADS * SIZE)])), ...constants },
});

/** GroupQueryAttention, which turns what it is given and is told what each sequence has. */
function grouped(type, rows, heads) {
  const angles = Float32Array.from({ length: PLACES * SIZE / 2 }, (_, i) => Math.cos(i));
  const { data } = new Tensor(type, [...angles], [angles.length]);
  return attending(
    'GroupQueryAttention',
    [...rows, 'past.key', 'past.value', 'lengths', 'total', 'angles', 'angles'],
    { domain: 'com.microsoft', num_heads: heads, kv_num_heads: HEADS, do_rotary: 1 },
    [
      node('Concat', ['rows', 'rows'], ['queries'], { axis: 2 }),
      node('Concat', ['rows', 'rows', 'rows'], ['all'], { axis: 2 }),
      node('Shape', ['past.key'], ['before'], { start: 2, end: 3 }),
      node('Shape', ['x'], ['new'], { start: 2, end: 3 }),
      node('Add', ['before', 'new'], ['sum']),
      node('Cast', ['sum'], ['total'], { to: 6 }),
    ],
    { angles: raw(type, [PLACES, SIZE / 2], data) },
  );
}

const hasLengths = (form) => ['group', 'shared', 'packed'].includes(form);

/** Attention over a cache to which every step adds rows; `reader`, an operator of the caller, may read the keys as well. */
function decoder(reader, form = 'concat', type = 'float32') {
  const { nodes, constants } = forms[form](type);
  return model({
    opset: 23,
    domains: { 'com.microsoft': 1 },
    nodes: [...(reader ? [node('Op', ['present.key'], ['read'], { domain: 'lab' })] : []), ...nodes],
    inputs: {
      ...Object.fromEntries([['past.key', 'past'], ['past.value', 'past'], ['x', 'rows']].map(([name, rows]) =>
        [name, tensorType(type, ['batch', HEADS, rows, SIZE])])),
      ...(hasLengths(form) ? { lengths: tensorType('int32', ['batch']) } : {}),
    },
    outputs: Object.fromEntries(['y', 'present.key', 'present.value', ...(reader ? ['read'] : [])].map((name) =>
      [name, tensorType(type, name === 'y' && form !== 'concat' ? ['batch', '', ''] : ['batch', HEADS, '', SIZE])])),
    initializers: Object.entries(constants).map(([name, make]) => make(name)),
  });
}

/** Rows, each of elements of its own. */
function rowsOf(count, first, batch = 2, type = 'float32') {
  const items = Float32Array.from({ length: batch * HEADS * count * SIZE }, (_, i) => Math.sin(first + i));
  return new Tensor(type, type === 'float32' ? items : [...items], [batch, HEADS, count, SIZE]);
}

const copyOf = ({ type, data, dims }) => new Tensor(type, data.slice(), dims);

/** Steps of a loop, and what they give when nothing of it stays in the session. */
async function decode(session, steps, rows = () => 1) {
  let [key, value] = [rowsOf(40, 1), rowsOf(40, 2)];
  const results = [];
  for (let i = 0; i < steps; i++) {
    const result = await session.run({ 'past.key': key, 'past.value': value, x: rowsOf(rows(i), i) });
    [key, value] = [result['present.key'], result['present.value']];
    results.push(result);
  }
  return results;
}

/** The same with copies. */
async function decodeApart(session, steps, rows = () => 1) {
  let [key, value] = [rowsOf(40, 1), rowsOf(40, 2)];
  const results = [];
  for (let i = 0; i < steps; i++) {
    const result = await session.run({ 'past.key': copyOf(key), 'past.value': copyOf(value), x: rowsOf(rows(i), i) });
    [key, value] = [result['present.key'], result['present.value']];
    results.push(result);
  }
  return results;
}

const namesOf = ['y', 'present.key', 'present.value'];

async function expectSame(results, expected) {
  for (const [i, result] of results.entries()) {
    for (const name of namesOf) {
      assert.deepEqual(result[name].dims, expected[i][name].dims);
      assert.deepEqual(await result[name].getData(), await expected[i][name].getData(), `${name} of step ${i}`);
    }
  }
}

for (const location of ['cpu', 'wasm']) test(`a cache grows where it lies, and what it was stays, location ${location}`, async () => {
  const session = await InferenceSession.create(decoder(), { preferredOutputLocation: location });
  const plain = await InferenceSession.create(decoder());
  const rows = (i) => (i % 10 === 4 ? 7 : 1);
  const results = await decode(session, 40, rows);
  const { used } = session.weft.memory;
  assert.ok(used < 40 * MB / 10, `${used} bytes`); // each cache in few blocks: 40 of either would be 12 MB
  const expected = await decodeApart(plain, 40, rows);
  const branch = await session.run({ 'past.key': results[20]['present.key'], 'past.value': results[20]['present.value'], x: rowsOf(1, 50) });
  const same = await plain.run({ 'past.key': copyOf(expected[20]['present.key']), 'past.value': copyOf(expected[20]['present.value']), x: rowsOf(1, 50) });
  await expectSame([branch, ...results], [same, ...expected]);
  if (location === 'cpu') {
    const other = await decode(session, 30);
    await session.release();
    await expectSame(other, await decodeApart(plain, 30));
  } else {
    const moved = results[30]['present.key'];
    assert.deepEqual(await moved.getData(true), moved.data);
    await session.release();
  }
  await plain.release();
});

test('a cache that grew is fed to whatever takes a tensor', async () => {
  const session = await InferenceSession.create(decoder());
  const results = await decode(session, 5);
  const cache = results[4]['present.key'];
  const doubles = await InferenceSession.create(doubling('float32', ['a', 'b', 'c', 'd']));
  const proxied = await InferenceSession.create(doubling('float32', ['a', 'b', 'c', 'd']), { worker: true });
  const { y } = await session.run({ 'past.key': results[3]['present.value'], 'past.value': results[3]['present.key'], x: cache });
  assert.deepEqual(y.dims, [2, HEADS, 45, SIZE]);
  const { y: there } = await proxied.run({ x: cache });
  const { y: here } = await doubles.run({ x: cache });
  assert.deepEqual(there.data, here.data);
  assert.deepEqual(here.data, cache.data.map((item) => 2 * item));
  const plain = await InferenceSession.create(decoder());
  const swapped = await plain.run({ 'past.key': copyOf(results[3]['present.value']), 'past.value': copyOf(results[3]['present.key']), x: copyOf(cache) });
  assert.deepEqual(swapped.y.data, y.data);
  await Promise.all([session, doubles, proxied, plain].map((each) => each.release()));
});

test('a cache that grew and is kept unread comes out once for all its steps', async () => {
  const session = await InferenceSession.create(decoder(), { limits: { maxMemory: 6 * MB } });
  const plain = await InferenceSession.create(decoder());
  const expected = await decodeApart(plain, 60);
  const all = [];
  for (let i = 0; i < 6; i++) all.push(await decode(session, 60));
  for (const results of all) await expectSame(results, expected);
  await Promise.all([session.release(), plain.release()]);
});

/** Steps of many loops at once: results of any age are fed under either name, replaced, read, written to, disposed of. */
for (const [title, options, reader, form, type = 'float32'] of [
  ['', {}],
  [' in two threads', { threads: 2 }],
  [' as the model is written', { optimize: 'none' }],
  [' deterministically', { deterministic: true }],
  [' while an operator of the caller reads it', { operators: { 'lab:Op': ([x]) => new Tensor('float32', x.data.map((item) => -item), x.dims) } }, 'lab:Op'],
  [' in 16 bits', {}, undefined, 'concat', 'float16'],
  ...['own', 'multi', 'group', 'shared', 'packed'].flatMap((form) => [
    [` by ${form}`, {}, undefined, form],
    [` by ${form} in two threads`, { threads: 2 }, undefined, form],
    [` by ${form} in 16 bits`, {}, undefined, form, 'float16'],
  ]),
]) test(`whatever is done with caches, each step gives what it gives for copies${title}`, async () => {
  const bytes = decoder(reader, form, type);
  const sessions = [];
  for (let i = 0; i < 2; i++) sessions.push(await InferenceSession.create(bytes, { preferredOutputLocation: i ? 'wasm' : 'cpu', ...options }));
  const plain = await InferenceSession.create(bytes, options);
  let seed = 7;
  const random = (most) => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % 65521 % most;
  const start = (i, batch) => {
    const [key, value] = [rowsOf(40, i, batch, type), rowsOf(40, i + 1, batch, type)];
    return { session: undefined, key, value, keys: copyOf(key), values: copyOf(value) };
  };
  /** Steps that may be fed again, with copies. */
  const pool = [start(1, 2)];
  let apart = 0;
  for (let i = 0; i < 80; i++) {
    const from = pool[random(3) ? pool.length - 1 : random(pool.length)];
    const session = from.session && (from.key.location === 'wasm' || random(4)) ? from.session : sessions[random(2)];
    const [batch, , past] = from.keys.dims;
    const x = rowsOf(1 + (random(5) === 0 ? random(6) : 0), i, batch, type);
    const twice = random(6) === 0;
    const feeds = { 'past.key': from.key, 'past.value': twice ? from.key : from.value, x };
    if (hasLengths(form)) { // some sequences have less than the cache has rows
      const less = random(6) === 0 ? random(8) : 0;
      feeds.lengths = new Tensor('int32', Array.from({ length: batch }, () => past + x.dims[2] - 1 - (less && random(less + 1))), [batch]);
    }
    const { used } = session.weft.memory;
    const result = await session.run(feeds);
    const expected = await plain.run({ ...feeds, 'past.key': copyOf(from.keys), 'past.value': copyOf(twice ? from.keys : from.values) });
    apart += session.weft.memory.used < used + from.keys.data.byteLength;
    assert.deepEqual(await result.y.getData(), expected.y.data, `step ${i}`);
    const [, key, value] = namesOf.map((name) => result[name]), [, keys, values] = namesOf.map((name) => copyOf(expected[name]));
    const next = { session, key, value, keys, values };
    pool.push(next);
    const some = pool[random(pool.length)];
    switch (random(7)) {
      case 0:
        assert.deepEqual(await some.key.getData(), some.keys.data, `after step ${i}`);
        break;
      case 1: // as where a window slides: fewer rows, that are not a result
        pool.push(start(i, 1 + random(3)));
        break;
      case 2:
        if (some.key.location !== 'cpu') break;
        some.key.data.fill(i);
        some.keys.data.fill(i);
        break;
      case 3:
        if (pool.length < 5) break;
        pool.splice(pool.indexOf(some), 1);
        for (const each of new Set([some.key, some.value])) each.dispose();
        break;
      case 4: // a step that fails
        await assert.rejects(session.run({ ...feeds, 'past.value': rowsOf(3, 1, batch, type) }), WeftError);
        break;
    }
  }
  for (const { key, value, keys, values } of pool) {
    assert.deepEqual(await key.getData(), keys.data);
    assert.deepEqual(await value.getData(), values.data);
  }
  if (!reader && options.optimize !== 'none') assert.ok(apart > 10, `${apart} steps took no memory for their caches`);
  await Promise.all([...sessions, plain].map((each) => each.release()));
});

for (const form of ['own', 'multi', 'group']) for (const type of ['float32', 'float16']) test(`a cache of ${form} grows where it lies, in ${type}`, async () => {
  const session = await InferenceSession.create(decoder(undefined, form, type));
  let [key, value] = [rowsOf(40, 1, 2, type), rowsOf(40, 2, 2, type)];
  const first = copyOf(key);
  const kept = [];
  for (let i = 0; i < 40; i++) {
    const lengths = hasLengths(form) ? { lengths: new Tensor('int32', [40 + i, 40 + i], [2]) } : {};
    const result = await session.run({ 'past.key': key, 'past.value': value, x: rowsOf(1, i, 2, type), ...lengths });
    [key, value] = [result['present.key'], result['present.value']];
    kept.push(key, value);
  }
  const { used } = session.weft.memory;
  assert.ok(used < 40 * first.data.byteLength, `${used} bytes`); // each cache in few blocks: 40 of either would be three times as much
  for (const [i, { dims, data }] of kept.entries()) {
    assert.deepEqual(dims, [2, HEADS, 41 + (i >> 1), SIZE]);
    if (i % 2 === 0) assert.deepEqual(data.slice(0, 40 * SIZE), first.data.slice(0, 40 * SIZE));
  }
  await session.release();
});
