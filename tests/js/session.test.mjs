/* InferenceSession: every source of a model, what it tells about it, runs, their order, and errors. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { env, InferenceSession, Tensor, version, WeftError } from '../../dist/weft.mjs';
import { doubling, external, graphOf, identity, model, node, sequenceType, tensor, tensorType } from './onnx.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(folder, { recursive: true }));

const floats = (...values) => new Tensor('float32', values);
const rejects = (promise, code, pattern) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof WeftError, `${error}`);
    assert.match(error.message, pattern);
    assert.equal(error.code, code);
    return true;
  });

async function answers(session) {
  const { y } = await session.run({ x: floats(1, 2, 3) });
  assert.deepEqual([y.type, y.dims, [...y.data]], ['float32', [3], [2, 4, 6]]);
  await session.release();
}

test('a model comes as a path, a URL, bytes, a stream, a Blob or a Response', async () => {
  const bytes = doubling();
  const path = join(folder, 'a model.onnx');
  writeFileSync(path, bytes);
  const buffer = new Uint8Array([...new Uint8Array(10), ...bytes, 1, 2, 3]).buffer;
  const shared = new SharedArrayBuffer(bytes.length);
  new Uint8Array(shared).set(bytes);
  const sources = [
    [path], [pathToFileURL(path)], [pathToFileURL(path).href], [bytes], [Buffer.from(bytes)], [bytes.slice().buffer], [shared],
    [buffer, 10, bytes.length], [buffer.slice(10, 10 + bytes.length), 0], [new Blob([bytes])], [new Blob([bytes]).stream()],
    [new Response(bytes)], [`data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`],
  ];
  for (const source of sources) await answers(await InferenceSession.create(...source));
});

test('a model comes over HTTP, and so do its weights', async (t) => {
  const weights = Buffer.from(new Float32Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer);
  const files = { '/m/model.onnx': external('data/weights.bin'), '/m/data/weights.bin': weights };
  const server = createServer((request, response) => {
    const file = files[request.url];
    response.writeHead(file ? 200 : 404, { 'Content-Length': file?.length ?? 0 }).end(file);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${server.address().port}/m/model.onnx`;
  const phases = [];
  const session = await InferenceSession.create(url, { onProgress: ({ phase, loaded, total }) => phases.push([phase, loaded, total]) });
  const { y } = await session.run({ x: new Tensor(new Float32Array(8)) });
  assert.deepEqual([...y.data], [1, 2, 3, 4, 5, 6, 7, 8]);
  const size = files['/m/model.onnx'].length;
  assert.deepEqual(phases, [['model', size, size], ['external', 32, 32], ['prepare', 0, 1], ['prepare', 1, 1]]);
  await rejects(InferenceSession.create(url.replace('model', 'none')), 'IO', /none\.onnx: the server answered 404/);
});

test('external data is not read through a link out of the folder', async () => {
  const [models, elsewhere] = ['linked', 'elsewhere'].map((name) => join(folder, name));
  for (const path of [models, elsewhere]) mkdirSync(path, { recursive: true });
  writeFileSync(join(models, 'model.onnx'), external('weights.bin'));
  writeFileSync(join(elsewhere, 'weights.bin'), Buffer.alloc(32));
  symlinkSync(join(elsewhere, 'weights.bin'), join(models, 'weights.bin'));
  await assert.rejects(InferenceSession.create(join(models, 'model.onnx')), /'weights\.bin', which is a link out of the model's folder/);
  // A cache keeps files as links into one folder: a model that is such a link may have its data there.
  writeFileSync(join(elsewhere, 'model.onnx'), external('weights.bin'));
  symlinkSync(join(elsewhere, 'model.onnx'), join(models, 'cached.onnx'));
  await (await InferenceSession.create(join(models, 'cached.onnx'))).release();
});

test('external data is found beside the model, or given', async () => {
  const weights = new Uint8Array(48);
  new Float32Array(weights.buffer, 16).fill(5);
  const path = join(folder, 'external.onnx');
  writeFileSync(path, external('weights.bin', 16));
  const check = async (...args) => {
    const session = await InferenceSession.create(...args);
    const { y } = await session.run({ x: new Tensor(new Float32Array(8).fill(1)) });
    assert.deepEqual([...y.data], Array(8).fill(6));
  };
  const data = { path: './weights.bin', data: weights };
  await rejects(InferenceSession.create(path), 'IO', /weights\.bin could not be read/);
  writeFileSync(join(folder, 'weights.bin'), weights);
  await check(path);
  const bytes = external('weights.bin', 16);
  await check(bytes, { externalData: [data] });
  await check(bytes, { externalData: [{ path: 'weights.bin', data: new Blob([weights]) }] });
  await check(bytes, { externalData: [join(folder, 'weights.bin')] });
  await check(path, { externalData: ['weights.bin'] });
  await rejects(InferenceSession.create(bytes), 'IO', /keeps weights in 'weights\.bin'.*externalData/);
  const short = { path: 'weights.bin', data: weights.subarray(0, 20) };
  await rejects(InferenceSession.create(bytes, { externalData: [short] }), 'IO', /ends after 20 bytes: the model needs 48/);
});

test('a session tells its inputs and outputs', async () => {
  const session = await InferenceSession.create(doubling('float32', ['batch', 3, 'width']));
  assert.deepEqual(session.inputNames, ['x']);
  assert.deepEqual(session.outputNames, ['y']);
  const shape = ['batch', 3, 'width'];
  assert.deepEqual(session.inputMetadata, [{ name: 'x', isTensor: true, type: 'float32', shape }]);
  assert.deepEqual(session.outputMetadata[0].type, 'float32');
  assert.match(session.weft.module, /^weft\..*\.wasm$/);
  assert.equal(session.weft.memory.peak >= session.weft.memory.used, true);
  session.startProfiling();
  session.endProfiling();
  await session.release();
});

test('fetches choose the outputs, and may bring tensors for them', async () => {
  const bytes = model({
    nodes: [node('Neg', ['x'], ['a']), node('Abs', ['a'], ['b'])],
    inputs: { x: tensorType('float32', ['N']) },
    outputs: { a: tensorType('float32', ['N']), b: tensorType('float32', ['N']) },
  });
  const session = await InferenceSession.create(bytes);
  const feeds = { x: floats(1, -2) };
  assert.deepEqual(Object.keys(await session.run(feeds)), ['a', 'b']);
  assert.deepEqual(Object.keys(await session.run(feeds, {})), ['a', 'b']);
  assert.deepEqual(Object.keys(await session.run(feeds, ['b'])), ['b']);
  assert.deepEqual(Object.keys(await session.run(feeds, { b: null }, { tag: 'x' })), ['b']);
  assert.deepEqual(Object.keys(await session.run(feeds, { b: undefined })), ['b']);
  const b = floats(0, 0);
  const data = b.data;
  const results = await session.run(feeds, { a: null, b });
  assert.equal(results.b, b);
  assert.deepEqual([...data], [1, 2]);
  assert.deepEqual([...results.a.data], [-1, 2]);
  await rejects(session.run(feeds, { b: floats(0) }), 'INVALID_ARGUMENT', /output 'b' is float32 \[2\]: the tensor given for it is float32 \[1\]/);
  await rejects(session.run(feeds, ['c']), 'INVALID_ARGUMENT', /no output 'c'/);
  await rejects(session.run(feeds, [1]), 'INVALID_ARGUMENT', /expected output names/);
  await rejects(session.run(feeds, null), 'INVALID_ARGUMENT', /fetches/);
});

test('an error says what is wrong, and the session goes on', async () => {
  const session = await InferenceSession.create(doubling('float32', [2]));
  await rejects(session.run({}), 'INVALID_ARGUMENT', /input 'x' is missing/);
  await rejects(session.run({ x: undefined }), 'INVALID_ARGUMENT', /input 'x' is missing: expected float32 \[2\]$/);
  for (const [type, expected] of [[tensorType('float32'), /expected float32$/], [sequenceType(tensorType('float32')), /expected a sequence$/]]) {
    const other = await InferenceSession.create(identity(type));
    await rejects(other.run({}), 'INVALID_ARGUMENT', expected);
    await other.release();
  }
  await rejects(session.run({ z: floats(1, 2) }), 'INVALID_ARGUMENT', /no input 'z'/);
  await rejects(session.run({ x: floats(1, 2, 3) }), 'INVALID_ARGUMENT', /expected shape \[2\], found \[3\]/);
  await rejects(session.run({ x: new Tensor('int32', [1, 2]) }), 'INVALID_ARGUMENT', /expected float32, found int32|expected float, found int32/);
  await rejects(session.run({ x: [floats(1, 2)] }), 'INVALID_ARGUMENT', /expected a tensor, found a sequence/);
  await rejects(session.run({ x: 5 }), 'INVALID_ARGUMENT', /expected a Tensor.*found number 5/);
  await rejects(session.run(floats(1, 2)), 'INVALID_ARGUMENT', /feeds: expected an object/);
  await rejects(session.run(), 'INVALID_ARGUMENT', /feeds: expected an object/);
  await rejects(session.run(new Map([['x', floats(1, 2)]])), 'INVALID_ARGUMENT', /feeds: expected an object.*Map/);
  assert.deepEqual([...(await session.run({ x: floats(1, 2) })).y.data], [2, 4]);
});

test('bad models are refused', async () => {
  await rejects(InferenceSession.create(new Uint8Array([1, 2, 3])), 'INVALID_MODEL', /./);
  await rejects(InferenceSession.create(new Uint8Array()), 'INVALID_MODEL', /./);
  await rejects(InferenceSession.create(doubling().subarray(0, 40)), 'INVALID_MODEL', /./);
  await rejects(InferenceSession.create(join(folder, 'none.onnx')), 'IO', /none\.onnx could not be read/);
  await rejects(InferenceSession.create(), 'INVALID_ARGUMENT', /expected a URL, path, bytes/);
  await rejects(InferenceSession.create({}), 'INVALID_ARGUMENT', /expected a URL, path, bytes.*found Object/);
  const unknown = model({ nodes: [node('Nothing', [], ['y'], { name: 'n1' })], outputs: { y: tensorType('float32', []) } });
  await assert.rejects(InferenceSession.create(unknown), ({ op, node, message }) => op === 'Nothing' && node === 'n1' && /n1/.test(message));
});

test('a stream that breaks off is told', async () => {
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new Error('the line went dead'));
    },
  });
  await rejects(InferenceSession.create(broken), 'IO', /the stream could not be read to its end: the line went dead/);
  const texts = new ReadableStream({ start: (controller) => (controller.enqueue('text'), controller.close()) });
  await rejects(InferenceSession.create(texts), 'INVALID_ARGUMENT', /expected pieces of bytes, found string text/);
});

test('wrong options are refused', async () => {
  const create = (options) => InferenceSession.create(doubling(), options);
  await rejects(create(null), 'INVALID_ARGUMENT', /options: expected an object/);
  await rejects(create({ threads: 1.5 }), 'INVALID_ARGUMENT', /threads: expected a whole number/);
  await rejects(create({ limits: { maxMemory: -1 } }), 'INVALID_ARGUMENT', /limits\.maxMemory/);
  await rejects(create({ externalData: 'x' }), 'INVALID_ARGUMENT', /externalData: expected an array/);
  await rejects(create({ cache: true }), 'INVALID_ARGUMENT', /cache: expected a name, found boolean true/);
  await rejects(InferenceSession.create(doubling().buffer, 5, 1e6), 'INVALID_ARGUMENT', /not inside the buffer/);
});

test("onnxruntime's options are accepted", async () => {
  const options = {
    executionProviders: ['webgpu', { name: 'wasm' }], graphOptimizationLevel: 'disabled', enableMemPattern: true,
    executionMode: 'sequential', logSeverityLevel: 2, extra: { session: {} }, freeDimensionOverrides: { N: 3 }, deterministic: true,
  };
  await answers(await InferenceSession.create(doubling(), options));
});

test('inputs that have a default are fed where they are, and listed apart', async () => {
  const pair = tensorType('float32', [2]);
  const session = await InferenceSession.create(
    model({
      nodes: [node('Add', ['x', 'w'], ['y'])], inputs: { w: pair, x: pair }, outputs: { y: pair },
      initializers: [tensor('w', 'float32', [2], { raw: new Uint8Array(Float32Array.of(1, 2).buffer) })],
    }),
  );
  assert.deepEqual([session.inputNames, session.inputMetadata.map(({ name }) => name)], [['x'], ['x']]);
  assert.deepEqual(session.weft.defaults, [{ name: 'w', isTensor: true, type: 'float32', shape: [2] }]);
  const x = floats(10, 20);
  assert.deepEqual([...(await session.run({ x })).y.data], [11, 22]);
  assert.deepEqual([...(await session.run({ x, w: x })).y.data], [20, 40]);
  await session.release();
});

test("dimensions are told with onnxruntime's option for their sizes", async () => {
  const create = (freeDimensionOverrides) => InferenceSession.create(doubling('float32', ['batch', 3, 'constructor']), { freeDimensionOverrides });
  const session = await create({ batch: 2 });
  for (const [told] of [session.inputMetadata, session.outputMetadata]) assert.deepEqual(told.shape, [2, 3, 'constructor']);
  await session.release();
  await rejects(create(3), 'INVALID_ARGUMENT', /freeDimensionOverrides: expected an object/);
  await rejects(create({ batch: 'two' }), 'INVALID_ARGUMENT', /freeDimensionOverrides: expected a size for 'batch', found string two/);
});

test('what programs for onnxruntime-web leave undefined is as if it were not there', async () => {
  env.logLevel = undefined;
  assert.equal(env.logLevel, 'warning');
  assert.equal(env.versions.web, env.versions.common);
  const session = await InferenceSession.create(doubling(), { preferredOutputLocation: { y: undefined } });
  const { y } = await session.run({ x: floats(1, 2) });
  assert.deepEqual([...y.cpuData], [2, 4]); // which is what a console shows of a tensor of theirs
  await session.release();
});

test('random numbers are others in every session and every run, unless a seed is given', async () => {
  const bytes = model({ nodes: [node('RandomNormalLike', ['x'], ['y'])], inputs: { x: tensorType('float32', [4]) }, outputs: { y: tensorType('float32', [4]) } });
  const draw = async (options) => {
    const session = await InferenceSession.create(bytes, options);
    const runs = [];
    for (let i = 0; i < 2; i++) runs.push(`${(await session.run({ x: floats(0, 0, 0, 0) })).y.data}`);
    await session.release();
    return runs;
  };
  const all = await Promise.all([undefined, undefined, { seed: 1 }, { seed: 2 }, { deterministic: true }].map(draw));
  assert.equal(new Set(all.flat()).size, 10);
  assert.deepEqual(await draw({ seed: 1 }), all[2]);
  assert.deepEqual(await draw({ deterministic: true, worker: true }), all[4]);
  await rejects(InferenceSession.create(bytes, { seed: 0.5 }), 'INVALID_ARGUMENT', /seed: expected a whole number above 0/);
});

test('limits end a load or a run with an error', async () => {
  const limits = { maxMemory: 1000 };
  await rejects(InferenceSession.create(doubling(), { limits }), 'OUT_OF_MEMORY', /./);
  const session = await InferenceSession.create(doubling(), { limits: { maxElements: 10, maxMemory: 1e6 } });
  await rejects(session.run({ x: new Tensor(new Float32Array(1e6)) }), 'OUT_OF_MEMORY', /./);
  assert.deepEqual([...(await session.run({ x: floats(1) })).y.data], [2]);
});

test('a file larger than what a module can address is refused before it is read', async () => {
  let read = 0;
  let ended = false;
  const source = {
    pull: (stream) => (read++ < 9 ? stream.enqueue(new Uint8Array(1 << 20)) : stream.close()),
    cancel: () => (ended = true),
  };
  const response = new Response(new ReadableStream(source, { highWaterMark: 0 }), { headers: { 'content-length': `${5e9}` } });
  const sentence = /has 5000000000 bytes: a WebAssembly module can hold 4294967296, and memory64 is false/;
  await rejects(InferenceSession.create(response, { memory64: false }), 'OUT_OF_MEMORY', sentence);
  assert.ok(read < 3 && ended);
});

test('loading holds the weights once', async () => {
  const size = 64 << 20;
  const bytes = model({
    nodes: [node('Add', ['x', 'w'], ['y'])],
    inputs: { x: tensorType('float32', [1]) },
    outputs: { y: tensorType('float32', [size / 4]) },
    initializers: [tensor('w', 'float32', [size / 4], { raw: new Uint8Array(size) })],
  });
  const path = join(folder, 'large.onnx');
  writeFileSync(path, bytes);
  for (const source of [path, bytes, new Blob([bytes])]) {
    const session = await InferenceSession.create(source);
    const { peak, reserved } = session.weft.memory;
    assert.ok(peak < 1.3 * size, `the core held ${peak} bytes at most`);
    assert.ok(reserved < 1.5 * size, `the module has ${reserved} bytes`);
    await session.release();
  }
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 10; i++) await (await InferenceSession.create(path)).release();
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 3 * size, `ten sessions that were released left ${grown} bytes behind`);
});

test('runs take turns in the order of their calls', async () => {
  const session = await InferenceSession.create(doubling());
  const order = [];
  const runs = Array.from({ length: 20 }, async (_, i) => {
    const { y } = await session.run({ x: floats(i) });
    order.push(i);
    return y.data[0];
  });
  assert.deepEqual(await Promise.all(runs), Array.from({ length: 20 }, (_, i) => 2 * i));
  assert.deepEqual(order, Array.from({ length: 20 }, (_, i) => i));
});

test('a signal cancels runs that wait, and loads', async () => {
  const session = await InferenceSession.create(doubling());
  const controller = new AbortController();
  const first = session.run({ x: floats(1) });
  const second = session.run({ x: floats(2) }, { signal: controller.signal });
  const third = session.run({ x: floats(3) });
  controller.abort('enough');
  await assert.rejects(second, ({ code, cause }) => code === 'CANCELLED' && cause === 'enough');
  assert.deepEqual((await Promise.all([first, third])).map(({ y }) => y.data[0]), [2, 6]);
  await rejects(session.run({ x: floats(2) }, { signal: controller.signal }), 'CANCELLED', /cancelled/);
  await rejects(InferenceSession.create(doubling(), { signal: controller.signal }), 'CANCELLED', /cancelled/);
  const late = new AbortController();
  await rejects(InferenceSession.create(doubling(), { signal: late.signal, onProgress: () => late.abort() }), 'CANCELLED', /cancelled/);
});

test('a released session waits for its runs, then refuses more', async () => {
  const session = await InferenceSession.create(doubling());
  const run = session.run({ x: floats(1) });
  await Promise.all([session.release(), session.release()]);
  assert.deepEqual([...(await run).y.data], [2]);
  await rejects(session.run({ x: floats(1) }), 'INVALID_ARGUMENT', /released/);
  assert.deepEqual(session.weft.memory, { used: 0, peak: 0, reserved: 0 });
});

test('feeds are kept apart: new values, new shapes, two inputs', async () => {
  const bytes = model({
    nodes: [node('Sub', ['a', 'b'], ['y'])],
    inputs: { a: tensorType('float32', ['N']), b: tensorType('float32', ['M']) },
    outputs: { y: tensorType('float32', ['N']) },
  });
  const session = await InferenceSession.create(bytes);
  for (const [a, b, y] of [[[5], [3], [2]], [[7], [1], [6]], [[1, 2, 3], [1], [0, 1, 2]], [[1, 2], [2, 1], [-1, 1]], [[5], [3], [2]]]) {
    assert.deepEqual([...(await session.run({ a: floats(...a), b: floats(...b) })).y.data], y);
  }
});

test("tensors of another copy of the package, or of onnxruntime-common, can be fed", async () => {
  const session = await InferenceSession.create(doubling());
  const foreign = { type: 'float32', dims: [2], data: new Float32Array([1, 2]), location: 'cpu', size: 2 };
  assert.deepEqual([...(await session.run({ x: foreign })).y.data], [2, 4]);
  await rejects(session.run({ x: { ...foreign, dims: [3] } }), 'INVALID_ARGUMENT', /input 'x': .*expected data of 3 items, found 2/);
});

test('many sessions live and go', async () => {
  for (let i = 0; i < 50; i++) await answers(await InferenceSession.create(doubling()));
});

test('the version is that of the package', () => {
  assert.equal(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version, version);
  assert.equal(env.versions.common, version);
});

/** Collects what console.warn is told while `work` goes on. */
async function heard(t, work) {
  const { mock } = t.mock.method(console, 'warn', () => {});
  await work();
  const lines = mock.calls.map((call) => call.arguments.join(' '));
  mock.restore();
  return lines;
}

