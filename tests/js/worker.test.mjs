/* Sessions in workers of their own: the same answers and errors, and a thread that stays free. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync, openAsBlob } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { env, InferenceSession, Tensor, WeftError } from '../../dist/weft.mjs';
import { doubling, external, identity, model, node, sequenceType, tensor, tensorType } from './onnx.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(folder, { recursive: true }));

const worker = { worker: true };
const floats = (...values) => new Tensor('float32', values);
const rejects = (promise, code, pattern) =>
  assert.rejects(promise, (error) => error instanceof WeftError && error.code === code && pattern.test(error.message));

/** Seconds of work: many products of matrices, one after another. */
const heavy = model({
  nodes: Array.from({ length: 200 }, (_, i) => node('MatMul', [i ? `v${i}` : 'x', 'x'], [i < 199 ? `v${i + 1}` : 'y'])),
  inputs: { x: tensorType('float32', [512, 512]) },
  outputs: { y: tensorType('float32', [512, 512]) },
});
const matrix = new Tensor(new Float32Array(512 * 512), [512, 512]);

test('models from every source', async () => {
  const bytes = doubling();
  const path = join(folder, 'model.onnx');
  writeFileSync(path, bytes);
  const buffer = new Uint8Array([...new Uint8Array(10), ...bytes]).buffer;
  const sources = [
    [path], [bytes], [buffer.slice(10)], [buffer, 10, bytes.length], [new Blob([bytes])], [await openAsBlob(path)],
    [new Blob([bytes]).stream()], [new Response(bytes)],
  ];
  for (const source of sources) {
    const session = await InferenceSession.create(...source, worker);
    assert.deepEqual(session.inputNames, ['x']);
    assert.deepEqual([...(await session.run({ x: floats(1, 2, 3) })).y.data], [2, 4, 6]);
    assert.ok(session.weft.memory.peak > 0);
    await session.release();
    await rejects(session.run({ x: floats(1) }), 'INVALID_ARGUMENT', /released/);
    assert.deepEqual(session.weft.memory, { used: 0, peak: 0, reserved: 0 });
  }
  assert.equal(bytes.length, doubling().length);
});

test('a stream that ends while another one is read does no harm', async () => {
  const part = (name, offset) => tensor(name, 'float32', [8], { external: { location: `${name}.bin`, offset, length: 32 } });
  const bytes = model({
    nodes: [node('Add', ['x', 'v'], ['a']), node('Add', ['a', 'w'], ['y'])],
    inputs: { x: tensorType('float32', [8]) },
    outputs: { y: tensorType('float32', [8]) },
    initializers: [part('v', 0), part('w', 0)],
  });
  const later = (wait, value) => new Promise((resolve) => setTimeout(resolve, wait, value));
  const piece = new Uint8Array(new Float32Array(8).fill(1).buffer);
  const v = ReadableStream.from((async function* () {
    yield piece.slice();
    await later(50); // the end comes when all that is wanted is there
  })());
  const w = ReadableStream.from((async function* () {
    yield piece.slice(0, 16);
    yield await later(200, piece.slice(16));
  })());
  const externalData = [{ path: 'v.bin', data: v }, { path: 'w.bin', data: w }];
  const session = await InferenceSession.create(bytes, { ...worker, externalData });
  assert.deepEqual([...(await session.run({ x: floats(1, 2, 3, 4, 5, 6, 7, 8) })).y.data], [3, 4, 5, 6, 7, 8, 9, 10]);
  await session.release();
});

