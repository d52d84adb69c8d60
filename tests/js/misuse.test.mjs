/*
 * Wrong calls, by careless hands and from other realms: each is refused with one sentence, or does what was meant, on this thread
 * and in a worker; never a TypeError from within, never a wrong answer.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { InferenceSession, Tensor, WeftError } from '../../dist/weft.mjs';
import { doubling, external, model, node, sequenceType, tensorType } from './onnx.mjs';

const identity = (type) => model({ nodes: [node('Identity', ['x'], ['y'])], inputs: { x: tensorType(type, ['n']) }, outputs: { y: tensorType(type, ['n']) } });
const float = (data, dims = [3]) => ({ type: 'float32', dims, data });
const detached = (data) => (structuredClone(data.buffer, { transfer: [data.buffer] }), data);
const elsewhere = (code) => runInNewContext(code);
const rejects = (promise, pattern, code = 'INVALID_ARGUMENT') =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof WeftError, `${error.stack}`);
    assert.match(error.message, pattern);
    assert.equal(error.code, code);
    return true;
  });

/** Feeds that are not what they say, or not what can be fed. */
const wrongFeeds = {
  'other numbers than its type says': [float(new Int32Array(3)), /input 'x': .*Float32Array.*Int32Array/],
  'dims that are no numbers': [float(new Float32Array(3), [NaN]), /input 'x': dims \[NaN\]/],
  'half a dim': [float(new Float32Array(3), [1.5]), /input 'x': dims \[1.5\]/],
  'a negative dim': [float(new Float32Array(3), [-3]), /input 'x': dims \[-3\]/],
  'no data': [float(null), /input 'x'.*null/],
  'text for strings': [{ type: 'string', dims: [3], data: 'abc' }, /input 'x': .*array of strings/],
  'too little data': [float(new Float32Array(2)), /input 'x': .*3 items, found 2/],
  'too high a rank': [new Tensor('float32', [1], new Array(20).fill(1)), /input 'x': .*rank.*20/],
};

const subclass = class extends Float32Array {};
/** What is a Float32Array all the same, or nearly. */
const rightFeeds = {
  'a subclass': () => new Tensor('float32', subclass.of(1, 2, 3)),
  "a subclass' own type": () => new Tensor(subclass.of(1, 2, 3)),
  "another realm's array": () => new Tensor('float32', elsewhere('new Float32Array([1, 2, 3])')),
  "the type of another realm's array": () => new Tensor(elsewhere('new Float32Array([1, 2, 3])')),
  'an array in a plain object': () => float([1, 2, 3]),
  'what structuredClone makes of a tensor': () => structuredClone(new Tensor('float32', [1, 2, 3])),
};

function bytesElsewhere() {
  const copy = elsewhere('(bytes) => Uint8Array.from(bytes).buffer');
  return copy(doubling());
}

function amid(View) {
  const around = new Uint8Array(doubling().length + 10);
  around.set(doubling(), 5);
  return new View(around.buffer, 5, doubling().length);
}

const streamOf = (...pieces) => new ReadableStream({ start: (controller) => (pieces.forEach((piece) => controller.enqueue(piece)), controller.close()) });