test('a model in training mode is warned of, in every kind of session, as loud as wanted', async (t) => {
  const scalar = (name, type, raw) => tensor(name, type, [], { raw });
  const bytes = model({
    nodes: [node('Dropout', ['x', 'ratio', 'training'], ['y'], { name: 'drop' })],
    inputs: { x: tensorType('float32', [3]) },
    outputs: { y: tensorType('float32', [3]) },
    initializers: [scalar('ratio', 'float32', new Uint8Array(new Float32Array([0.5]).buffer)), scalar('training', 'bool', [1])],
  });
  const sentence = /node 'drop' \(Dropout\): drops values at random, as in training/;
  for (const worker of [false, true]) {
    const [line, ...others] = await heard(t, async () => {
      const session = await InferenceSession.create(bytes, { worker });
      assert.match(session.weft.warnings[0], sentence);
      await session.release();
    });
    assert.match(line, sentence);
    assert.deepEqual(others, []);
  }
  const level = env.logLevel;
  env.logLevel = 'error';
  assert.deepEqual(await heard(t, () => InferenceSession.create(bytes)), []);
  env.logLevel = level;
  assert.deepEqual(await heard(t, () => InferenceSession.create(doubling())), []);
});

test('operators of a newer opset than is known run as in the newest that is, with a warning', async (t) => {
  const bytes = model({
    nodes: [node('Neg', ['x'], ['t'], { name: 'neg' }), node('Abs', ['t'], ['y'])],
    inputs: { x: tensorType('float32', [2]) },
    outputs: { y: tensorType('float32', [2]) },
    opset: 99,
  });
  const lines = await heard(t, async () => {
    const session = await InferenceSession.create(bytes);
    const { y } = await session.run({ x: new Tensor('float32', [1, -2], [2]) });
    assert.deepEqual([...y.data], [1, 2]);
  });
  assert.deepEqual(lines.length, 1);
  assert.match(lines[0], /node 'neg' \(Neg\): is of a newer opset than is known here: .* \(1 other node too\)/);
});

