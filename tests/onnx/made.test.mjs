/*
 * Our own cases of single operators in every host: forms of old opsets, which mean what their old specification says
 * (upgrade.py), com.microsoft, which computes what its documentation says (microsoft.py), and what the onnx package's own
 * cases leave out of neural networks, signals and functions (neural.py). Natively also without optimisation.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
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
        report(t, kind, await check(host, cases[kind]), (id, failure) => reasonFor(id, failure, host));
      });
    }
  });
}

const command = ['native-asan', 'native'].map((name) => join(root, 'build', name, 'weft')).find(existsSync);

test('our cases without optimisation', { skip: command ? false : 'no native build of the command' }, () => {
  const folders = Object.values(cases).flat().map(({ folder }) => folder);
  const { status, stdout, stderr } = spawnSync(command, ['check', '--no-optimize', '--rtol', '1e-4', '--atol', '1e-5', ...folders], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const failures = (stdout + stderr).split('\n').filter((line) => !line.startsWith('ok '));
  assert.equal(status, 0, failures.join('\n'));
});
