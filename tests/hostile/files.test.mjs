/*
 * Bad files, in every host: each is refused with a sentence or runs, and a good model that comes after all of them is right.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, describe, test } from 'node:test';
import { corpus } from '../corpus/cases.mjs';
import { loadCases } from '../onnx/cases.mjs';
import { check, hosts } from '../tools/hosts.mjs';
import { models } from './models.mjs';
import { changes, cuts } from './spoil.mjs';

const work = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(work, { recursive: true }));
const maxMemory = 256 << 20;

/** Writes a folder for `weft check`; `like` is the good case whose data it takes, or there is none to feed. */
function writeFolder(id, bytes, like) {
  const folder = join(work, id);
  mkdirSync(folder);
  writeFileSync(join(folder, 'model.onnx'), bytes);
  const data = join(folder, 'test_data_set_0');
  if (like) symlinkSync(relative(folder, join(like, 'test_data_set_0')), data);
  else mkdirSync(data);
  return { id, folder };
}

const { light, ...small } = loadCases();
const cases = Object.values(small).flat();
const good = cases.find(({ id }) => id === 'node/test_relu');

/** Models with whatever a file can hold: subgraphs, sequences, functions, weights, trees, strings, quantised types. */
const samples = [
  'node/test_loop11', 'node/test_scan9_sum', 'node/test_if_seq', 'node/test_sequence_map_identity_1_sequence_1_tensor',
  'node/test_optional_has_element_optional_input', 'node/test_lstm_with_peepholes', 'node/test_ai_onnx_ml_tree_ensemble_set_membership',
  'node/test_qlinearconv', 'node/test_attention_4d_expanded', 'node/test_strnormalizer_export_monday_casesensintive_lower',
  'simple/test_sequence_model1', 'pytorch-operator/test_operator_conv', 'pytorch-converted/test_Conv2d_groups',
].map((id) => cases.find((one) => one.id === id)?.folder);
const fromCorpus = ['os_nested_functions', 'sk_pipeline_titanic', 'sk_rf', 'tf_while_cond', 'pt_digits_cnn_leg11', 'ort_mlp_int4_qdq']
  .map((id) => join(corpus, id))
  .filter(existsSync);

function writeSpoiled() {
  const folders = [];
  for (const folder of [...samples, ...fromCorpus]) {
    assert.ok(folder, 'a sample is not among the cases');
    const bytes = readFileSync(join(folder, 'model.onnx'));
    for (const spoiled of [...cuts(bytes), ...changes(bytes, 64)]) folders.push(writeFolder(`spoiled-${folders.length}`, spoiled, folder));
  }
  return folders;
}

/** Every operator test with the data of one that comes some way after it: wrong names, types, shapes and counts. */
const exchanged = cases.map(({ folder }, i) =>
  writeFolder(`exchanged-${i}`, readFileSync(join(folder, 'model.onnx')), cases[(i + 20) % cases.length].folder),
);
const spoiled = writeSpoiled();
const made = Object.entries(models).map(([id, [bytes]]) => writeFolder(id, bytes));
const last = { ...good, id: 'the good one at the end' };

for (const [name, host] of Object.entries(hosts)) {
  describe(`bad files in ${name}`, { skip: host.missing, concurrency: false }, () => {
    test('models made to do harm are refused, and it is said why', { timeout: 300_000 }, async () => {
      const results = await check(host, [...made, last], { maxMemory });
      assert.equal(results.pop().failure, undefined);
      const wrong = results.filter(({ id, failure }) => !models[id][1].test(failure ?? ''));
      assert.deepEqual(wrong, []);
    });

    test('models cut off or with bytes changed', { timeout: 600_000 }, async (t) => {
      const chosen = host.slowStart ? spoiled.filter((_, i) => i % 16 === 0) : spoiled;
      const results = await check(host, [...chosen, last], { maxMemory });
      assert.equal(results.pop().failure, undefined);
      const refused = results.filter(({ failure }) => failure !== undefined);
      t.diagnostic(`${results.length} spoiled models: ${refused.length} refused or with other answers, the others as before`);
    });

    test("models fed with another one's data", { timeout: 600_000 }, async (t) => {
      const chosen = host.slowStart ? exchanged.filter((_, i) => i % 16 === 0) : exchanged;
      const results = await check(host, [...chosen, last], { maxMemory });
      assert.equal(results.pop().failure, undefined);
      const refused = results.filter(({ failure }) => failure !== undefined);
      t.diagnostic(`${results.length} models: ${refused.length} refused the data or gave other answers`);
    });
  });
}