test('log levels are checked', () => {
  env.logLevel = 'error';
  assert.equal(env.logLevel, 'error');
  assert.throws(() => (env.logLevel = 'loud'), /log level 'loud'/);
});

test('inputs that nothing reads need feeds like all others; those that subgraphs and outputs read are read', async () => {
  const pair = tensorType('float32', [2]);
  const branch = (value) => ({ graph: graphOf({ nodes: [node('Add', [value, value], ['r'])], outputs: { r: pair } }) });
  const bytes = model({
    nodes: [node('Relu', ['dead'], ['nobody']), node('If', ['which'], ['y'], { then_branch: branch('a'), else_branch: branch('b') })],
    inputs: { which: tensorType('bool', []), a: pair, b: pair, dead: pair, unread: pair, passed: pair },
    outputs: { y: pair, passed: pair },
  });
  for (const graphOptimizationLevel of ['all', 'disabled']) {
    const session = await InferenceSession.create(bytes, { graphOptimizationLevel });
    const feeds = { a: floats(1, 2), b: floats(3, 4), dead: floats(5, 6), unread: floats(7, 8), passed: floats(9, 10) };
    for (const [which, expected] of [[true, [2, 4]], [false, [6, 8]]]) {
      const { y, passed } = await session.run({ ...feeds, which: new Tensor('bool', [which], []) });
      assert.deepEqual([[...y.data], [...passed.data]], [expected, [9, 10]]);
    }
    const which = new Tensor('bool', [true], []);
    for (const name of ['dead', 'unread']) {
      await rejects(session.run({ ...feeds, which, [name]: floats(1, 2, 3) }), 'INVALID_ARGUMENT', new RegExp(`'${name}'.*shape`));
      await rejects(session.run({ ...feeds, which, [name]: undefined }), 'INVALID_ARGUMENT', new RegExp(name));
    }
    await session.release();
  }
});

