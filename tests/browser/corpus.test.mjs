/*
 * Models of the real exporters in Chromium, with one thread and with two, from a URL, bytes, a stream and a file in turn.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchChromium } from '../../tools/chromium.mjs';
import { serve } from '../../tools/serve.mjs';
import { programs, root } from '../../tools/setup/paths.mjs';
import { corpus, listCases, missing } from '../corpus/cases.mjs';
import { openRemote } from '../tools/chromium.mjs';
import { checkFolder } from '../tools/folder.mjs';

/** One or two of each framework and kind of network; the other hosts run them all. */
const wanted = new RegExp(`^(${[
  'pt_tutorial_op11_.*', 'pt_resnet18_d4_.*', 'pt_mobilenet_v2_w050_.*', 'pt_squeezenet1_1_.*', 'pt_shufflenet_v2_x0_5_.*',
  'pt_efficientnet_b0_w05_.*', 'pt_vit_micro_.*', 'pt_bert_tiny_.*', 'pt_gpt2_tiny_past_.*', 'pt_lstm2_.*', 'pt_dynaxes_.*',
  'pt_unet_w8_.*', 'keras_mobilenetv2_.*', 'keras_lstm_.*', 'sk_logreg_zipmap', 'sk_pipeline_titanic', 'sk_rf', 'xgb_multi',
  'lgbm_binary', 'coreml_cnn',
].join('|')})$`);

const cases = listCases().filter(({ id }) => wanted.test(id));
const skip = missing || (!existsSync(programs.chromium) && 'Chromium is not installed');

describe('the corpus in Chromium', { skip, timeout: 600_000 }, () => {
  let browser, server;

  before(async () => {
    browser = await launchChromium();
    server = await serve({ '/': join(root, 'tests/browser/page'), '/dist/': join(root, 'dist'), '/corpus/': corpus });
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });

  for (const [threads, module] of [[1, 'weft.relaxed.wasm'], [2, 'weft.relaxed.threads.wasm']]) {
    test(`with ${threads} thread${threads > 1 ? 's' : ''}`, async (t) => {
      const page = await browser.newPage();
      await page.goto(`${server.url}/remote.html`);
      await page.waitForFunction('window.remote');
      const failures = [];
      for (const [i, how] of cases.entries()) {
        // Data in files of its own is found by a URL only.
        const alone = !existsSync(join(how.folder, 'model.onnx.data'));
        const source = alone ? ['url', 'bytes', 'stream', 'file'][i % 4] : 'url';
        const create = async (path) => {
          const session = await openRemote(page, `/corpus/${relative(corpus, path)}`, source, threads);
          assert.equal(session.weft.module, module);
          return session;
        };
        await checkFolder(how, create).catch((error) => failures.push(`${how.id} from ${source}: ${error.message}`));
      }
      await page.close();
      t.diagnostic(`Chromium, ${module}: ${cases.length - failures.length} of ${cases.length}`);
      assert.deepEqual(failures, []);
    });
  }
});