for (const worker of [false, true]) {
  const where = worker ? 'in a worker' : 'on this thread';
  const create = (input = doubling(), options = {}) => InferenceSession.create(input, { worker, ...options });

  test(`wrong feeds are refused, ${where}`, async () => {
    const session = await create();
    for (const [x, pattern] of Object.values(wrongFeeds)) await rejects(session.run({ x }), pattern);
    await session.release();
  });

  test(`feeds of other kinds and realms are taken, ${where}`, async () => {
    const session = await create();
    for (const [what, make] of Object.entries(rightFeeds)) assert.deepEqual([...(await session.run({ x: make() })).y.data], [2, 4, 6], what);
    await session.release();
    const bytes = await create(identity('uint8'));
    const { y } = await bytes.run({ x: new Tensor(Buffer.from('abc')) });
    assert.deepEqual([y.type, ...y.data], ['uint8', 97, 98, 99]);
    await bytes.release();
  });

  test(`data that was transferred is missed, also where it was packed, ${where}`, async () => {
    for (const [type, data] of [['float32', [1, 2, 3]], ['int4', [1, 2, 3, 4]]]) {
      const session = await create(identity(type));
      const x = new Tensor(type, data);
      detached(x.data);
      await rejects(session.run({ x }), worker ? /detached/ : /input 'x': .*found 0/);
      await session.release();
    }
    const gone = new ArrayBuffer(10);
    structuredClone(gone, { transfer: [gone] });
    await rejects(create(gone), /detached/);
  });

  test(`models in views of all kinds are read, ${where}`, async () => {
    const inputs = [bytesElsewhere(), amid(DataView), amid(Uint8Array), amid(Int8Array), Buffer.from(amid(Uint8Array)), streamOf(amid(DataView)), streamOf(new Uint8Array(), amid(Uint8Array))];
    for (const input of inputs) await (await create(input)).release();
  });

  test(`a sequence holds what the model says, ${where}`, async () => {
    const list = sequenceType(tensorType('float32'));
    const session = await create(model({ nodes: [node('Identity', ['x'], ['y'])], inputs: { x: list }, outputs: { y: list } }));
    await rejects(session.run({ x: [new Tensor('float32', [1]), new Tensor('int64', [1])] }), /input 'x': expected a sequence of float32, found int64 in it/);
    const round = [];
    round.push(round);
    await rejects(session.run({ x: round }), /input 'x': its arrays are nested more than 32 deep/);
    assert.equal((await session.run({ x: [new Tensor('float32', [1])] })).y.length, 1);
    await session.release();
  });

  test(`what is no tensor in a sequence is none to join, ${where}`, async () => {
    const join = node('ConcatFromSequence', ['x'], ['y'], { axis: 0, new_axis: 1 });
    const session = await create(model({ nodes: [join], inputs: { x: sequenceType(tensorType('float32')) }, outputs: { y: tensorType('float32') } }));
    const x = new Tensor('float32', [1]);
    for (const items of [[[x]], [null], [x, [x]]]) await rejects(session.run({ x: items }), /ConcatFromSequence\): item \d: expected a tensor/, 'RUN_FAILED');
    await session.release();
  });

  test(`tensors to fill must have room of the right kind, ${where}`, async () => {
    const session = await create();
    const x = new Tensor('float32', [1, 2, 3]);
    const y = new Tensor('float32', [0, 0, 0]);
    detached(y.data);
    await rejects(session.run({ x }, { y }), /output 'y'/);
    await rejects(session.run({ x }, { y: float(new Int32Array(3)) }), /output 'y'/);
    await session.release();
    const small = await create(identity('int4'));
    const filled = { loose: new Tensor('int4', new Int8Array(4), [4]), packed: new Tensor('int4', new Int8Array(2), [4]) };
    for (const target of Object.values(filled)) await small.run({ x: new Tensor('int4', [1, 2, 3, -4]) }, { y: target });
    assert.deepEqual([[...filled.loose.data], [...filled.packed.data]], [[1, 2, 3, -4], [0x21, 0xc3 - 256]]);
    await small.release();
  });

  test(`wrong options and places are refused, ${where}`, async () => {
    for (const [options, pattern] of [
      [{ signal: {} }, /signal/], [{ onProgress: 3 }, /onProgress/], [{ limits: 3 }, /limits/], [{ limits: { maxmemory: 1 } }, /limits.*maxmemory/],
      [{ threads: '4' }, /threads: .*found string 4/],
    ]) await rejects(create(doubling(), options), pattern);
    await rejects(create(new Response('', { status: 404 })), /the response: the server answered 404/, 'IO');
    await rejects(create('http://'), /http:\/\//);
    await rejects(create(Buffer.alloc(1e5).toString('base64')), /^expected a URL or path, found a text of 133336 characters/);
    const session = await create();
    await rejects(session.run({ x: new Tensor('float32', [1]) }, { signal: 3 }), /signal/);
    for (const x of [[1, 2], new Float32Array(2)]) await rejects(session.run({ x }), /expected a Tensor, as new Tensor\('float32', data, dims\) makes/);
    await session.release();
  });

  test(`a signal set right after the call ends a load, ${where}`, async () => {
    const controller = new AbortController();
    const created = create(doubling(), { signal: controller.signal });
    controller.abort();
    await rejects(created, /AbortSignal/, 'CANCELLED');
  });

  test(`a signal ends the wait for a stream that says no more, ${where}`, async () => {
    const ended = [];
    const stalled = () => new ReadableStream({ start: (controller) => controller.enqueue(doubling().slice(0, 9)), cancel: () => void ended.push(1) });
    const weights = { externalData: [{ path: 'weights.bin', data: stalled() }] };
    const alive = setInterval(() => {}, 1000);
    for (const [input, options] of [[stalled()], [new Response(stalled())], [external(), weights]]) {
      await rejects(create(input, { ...options, signal: AbortSignal.timeout(50) }), /AbortSignal/, 'CANCELLED');
    }
    clearInterval(alive);
    assert.equal(ended.length, 3);
  });

  test(`a signal ends the wait for a module that does not come, ${where}`, async (t) => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.on('listening', resolve));
    t.after(() => (silent.closeAllConnections(), silent.close()));
    const wasm = `http://127.0.0.1:${silent.address().port}/weft.simd.wasm`;
    await rejects(create(doubling(), { wasm, signal: AbortSignal.timeout(50) }), /AbortSignal/, 'CANCELLED');
  });

  test(`a page instead of weights is no weights, and short ones are named, ${where}`, async (t) => {
    const page = `<!DOCTYPE html>${' '.repeat(100)}`;
    const answers = { '/model.onnx': external('w.bin'), '/w.bin': page, '/page.onnx': page };
    const server = createServer(({ url }, response) => response.end(answers[url]));
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    t.after(() => server.close());
    await rejects(create(`http://127.0.0.1:${server.address().port}/model.onnx`), /w\.bin is a web page/, 'IO');
    const message = /^http:.*page\.onnx: this is not an ONNX model: the file is a web page/;
    await rejects(create(`http://127.0.0.1:${server.address().port}/page.onnx`), message, 'INVALID_MODEL');
    const pointer = Buffer.from(`version https://git-lfs.github.com/spec/v1${' '.repeat(100)}`);
    await rejects(create(external('w.bin'), { externalData: [{ path: 'w.bin', data: pointer }] }), /'w\.bin' is a Git LFS pointer/, 'IO');
    await rejects(create(external('w.bin'), { externalData: [{ path: 'w.bin', data: new Uint8Array(31) }] }), /'w\.bin' ends after 31 bytes/, 'IO');
  });
}

