/*
 * What does not fit the operators of com.microsoft is refused in a sentence (made.test.mjs runs what does).
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inToolchain, root } from '../../tools/setup/paths.mjs';

const command = ['native-asan', 'native'].map((name) => join(root, 'build', name, 'weft')).find(existsSync);

describe('com.microsoft', { skip: command ? false : 'no native build of the command' }, () => {
  let folder;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'weft-'));
    execFileSync(inToolchain('venv/bin/python'), [join(root, 'tests/onnx/microsoft.py'), folder]);
  });
  after(() => rmSync(folder, { recursive: true }));

  test('refuses in a sentence what does not fit', () => {
    for (const name of readdirSync(join(folder, 'refused'))) {
      const path = join(folder, 'refused', name);
      const { status, stdout } = spawnSync(command, ['check', path], { encoding: 'utf8' });
      assert.equal(status, 1, name);
      assert.ok(stdout.includes(readFileSync(join(path, 'sentence.txt'), 'utf8')), `${name}: ${stdout}`);
    }
  });
});
