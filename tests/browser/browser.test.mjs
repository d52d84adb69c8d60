/*
 * The package in browsers: in a page that is cross-origin isolated and in one that is not, in workers, from every source of
 * a model that a page has. The page's policy forbids all evaluation of text.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serve } from '../../tools/serve.mjs';
import { root } from '../../tools/setup/paths.mjs';
import { doubling, external, model, node, tensorType } from '../js/onnx.mjs';
import { browsers } from '../tools/browsers.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
writeFileSync(join(folder, 'doubling.onnx'), doubling());
writeFileSync(join(folder, 'external.onnx'), external());
writeFileSync(join(folder, 'weights.bin'), Buffer.from(new Float32Array(8).fill(3).buffer));
mkdirSync(join(folder, 'short'));
writeFileSync(join(folder, 'short/external.onnx'), external());
writeFileSync(join(folder, 'short/weights.bin'), Buffer.alloc(16));
writeFileSync(join(folder, 'broken.onnx'), doubling().subarray(0, 60));
const matmul = model({
  nodes: [node('MatMul', ['x', 'x'], ['y'])],
  inputs: { x: tensorType('float32', [256, 256]) },
  outputs: { y: tensorType('float32', [256, 256]) },
});
writeFileSync(join(folder, 'matmul.onnx'), matmul);

/** y = -(x + x) - (x + x), where the sums are another domain's operator. */
writeFileSync(join(folder, 'custom.onnx'), model({
  nodes: [node('Add', ['x', 'x'], ['a'], { domain: 'lab' }), node('Neg', ['a'], ['b']), node('Add', ['b', 'b'], ['y'], { domain: 'lab' })],
  inputs: { x: tensorType('float32', ['N']) },
  outputs: { y: tensorType('float32', ['N']) },
}));

const folders = { '/': join(root, 'tests/browser/page'), '/dist/': join(root, 'dist'), '/models/': folder };

after(() => rmSync(folder, { recursive: true }));

