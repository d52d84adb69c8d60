/*
 * The onnx package's cases, in every host. A case that fails must be of an operator, or be itself, named with a reason in
 * known.json; what did not pass is printed with these reasons.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { numbersIn } from '../tools/compare.mjs';
import { check, hosts, report } from '../tools/hosts.mjs';
import { fileReaders, readFeeds } from '../tools/values.mjs';
import { counts, known, loadCases, reasonFor } from './cases.mjs';

let cases;
before(() => {
  cases = loadCases();
});

for (const [name, host] of Object.entries(hosts)) {
  describe(`onnx's cases in ${name}`, { skip: host.missing, concurrency: false }, () => {
    for (const kind of Object.keys(counts)) {
      test(kind, { timeout: 600_000 }, async (t) => {
        assert.equal(cases[kind].length, counts[kind]);
        report(t, kind, await check(host, cases[kind]), (id, failure) => reasonFor(id, failure, host));
      });
    }
  });
}

const admissible = {
  zeros_and_ones({ outputs: [y] }) {
    for (const value of numbersIn(y)) assert.ok(value === 0 || value === 1, `${value}`);
  },

  /** An element is dropped, or the input's, scaled by 1 / (1 - ratio); the mask, if asked for, tells which. */
  dropped_or_scaled({ feeds: [x, ratio], outputs: [y, mask] }) {
    const scale = 1 / (1 - (ratio?.data[0] ?? 0.5));
    y.data.forEach((value, i) => {
      const kept = Math.abs(value - x.data[i] * scale) <= 1e-5 * Math.abs(value);
      assert.ok(kept || value === 0, `element ${i} is ${value}`);
      if (mask) assert.equal(mask.data[i], value === 0 ? 0 : 1);
    });
  },
};

test('random answers: values that may be', async (t) => {
  for (const [id, rule] of Object.entries(known.random)) {
    const [kind, name] = id.split('/');
    const { folder } = cases[kind].find((one) => one.id === `${kind}/${name}`);
    const path = join(folder, 'model.onnx');
    const session = await InferenceSession.create(path);
    const feeds = readFeeds(session, join(folder, 'test_data_set_0'), fileReaders(readFileSync(path)).input, Tensor);
    const outputs = await session.run(feeds);
    admissible[rule]({ feeds: session.inputNames.map((n) => feeds[n]), outputs: session.outputNames.map((n) => outputs[n]) });
    await session.release();
  }
  t.diagnostic(`${Object.keys(known.random).length} cases have random answers: type, shape and range of the values are right`);
});
