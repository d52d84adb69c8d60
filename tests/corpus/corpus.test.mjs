/*
 * Models from the real exporters against their frameworks' own answers, in every host. The models are not part of the
 * project: they lie beside it, in ../shared/corpus, or there is nothing to test.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { root } from '../../tools/setup/paths.mjs';
import { check, hosts, report } from '../tools/hosts.mjs';
import { corpus, listCases, listMistakes, missing } from './cases.mjs';

const known = JSON.parse(readFileSync(join(root, 'tests/corpus/known.json'), 'utf8'));

const settings = ({ rtol, atol, expected }) => [`rtol=${rtol}`, `atol=${atol}`, ...expected.map((prefix) => `expected=${prefix}`)];
const cases = listCases().map((one) => ({ ...one, settings: settings(one) }));

for (const [name, host] of Object.entries(hosts)) {
  test(`the corpus in ${name}`, { skip: missing || host.missing, timeout: 600_000 }, async (t) => {
    const results = await check(host, cases);
    report(t, 'corpus', results, (id) => known[id]);
  });
}

/** Mistakes that a user should hear about, and in which words. */
const mistakes = {
  os_custom_op_unknown: /no operator lab\.custom:SwishB/,
  keras_groupconv_partitionedcall_sm15: /no operator StatefulPartitionedCall/,
  keras_transformer_export: /'functional_1_1\/Add\/y:0'/,
};

/** Mistakes of models that run all the same. */
const warnings = {
  keras_gelu_erfc_sm14: [/\(Erfc\): is no operator of ONNX/],
  pt_trainmode_dyn: [/\(Dropout\): drops values at random/],
  pt_trainmode_leg11: [/\(BatchNormalization\): has outputs of training/],
  pt_trainmode_leg13: [/\(BatchNormalization\): has outputs of training/, /\(Dropout\): drops values at random/],
};

describe('mistakes of models are told', { skip: missing }, () => {
  test('every case that is to be diagnosed is', () => {
    assert.deepEqual(listMistakes().sort(), [...Object.keys(mistakes), ...Object.keys(warnings)].sort());
  });

  for (const [id, sentences] of Object.entries(warnings)) {
    test(id, async (t) => {
      const { mock } = t.mock.method(console, 'warn', () => {});
      const { weft } = await InferenceSession.create(join(corpus, id, 'model.onnx'));
      assert.equal(weft.warnings.length, sentences.length);
      sentences.forEach((sentence, i) => assert.match(weft.warnings[i], sentence));
      assert.equal(mock.callCount(), sentences.length);
    });
  }

  /** Feeds zeros to all inputs whose names an exporter's user knows. */
  const zeros = ({ type, shape }) => {
    const dims = shape.map((dim) => (typeof dim === 'number' ? dim : 1));
    return new Tensor(type, new Array(dims.reduce((a, b) => a * b, 1)).fill(0), dims);
  };

  for (const [id, sentence] of Object.entries(mistakes)) {
    test(id, async () => {
      await assert.rejects(async () => {
        const session = await InferenceSession.create(join(corpus, id, 'model.onnx'));
        const fed = session.inputMetadata.filter((input) => !input.name.startsWith('functional_1_1/'));
        await session.run(Object.fromEntries(fed.map((input) => [input.name, zeros(input)])));
      }, sentence);
    });
  }
});
