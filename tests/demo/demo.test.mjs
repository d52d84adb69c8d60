/* The demo page in Chromium, as a visitor uses it. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchChromium } from '../../tools/chromium.mjs';
import { serve } from '../../tools/serve.mjs';
import { programs, root } from '../../tools/setup/paths.mjs';
import { doubling } from '../js/onnx.mjs';

const folders = { '/': join(root, 'demo'), '/dist/': join(root, 'dist'), '/models/': join(root, 'models') };
describe('the demo', { skip: !existsSync(programs.chromium) && 'Chromium is not installed' }, () => {
  let browser, server, page;
  const problems = [];

  before(async () => {
    browser = await launchChromium();
    server = await serve(folders);
    page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    page.on('pageerror', (error) => problems.push(`${error}`));
    await page.goto(`${server.url}/`);
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });

  const best = () => page.locator('#outputs .best').textContent();

  test('classifies a sample at once', async () => {
    await page.waitForSelector('#samples button');
    await page.waitForFunction(() => document.querySelector('#outputs .best')?.textContent === '7');
    await page.getByLabel('Sample 3').click();
    await page.waitForFunction(() => document.querySelector('#outputs .best')?.textContent === '3');
    assert.match(await page.locator('#facts').textContent(), /weft\.\w+.*\.wasm/);
  });

  test('shows where the time goes', async () => {
    await page.locator('#profile').click();
    await page.waitForSelector('#operators .best');
    assert.match(await page.locator('#operators').textContent(), /Conv.*GFLOP\/s.*% of the limit/s);
  });

  test('classifies a drawn digit', async () => {
    await page.getByText('clear').click();
    const box = await page.locator('#pad').boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.8, { steps: 12 });
    await page.mouse.up();
    await page.waitForFunction(() => document.querySelector('#outputs .best')?.textContent === '1');
    assert.equal(await best(), '1');
  });

  test('says what is wrong with a file and keeps the model', async () => {
    await page.locator('#files').setInputFiles({ name: 'notes.onnx', mimeType: 'text/plain', buffer: Buffer.from('no model at all') });
    await page.waitForSelector('#error:not([hidden])');
    assert.ok((await page.locator('#error').textContent()).length > 10);
    await page.getByLabel('Sample 5').click();
    await page.waitForFunction(() => document.querySelector('#outputs .best')?.textContent === '5');
  });

  test('runs another model on ones', async () => {
    await page.locator('#files').setInputFiles({ name: 'doubling.onnx', mimeType: 'application/octet-stream', buffer: Buffer.from(doubling()) });
    await page.waitForSelector('#inputs select');
    await page.locator('#inputs select').first().selectOption('ones');
    await page.locator('#run').click();
    await page.waitForSelector('#outputs .numbers');
    assert.match(await page.locator('#outputs .numbers').textContent(), /^2( |$)/);
    assert.match(await page.locator('#timing').textContent(), /median of 5 runs/);
    assert.deepEqual(problems, []);
  });
});
