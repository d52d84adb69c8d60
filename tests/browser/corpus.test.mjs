/*
 * Models of the real exporters, the onnx package's light models and a sentence embedding in browsers, with one thread and with two,
 * from a URL, bytes, a stream and a file in turn.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serve } from '../../tools/serve.mjs';
import { programs, root } from '../../tools/setup/paths.mjs';
import { corpus, listCases } from '../corpus/cases.mjs';
import { minilmCase } from '../minilm/cases.mjs';
import { loadCases } from '../onnx/cases.mjs';
import { browsers } from '../tools/browsers.mjs';
import { checkFolder } from '../tools/folder.mjs';
import { openRemote } from '../tools/remote.mjs';

/** One or two of each framework and kind of network; the other hosts run them all. */
const wanted = new RegExp(`^(${[
  'pt_tutorial_op11_.*', 'pt_resnet18_d4_.*', 'pt_mobilenet_v2_w050_.*', 'pt_squeezenet1_1_.*', 'pt_shufflenet_v2_x0_5_.*',
  'pt_efficientnet_b0_w05_.*', 'pt_vit_micro_.*', 'pt_bert_tiny_.*', 'pt_gpt2_tiny_past_.*', 'pt_lstm2_.*', 'pt_dynaxes_.*',
  'pt_unet_w8_.*', 'keras_mobilenetv2_.*', 'keras_lstm_.*', 'sk_logreg_zipmap', 'sk_pipeline_titanic', 'sk_rf', 'xgb_multi',
  'lgbm_binary', 'coreml_cnn',
].join('|')})$`);

const noPython = !existsSync(programs.python) && 'Python is not set up';

/** What is run: each with the folder under which the server shows it. */
function collectCases() {
  const exported = listCases().filter(({ id }) => wanted.test(id)).map((how) => ({ ...how, url: `/corpus/${relative(corpus, how.folder)}` }));
  const built = [...loadCases().light.map((one) => ({ ...one, rtol: 1e-3, atol: 1e-7, expected: ['output'] })), minilmCase()];
  return [...exported, ...built.map((how) => ({ ...how, url: `/build/${relative(join(root, 'build'), how.folder)}` }))];
}

for (const [name, { launch, missing, simd }] of Object.entries(browsers)) describe(`models in ${name}`, { skip: missing || noPython, timeout: 600_000 }, () => {
  let browser, server, cases;

  before(async () => {
    cases = collectCases();
    browser = await launch();
    server = await serve({ '/': join(root, 'tests/browser/page'), '/dist/': join(root, 'dist'), '/corpus/': corpus, '/build/': join(root, 'build') });
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });

  for (const [threads, module] of [[1, `weft.${simd}.wasm`], [2, `weft.${simd}.threads.wasm`]]) {
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
          const session = await openRemote(page, `${how.url}/${basename(path)}`, source, { threads });
          assert.equal(session.weft.module, module);
          return session;
        };
        await checkFolder(how, create).catch((error) => failures.push(`${how.id} from ${source}: ${error.message}`));
      }
      await page.close();
      t.diagnostic(`${name}, ${module}: ${cases.length - failures.length} of ${cases.length}`);
      assert.deepEqual(failures, []);
    });
  }
});
