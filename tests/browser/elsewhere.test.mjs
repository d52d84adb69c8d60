/*
 * The package where its files lie on another origin than the page, as on a CDN, and where files of it are missing or are
 * something else.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serve } from '../../tools/serve.mjs';
import { root } from '../../tools/setup/paths.mjs';
import { doubling } from '../js/onnx.mjs';
import { browsers } from '../tools/browsers.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'doubling.onnx'), doubling());

/** The package alone, as a bundle whose other files were forgotten. */
const alone = join(folder, 'alone');
for (const name of ['weft.mjs', 'weft.simd.wasm', 'weft.relaxed.wasm', 'weft.simd.threads.wasm', 'weft.relaxed.threads.wasm']) {
  cpSync(join(root, 'dist', name), join(alone, name));
}

for (const [name, { launch, missing }] of Object.entries(browsers)) describe(name, { skip: missing }, () => {
  let browser, pages, cdn, page;
  before(async () => {
    browser = await launch();
    pages = await serve({ '/': join(root, 'tests/browser/page'), '/dist/': join(root, 'dist'), '/models/': folder, '/alone/': alone });
    cdn = await serve({ '/': join(root, 'dist'), '/models/': folder }, { open: true });
    page = await browser.newPage();
    await page.goto(`${pages.url}/elsewhere.html`);
    await page.waitForFunction('window.double');
  });
  after(async () => {
    await browser?.close();
    pages?.close();
    cdn?.close();
  });

  for (const options of [{}, { threads: 2 }, { worker: true }, { worker: true, threads: 2 }]) {
    test(`from another origin with ${JSON.stringify(options)}`, async () => {
      const found = await page.evaluate(([url, options]) => double(url, options), [`${cdn.url}/weft.mjs`, options]);
      assert.deepEqual(found.slice(0, 2), [2, 4]);
      assert.ok(found[2] === (options.threads ?? 1) || name === 'WebKit'); // whose pages have no shared memory
    });
  }

  test('in a sandboxed frame, which has no origin', async () => {
    const found = await page.evaluate((url) => new Promise((resolve) => {
      const frame = Object.assign(document.createElement('iframe'), { sandbox: 'allow-scripts', allow: 'cross-origin-isolated' });
      frame.srcdoc = `<script type="module">
        import { InferenceSession, Tensor } from '${url}/weft.mjs';
        try {
          const session = await InferenceSession.create('${url}/models/doubling.onnx', { worker: true, threads: 2 });
          const { y } = await session.run({ x: new Tensor('float32', [1, 2]) });
          parent.postMessage([...y.data, session.weft.threads], '*');
        } catch (error) {
          parent.postMessage(error.message, '*');
        }
      <\/script>`;
      addEventListener('message', ({ data }) => resolve(data), { once: true });
      document.body.append(frame);
    }), cdn.url);
    assert.deepEqual(found, [2, 4, 1]);
  });

  test('under a policy without WebAssembly', async () => {
    const found = await page.evaluate((url) => new Promise((resolve) => {
      const frame = document.createElement('iframe');
      frame.srcdoc = `<meta http-equiv="Content-Security-Policy" content="script-src 'unsafe-inline' ${url}"><script type="module">
        import { InferenceSession } from '${url}/weft.mjs';
        await InferenceSession.create('${url}/models/doubling.onnx').catch(({ message }) => parent.postMessage(message, '*'));
      <\/script>`;
      addEventListener('message', ({ data }) => resolve(data), { once: true });
      document.body.append(frame);
    }), cdn.url);
    assert.match(found, /the WebAssembly module could not be loaded.*Content-Security-Policy must have 'wasm-unsafe-eval'/);
  });

  test('a model from another origin that does not allow it', async () => {
    const shut = await serve({ '/': folder });
    const load = (url) => window.weft.InferenceSession.create(url).catch(({ code, message }) => [code, message]);
    const there = await browser.newPage();
    await there.goto(`${pages.url}/`);
    await there.waitForFunction('window.weft');
    const [code, message] = await there.evaluate(load, `${shut.url}/doubling.onnx`);
    shut.close();
    assert.equal(code, 'IO');
    assert.match(message, /doubling\.onnx could not be fetched: .*another origin must allow this page \(CORS\)/);
  });

  for (const [file, options] of [['weft.threads.mjs', { threads: 2 }], ['weft.worker.mjs', { worker: true }]]) {
    test(`without ${file}`, { skip: name === 'WebKit' && options.threads === 2 }, async () => {
      const call = ([url, options]) => double(url, options).catch(({ code, message }) => [code, message]);
      const found = await page.evaluate(call, [`${pages.url}/alone/weft.mjs`, options]);
      assert.equal(found[0], 'IO');
      assert.ok(found[1].startsWith(`${file} could not be loaded: it must lie beside the package or its bundle`), found[1]);
    });
  }
});