test('a stream goes over as it is read, and ends with the load', async () => {
  const bytes = doubling();
  let at = 0;
  let cancelled = false;
  const halves = new ReadableStream({
    pull(controller) {
      if (at === 2) return controller.close();
      controller.enqueue(at++ === 0 ? bytes.subarray(0, 20) : bytes.subarray(20));
    },
  });
  const session = await InferenceSession.create(halves, worker);
  assert.deepEqual([...(await session.run({ x: floats(1) })).y.data], [2]);
  await session.release();
  const broken = new ReadableStream({ pull: (controller) => controller.error(new Error('the line went dead')) });
  await rejects(InferenceSession.create(broken, worker), 'IO', /the stream could not be read to its end: the line went dead/);
  await rejects(InferenceSession.create(broken, worker), 'IO', /the stream could not be read to its end: .*locked/);
  const controller = new AbortController();
  const endless = new ReadableStream({ pull: () => new Promise(() => {}), cancel: () => (cancelled = true) });
  const load = InferenceSession.create(endless, { ...worker, signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  await rejects(load, 'CANCELLED', /cancelled/);
  assert.ok(cancelled, 'the stream goes on');
});

test('weights in other files, and progress', async () => {
  const data = new Uint8Array(40).subarray(4, 36);
  const phases = new Set();
  const options = { ...worker, externalData: [{ path: 'weights.bin', data }], onProgress: ({ phase }) => phases.add(phase) };
  const session = await InferenceSession.create(external(), options);
  assert.deepEqual([...(await session.run({ x: new Tensor(new Float32Array(8).fill(2)) })).y.data], Array(8).fill(2));
  assert.deepEqual([...phases], ['model', 'external', 'prepare']);
  await session.release();
  const failing = { ...worker, onProgress: () => { throw new Error('not so'); } };
  await assert.rejects(InferenceSession.create(doubling(), failing), /not so/);
});

test('strings, sequences, parts of arrays, and tensors to fill', async () => {
  const strings = await InferenceSession.create(identity(tensorType('string', ['N'])), worker);
  assert.deepEqual((await strings.run({ x: new Tensor(['a', 'ü']) })).y.data, ['a', 'ü']);
  const sequences = await InferenceSession.create(identity(sequenceType(tensorType('float32'))), worker);
  const { y } = await sequences.run({ x: [floats(1), floats(2, 3)] });
  assert.ok(y.every((item) => item instanceof Tensor));
  assert.deepEqual(y.map(({ data }) => [...data]), [[1], [2, 3]]);
  const session = await InferenceSession.create(doubling(), worker);
  const x = new Tensor(new Float32Array([9, 1, 2, 9]).subarray(1, 3));
  const target = floats(0, 0);
  assert.equal((await session.run({ x }, { y: target })).y, target);
  assert.deepEqual([...target.data], [2, 4]);
  assert.equal(x.data.length, 2);
  await Promise.all([strings, sequences, session].map((each) => each.release()));
});

test('errors arrive whole, and the session goes on', async () => {
  await rejects(InferenceSession.create(new Uint8Array([1, 2, 3]), worker), 'INVALID_MODEL', /./);
  await rejects(InferenceSession.create(join(folder, 'none'), worker), 'IO', /none could not be read/);
  const unknown = model({ nodes: [node('Nothing', [], ['y'], { name: 'n1' })], outputs: { y: tensorType('float32', []) } });
  await assert.rejects(InferenceSession.create(unknown, worker), ({ op, node }) => op === 'Nothing' && node === 'n1');
  const session = await InferenceSession.create(doubling('float32', [2]), worker);
  await rejects(session.run({}), 'INVALID_ARGUMENT', /input 'x' is missing/);
  await rejects(session.run({ x: () => {} }), 'INVALID_ARGUMENT', /cannot be sent/);
  await rejects(session.run({ x: 5 }), 'INVALID_ARGUMENT', /expected a Tensor/);
  assert.deepEqual([...(await session.run({ x: floats(1, 2) })).y.data], [2, 4]);
  await session.release();
});

test('this thread stays free while the worker works', async () => {
  const session = await InferenceSession.create(heavy, worker);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  await session.run({ x: matrix });
  clearInterval(timer);
  assert.ok(ticks > 10, `${ticks} ticks`);
  await session.release();
});

for (const threads of [1, 2]) {
  test(`a run that has begun is cancelled, with ${threads} thread${threads > 1 ? 's' : ''}`, async () => {
    const session = await InferenceSession.create(heavy, { worker: true, threads });
    const begin = performance.now();
    await session.run({ x: matrix });
    const whole = performance.now() - begin;
    const controller = new AbortController();
    const run = session.run({ x: matrix }, { signal: controller.signal });
    setTimeout(() => controller.abort(), whole / 20);
    const cancelled = performance.now();
    await rejects(run, 'CANCELLED', /cancelled/);
    assert.ok(performance.now() - cancelled < whole / 2, 'the answer came late');
    await rejects(session.run({}), 'INVALID_ARGUMENT', /missing/);
    if (threads > 1) assert.ok(performance.now() - cancelled < whole / 2, 'the worker went on to the end');
    await session.release();
  });
}

test('a load is cancelled', async () => {
  const controller = new AbortController();
  const load = InferenceSession.create(new ReadableStream(), { ...worker, signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  await rejects(load, 'CANCELLED', /cancelled/);
});

test('sessions in workers come up after one with threads on this thread', async () => {
  for (const options of [{}, worker]) {
    const session = await InferenceSession.create(doubling(), { threads: 2, ...options });
    assert.deepEqual([...(await session.run({ x: floats(1) })).y.data], [2]);
    await session.release();
  }
});

test('env.wasm.proxy asks for it everywhere, and a program ends without releasing anything', () => {
  const program = `
    import { env, InferenceSession, Tensor } from ${JSON.stringify(new URL('../../dist/weft.mjs', import.meta.url).href)};
    env.wasm.proxy = true;
    const session = await InferenceSession.create(${JSON.stringify(join(folder, 'model.onnx'))}, { threads: 2 });
    const { y } = await session.run({ x: new Tensor('float32', [1, 2]) });
    console.log(...y.data, session.weft.threads);`;
  const file = join(folder, 'program.mjs');
  writeFileSync(file, program);
  assert.equal(execFileSync(process.execPath, [file], { encoding: 'utf8', timeout: 30_000 }).trim(), '2 4 2');
  assert.equal(env.wasm.proxy, undefined);
});

for (const options of [{}, worker]) {
  test(`an error's stack tells who called ${options.worker ? 'in a worker' : 'on this thread'}`, async () => {
    const session = await InferenceSession.create(doubling(), options);
    const caller = async () => void (await session.run({ x: new Tensor('int32', [1]) }));
    const creator = async () => void (await InferenceSession.create(new Uint8Array(9), options));
    await assert.rejects(caller(), ({ stack }) => /at (async )?caller/.test(stack));
    await assert.rejects(creator(), ({ stack }) => /at (async )?creator/.test(stack));
    await session.release();
  });

  test(`a signal that many wait with is left as it was ${options.worker ? 'in a worker' : 'on this thread'}`, async () => {
    const [{ signal }, warnings] = [new AbortController(), []];
    const hear = ({ name }) => warnings.push(name);
    process.on('warning', hear);
    const session = await InferenceSession.create(doubling(), { ...options, signal });
    await Promise.all(Array.from({ length: 20 }, () => session.run({ x: floats(1) }, { signal })));
    await session.release();
    process.off('warning', hear);
    assert.deepEqual([warnings, getEventListeners(signal, 'abort')], [[], []]);
  });
}
