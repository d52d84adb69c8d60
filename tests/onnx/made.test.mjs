/*
 * Our own cases of single operators in every host, natively also without optimisation. What each script beside this file
 * makes, its first words tell: forms of old opsets (upgrade), every version and type (variants, versions), what the onnx package's own cases
 * leave out or do not decide (edges, neural, ml), com.microsoft (microsoft, formulas, search), derivatives (gradient), and values of every type and
 * kind that are handed through (values).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { root } from '../../tools/setup/paths.mjs';
import { check, hosts, report } from '../tools/hosts.mjs';
import { loadMadeCases, reasonFor, scripts } from './cases.mjs';

let cases;
before(() => {
  cases = loadMadeCases();
});

for (const [name, host] of Object.entries(hosts)) {
  describe(`our cases in ${name}`, { skip: host.missing, concurrency: false }, () => {
    for (const kind of scripts) {
      test(kind, { timeout: 600_000 }, async (t) => {
        const chosen = host.slowStart && kind === 'variants' ? cases[kind].filter((_, i) => i % 16 === 0) : cases[kind];
        report(t, kind, await check(host, chosen), (id, failure) => reasonFor(id, failure, host));
      });
    }
  });
}

const command = ['native-asan', 'native'].map((name) => join(root, 'build', name, 'weft')).find(existsSync);

test('our cases without optimisation', { skip: command ? false : 'no native build of the command' }, async (t) => {
  const host = { command: (list) => [command, 'check', '--no-optimize', '--list', list], decodesImages: true };
  report(t, 'without optimisation', await check(host, Object.values(cases).flat()), (id, failure) => reasonFor(id, failure, host));
});
