/*
 * Silero's voice activity models as speech recognisers run them: piece by piece, the state of one run fed to the next, and the
 * sampling rate choosing a branch of the graph. expected.json holds onnxruntime 1.32's answers for the same signal.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, describe, test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { launchChromium } from '../../tools/chromium.mjs';
import { serve } from '../../tools/serve.mjs';
import { inToolchain, programs, root } from '../../tools/setup/paths.mjs';
import { tensor } from '../js/onnx.mjs';
import { checkFolder } from '../tools/folder.mjs';
import { check, hosts, report } from '../tools/hosts.mjs';
import { openRemote } from '../tools/remote.mjs';

/** Something like a voice: a tone whose pitch wavers, with overtones, that stops for 0.4 of every second. */
function voice(count, rate) {
  return Float32Array.from({ length: count }, (_, i) => {
    const time = i / rate;
    const pitch = 120 + 30 * Math.sin(4 * Math.PI * time);
    let sum = 0;
    for (let k = 1; k <= 12; k++) sum += Math.sin(2 * Math.PI * pitch * k * time) / k;
    return 0.15 * (time % 1 < 0.6 ? 1 : 0.02) * sum;
  });
}

const zeros = (dims) => new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);
const twoStates = () => ({ h: zeros([2, 1, 64]), c: zeros([2, 1, 64]) });
const oneState = () => ({ state: zeros([2, 1, 128]) });

/** The oldest of the models is sensitive: a millionth more volume moves onnxruntime's own answers by half of this. */
const tolerance = 1e-3;

/** The rows of expected.json: which model, its sampling rate, the samples of a piece, and its first state. */
const rows = {
  silero_vad_legacy: { file: 'silero_vad_legacy', rate: 16000, size: 1536, begin: twoStates },
  silero_vad_v5: { file: 'silero_vad_v5', rate: 16000, size: 512, begin: oneState },
  silero_vad_v6: { file: 'silero_vad_v6', rate: 16000, size: 512, begin: oneState },
  'silero_vad_v5@8000': { file: 'silero_vad_v5', rate: 8000, size: 256, begin: oneState },
};
const answers = JSON.parse(readFileSync(join(root, 'tests/vad/expected.json'), 'utf8'));

/** A file of one tensor, as ONNX's tests keep them. */
const encode = (name, { type, dims, data }) => tensor(name, type, dims, { raw: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });

/** Keeps a piece's values as test_data_set_K: the probability is onnxruntime's, the states are this module's own. */
function keepPiece(folder, k, feeds, outputs) {
  const data = join(folder, `test_data_set_${k}`);
  mkdirSync(data, { recursive: true });
  for (const [stem, values] of Object.entries({ input: feeds, output: outputs })) {
    Object.entries(values).forEach(([name, value], i) => writeFileSync(join(data, `${stem}_${i}.pb`), encode(name, value)));
  }
}

describe('Silero VAD', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-'));
  after(() => rmSync(folder, { recursive: true }));
  const folderOf = (name) => join(folder, name.replace('@', '-'));

  for (const [name, { file, rate, size, begin }] of Object.entries(rows)) {
    test(`${name}: ${answers[name].length} pieces`, async () => {
      const path = inToolchain('vad', `${file}.onnx`);
      const session = await InferenceSession.create(path);
      const sound = voice(size * answers[name].length, rate);
      const sr = new Tensor('int64', [BigInt(rate)], []);
      const [probability, ...states] = session.outputNames;
      let state = begin();
      for (const [k, expected] of answers[name].entries()) {
        const input = new Tensor('float32', sound.slice(k * size, (k + 1) * size), [1, size]);
        const feeds = { input, sr, ...state };
        const outputs = await session.run(feeds);
        const found = outputs[probability];
        assert.ok(Math.abs(found.data[0] - expected) < tolerance, `piece ${k}: ${found.data[0]}, expected ${expected}`);
        const right = new Tensor('float32', [expected], found.dims);
        if (k < 1) keepPiece(folderOf(name), k, feeds, { ...outputs, [probability]: right });
        state = Object.fromEntries(Object.keys(state).map((name, i) => [name, outputs[states[i]]]));
      }
      copyFileSync(path, join(folderOf(name), 'model.onnx'));
      await session.release();
    });
  }

  for (const [name, host] of Object.entries(hosts)) {
    test(`the first piece in ${name}`, { skip: host.missing, timeout: 300_000 }, async (t) => {
      const settings = ['rtol=1e-3', `atol=${tolerance}`];
      const cases = Object.keys(rows).map((id) => ({ id, folder: folderOf(id), settings }));
      report(t, 'Silero VAD', await check(host, cases), () => undefined);
    });
  }

  test('the first piece in Chromium', { skip: !existsSync(programs.chromium) && 'Chromium is not installed' }, async () => {
    const server = await serve({ '/': join(root, 'tests/browser/page'), '/dist/': join(root, 'dist'), '/vad/': folder });
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      await page.goto(`${server.url}/remote.html`);
      await page.waitForFunction('window.remote');
      for (const threads of [1, 2]) {
        for (const name of Object.keys(rows)) {
          const how = { folder: folderOf(name), rtol: 1e-3, atol: tolerance, expected: ['output'] };
          await checkFolder(how, (path) => openRemote(page, `/vad/${relative(folder, path)}`, 'url', { threads }));
        }
      }
    } finally {
      await browser.close();
      server.close();
    }
  });
});