test('what would be NaN, 0 or true unheard is no number', async () => {
  const refuses = (action, pattern) => assert.throws(action, (error) => error instanceof WeftError && pattern.test(error.message));
  refuses(() => new Tensor('float32', [[1, 2], [3, 4]], [2]), /item 0 of a tensor of float32: expected a number, found Array/);
  refuses(() => new Tensor('float32', [1, undefined]), /item 1 of a tensor of float32: expected a number, found undefined$/);
  refuses(() => new Tensor('float16', ['1']), /item 0 of a tensor of float16: expected a number, found string 1/);
  refuses(() => new Tensor('int32', [null]), /item 0 of a tensor of int32: expected a number, found null/);
  refuses(() => new Tensor('bool', ['false']), /item 0 of a tensor of bool/);
  assert.deepEqual([...new Tensor('float32', [1n, true, -0.5]).data], [1, 1, -0.5]);
});

test('a Blob that cannot be read, as that of jsdom, is told', async () => {
  const blob = Object.assign(new Blob([doubling()]), { stream: undefined });
  await rejects(InferenceSession.create(blob), /Blob has no stream/, 'UNSUPPORTED');
});

test('a session is made by create, and a misspelt level is none', async () => {
  assert.throws(() => new InferenceSession(doubling()), (error) => error instanceof WeftError && /InferenceSession\.create/.test(error.message));
  await rejects(InferenceSession.create(doubling(), { graphOptimizationLevel: 'none' }), /graphOptimizationLevel: expected one of disabled, .*found string none/);
  await rejects(InferenceSession.create(undefined), /found undefined$/);
});