test('a graph eight times as long takes about eight times as long, whatever it is long in', async () => {
  const one = new Float32Array([1]);
  const float = tensorType('float32', [1]);
  const list = (count, item) => Array.from({ length: count }, (_, i) => item(i));
  const named = (names) => Object.fromEntries(names.map((name) => [name, float]));
  const weight = (name) => tensor(name, 'float32', [1], { raw: Buffer.from(one.buffer) });
  const chain = (count, op, more) => list(count, (i) => node(op, [i === 0 ? 'x' : `v${i}`, ...more(i)], [i === count - 1 ? 'y' : `v${i + 1}`]));
  const graphs = {
    weights: (n) => ({ nodes: chain(n, 'Add', (i) => [`w${i}`]), initializers: list(n, (i) => weight(`w${i}`)) }),
    readers: (n) => ({ nodes: [...list(n, (i) => node('Neg', ['x'], [`n${i}`])), node('Sum', list(n, (i) => `n${i}`), ['y'])] }),
    constants: (n) => ({ nodes: [node('Constant', [], ['v1'], { value: weight('') }), ...chain(n, 'Add', () => ['v1']).slice(1)] }),
    inputs: (n) => ({ nodes: [node('Sum', list(n, (i) => `x${i}`), ['y'])], inputs: named(list(n, (i) => `x${i}`)) }),
    outputs: (n) => ({ nodes: list(n, (i) => node('Neg', ['x'], [`y${i}`])), outputs: named(list(n, (i) => `y${i}`)) }),
  };
  const seconds = async (bytes) => {
    const { user, system } = process.cpuUsage();
    const session = await InferenceSession.create(bytes);
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, new Tensor('float32', one, [1])]).reverse());
    await session.run(feeds);
    await session.release();
    const now = process.cpuUsage();
    return (now.user - user + now.system - system) / 1e6;
  };
  for (const [what, make] of Object.entries(graphs)) {
    const bytes = (n) => model({ inputs: named(['x']), outputs: named(['y']), ...make(n) });
    const short = Math.min(await seconds(bytes(2000)), await seconds(bytes(2000)));
    const long = await seconds(bytes(16000));
    assert.ok(long < 24 * short, `${what}: ${short} s, then ${long} s`);
  }
});
