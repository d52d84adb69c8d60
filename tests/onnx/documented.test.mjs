/*
 * Operators that the tests of the package onnx leave out, or not decided by them: com.microsoft's as their documentation says,
 * ai.onnx.ml's where its words decide between readings, the derivatives behind Gradient against finite differences. In the
 * graph as it is and optimised.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inToolchain, root } from '../../tools/setup/paths.mjs';

const command = ['native-asan', 'native'].map((name) => join(root, 'build', name, 'weft')).find(existsSync);

for (const kind of ['microsoft', 'ml', 'gradient']) {
  describe(kind, { skip: command ? false : 'no native build of the command' }, () => {
    let folder;
    let cases;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'weft-'));
      execFileSync(inToolchain('venv/bin/python'), [join(root, 'tests/onnx', `${kind}.py`), folder]);
      cases = readdirSync(join(folder, kind)).map((name) => join(folder, kind, name));
    });
    after(() => rmSync(folder, { recursive: true }));

    for (const options of [[], ['--no-optimize']]) {
      test(`computes what is documented ${options.join(' ')}`, () => {
        const args = ['check', '--rtol', '1e-4', '--atol', '1e-5', ...options, ...cases];
        const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
        const failures = (stdout + stderr).split('\n').filter((line) => !line.startsWith('ok '));
        assert.equal(status, 0, failures.join('\n'));
      });
    }
  });
}