for (const [name, { launch, missing, simd }] of Object.entries(browsers)) describe(name, { skip: missing }, () => {
  let browser, isolated, plain;
  const pages = [];

  async function open(url) {
    const page = await browser.newPage();
    pages.push(page);
    await page.goto(url);
    await page.waitForFunction('window.double');
    return page;
  }

  before(async () => {
    browser = await launch();
    isolated = await serve(folders);
    plain = await serve(folders, { isolated: false });
  });
  after(async () => {
    await browser?.close();
    isolated?.close();
    plain?.close();
  });

  test('a model by URL', async () => {
    const page = await open(plain.url);
    const { answer, module, threads } = await page.evaluate(() => double('/models/doubling.onnx'));
    assert.deepEqual([answer, module, threads], [[2, 4], `weft.${simd}.wasm`, 1]);
    assert.deepEqual((await page.evaluate(() => double(new URL('/models/doubling.onnx', location.href)))).answer, [2, 4]);
  });

  // Without isolation memory can be shared, but not be sent to a thread.
  test('a model in a module of 64-bit addresses', async () => {
    for (const [url, most] of [[isolated.url, 2], [plain.url, 1]]) {
      const page = await open(url);
      for (const options of [{}, { worker: true }]) {
        const load = (options) => double('/models/doubling.onnx', { memory64: true, threads: 2, ...options }).catch(({ message }) => message);
        const found = await page.evaluate(load, options);
        if (name === 'WebKit') assert.equal(found, 'memory64 is true, but the host has no WebAssembly memory of 64-bit addresses');
        else assert.deepEqual([found.answer, found.module, found.threads], [[2, 4], 'weft.relaxed.threads.64.wasm', most]);
      }
    }
  });

  test('a model as bytes, stream, response and blob', async () => {
    const page = await open(plain.url);
    const answers = await page.evaluate(async () => {
      const get = () => fetch('/models/doubling.onnx');
      const sources = [await get(), (await get()).body, await (await get()).blob(), await (await get()).arrayBuffer()];
      const found = [];
      for (const source of sources) found.push((await double(source)).answer);
      return found;
    });
    assert.deepEqual(answers, Array(4).fill([2, 4]));
  });

  test('a model from a file input', async () => {
    const page = await open(plain.url);
    await page.setInputFiles('#file', join(folder, 'doubling.onnx'));
    assert.deepEqual((await page.evaluate(() => double(document.querySelector('#file').files[0]))).answer, [2, 4]);
  });

  test('external data beside a URL', async () => {
    const page = await open(plain.url);
    const found = await page.evaluate(async () => {
      const session = await weft.InferenceSession.create('models/external.onnx');
      return [...(await session.run({ x: new weft.Tensor(new Float32Array(8)) })).y.data];
    });
    assert.deepEqual(found, Array(8).fill(3));
  });

  test('files that are kept need no network', async () => {
    const page = await open(plain.url);
    const found = await page.evaluate(async () => {
      const load = async (options) => {
        const session = await weft.InferenceSession.create('models/external.onnx', { cache: 'kept', ...options });
        return (await session.run({ x: new weft.Tensor(new Float32Array(8)) })).y.data[7];
      };
      const sizes = [];
      const onProgress = ({ phase, total }) => sizes.push(phase, total);
      const answers = [await load({ onProgress })];
      const keys = await (await caches.open('kept')).keys();
      const names = keys.map(({ url }) => url.split('/').at(-1));
      const first = sizes.splice(0);
      const { fetch } = window;
      window.fetch = (url, ...rest) => (/models/.test(url) ? Promise.reject(new Error('offline')) : fetch(url, ...rest));
      answers.push(await load({ onProgress }), await load({ worker: true }));
      window.fetch = fetch;
      return { answers, names, same: `${first}` === `${sizes}` };
    });
    assert.deepEqual(found, { answers: [3, 3, 3], names: ['external.onnx', 'weights.bin'], same: true });
  });

  test('what does not load is not kept, and what cannot be kept loads', async () => {
    const page = await open(plain.url);
    const kept = () => page.evaluate(async () => (await (await caches.open('other')).keys()).map(({ url }) => url.split('/').at(-1)));
    const load = (url, options) =>
      page.evaluate(([url, options]) => double(url, { cache: 'other', ...options }).then(({ answer }) => answer, ({ code }) => code), [url, options]);
    assert.deepEqual([await load('/models/broken.onnx'), await kept()], ['INVALID_MODEL', []]);
    assert.deepEqual([await load('/models/broken.onnx', { worker: true }), await kept()], ['INVALID_MODEL', []]);
    assert.deepEqual([await load('/models/short/external.onnx'), await kept()], ['IO', []]);
    assert.deepEqual([await load('/models/none.onnx'), await kept()], ['IO', []]);
    const stopped = await page.evaluate(() => {
      const stop = new AbortController();
      return double('/models/doubling.onnx', { cache: 'other', signal: stop.signal, onProgress: () => stop.abort() }).catch(({ code }) => code);
    });
    assert.deepEqual([stopped, await kept()], ['CANCELLED', []]);
    await page.evaluate(() => (Cache.prototype.put = () => Promise.reject(new DOMException('full', 'QuotaExceededError'))));
    assert.deepEqual([await load('/models/doubling.onnx'), await kept()], [[2, 4], []]);
    await page.evaluate(() => {
      const get = () => { throw new DOMException('sandboxed', 'SecurityError'); };
      Object.defineProperty(window, 'caches', { get });
    });
    assert.deepEqual(await load('/models/doubling.onnx'), [2, 4]);
  });

  test('a file that is not there', async () => {
    const page = await open(plain.url);
    const found = await page.evaluate(() => double('/models/none.onnx').catch(({ code, message }) => [code, message]));
    assert.equal(found[0], 'IO');
    assert.match(found[1], /models\/none\.onnx: the server answered 404/);
  });

  test('in an audio worklet, by a module and bytes', async () => {
    const page = await open(plain.url);
    const answer = await page.evaluate(async () => {
      const context = new AudioContext();
      await context.audioWorklet.addModule('worklet.mjs');
      const wasm = await WebAssembly.compileStreaming(fetch('/dist/weft.simd.wasm'));
      const model = await (await fetch('/models/doubling.onnx')).arrayBuffer();
      const node = new AudioWorkletNode(context, 'doubling', { processorOptions: { wasm, model } });
      return new Promise((resolve) => (node.port.onmessage = ({ data }) => resolve(data)));
    });
    assert.deepEqual(answer, [2, 4]);
  });

  test('without isolation one thread, and the reason', async () => {
    const page = await open(plain.url);
    const found = await page.evaluate(() => double('/models/doubling.onnx', { threads: 4 }));
    assert.deepEqual([found.answer, found.threads], [[2, 4], 1]);
    assert.match(found.why.join(' '), /One thread instead of 4: the page is not cross-origin isolated/);
  });

  test('without shared memory in an isolated page one thread, and the reason', async () => {
    const page = await open(isolated.url);
    const found = await page.evaluate(() => {
      delete window.SharedArrayBuffer; // as in WebKitGTK
      return double('/models/doubling.onnx', { threads: 2 });
    });
    assert.deepEqual([found.answer, found.threads], [[2, 4], 1]);
    assert.match(found.why.join(' '), /One thread instead of 2: the host has no SharedArrayBuffer/);
  });

  test('threads in an isolated page give the bits of one thread', async () => {
    const page = await open(isolated.url);
    const one = await page.evaluate(() => multiply('/models/matmul.onnx', { threads: 1 }));
    const three = await page.evaluate(() => multiply('/models/matmul.onnx', { threads: 3 }));
    assert.deepEqual([one.threads, three.threads], [1, 3]);
    assert.deepEqual(three.sums, one.sums);
    const { module } = await page.evaluate(() => double('/models/doubling.onnx', { threads: 2 }));
    assert.equal(module, `weft.${simd}.threads.wasm`);
  });

  test('threads and memory go with their sessions', async () => {
    const page = await open(isolated.url);
    // WebKit refuses shared memory that is more than three times the machine's: of 4 GB each, as sessions ask for.
    for (let i = 0; i < 30; i++) await page.evaluate(() => double('/models/doubling.onnx', { threads: 4 }));
    if (!page.workers) return; // this driver does not see them
    // Chromium gives a worker that sleeps some seconds before it ends it.
    for (let i = 0; i < 100 && page.workers().length > 0; i++) await page.waitForTimeout(100);
    assert.equal(page.workers().length, 0);
  });

  test('a session in a worker, with threads of its own', async () => {
    const page = await open(isolated.url);
    for (const threads of [1, 2]) {
      const found = await page.evaluate((threads) => new Promise((resolve) => {
        const worker = new Worker('/worker.mjs', { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => resolve({ error: message });
        worker.postMessage({ url: '/models/doubling.onnx', threads });
      }), threads);
      assert.deepEqual(found, { answer: [2, 4], threads });
    }
  });

  test('the package puts a session in a worker by itself', async () => {
    const page = await open(isolated.url);
    for (const threads of [1, 2]) {
      const found = await page.evaluate((threads) => double('/models/doubling.onnx', { worker: true, threads }), threads);
      assert.deepEqual([found.answer, found.threads], [[2, 4], threads]);
    }
    const streamed = await page.evaluate(async () => (await double((await fetch('/models/doubling.onnx')).body, { worker: true })).answer);
    assert.deepEqual(streamed, [2, 4]);
  });

  test("a worker's session asks the page for operators of its own, with and without shared memory", async () => {
    for (const { url } of [isolated, plain]) {
      const page = await open(url);
      for (const worker of [false, true]) {
        const found = await page.evaluate(async (worker) => {
          const add = ([a, b]) => new weft.Tensor('float32', a.data.map((v, i) => v + b.data[i]), a.dims);
          const session = await weft.InferenceSession.create('/models/custom.onnx', { worker, operators: { 'lab:Add': add } });
          const { y } = await session.run({ x: new weft.Tensor('float32', [1, 2]) });
          return [...y.data];
        }, worker);
        assert.deepEqual(found, [-4, -8]);
      }
    }
  });

  test('runs that are called together are cancelled by a signal', async () => {
    const page = await open(plain.url);
    const found = await page.evaluate(async () => {
      const session = await weft.InferenceSession.create('/models/doubling.onnx');
      const controller = new AbortController();
      const run = (value, signal) => session.run({ x: new weft.Tensor('float32', [value]) }, { signal });
      const runs = [run(1), run(2, controller.signal), run(3)];
      controller.abort();
      return (await Promise.allSettled(runs)).map(({ value, reason }) => value?.y.data[0] ?? reason.code);
    });
    assert.deepEqual(found, [2, 'CANCELLED', 6]);
  });

  test('pictures become tensors and tensors pictures', async () => {
    const page = await open(plain.url);
    const found = await page.evaluate(async () => {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 4;
      const context = canvas.getContext('2d');
      context.fillStyle = 'rgb(255, 51, 102)';
      context.fillRect(0, 0, 4, 4);
      const fromUrl = await weft.Tensor.fromImage(canvas.toDataURL());
      const scaled = await weft.Tensor.fromImage(await createImageBitmap(canvas), { resizedWidth: 2, resizedHeight: 2 });
      const back = await weft.Tensor.fromImage(fromUrl.toDataURL(), { tensorLayout: 'NHWC', dataType: 'uint8' });
      const blob = await new Promise((resolve) => canvas.toBlob(resolve));
      const frame = typeof VideoFrame === 'undefined' ? canvas : new VideoFrame(canvas, { timestamp: 0 });
      for (const other of [canvas, blob, frame]) {
        const { data } = await weft.Tensor.fromImage(other, { tensorLayout: 'NHWC', dataType: 'uint8' });
        if (String(data) !== String(back.data)) throw new Error(`${other}: ${data}`);
      }
      frame.close?.();
      return [fromUrl.dims, scaled.dims, [...scaled.data].map((x) => Math.round(x * 255)), [...back.data.slice(0, 3)]];
    });
    assert.deepEqual(found, [[1, 3, 4, 4], [1, 3, 2, 2], [255, 255, 255, 255, 51, 51, 51, 51, 102, 102, 102, 102], [255, 51, 102]]);
  });

  test('nothing was complained about in the pages', async () => {
    for (const page of pages) assert.deepEqual(await page.evaluate(() => problems), []);
  });
});

