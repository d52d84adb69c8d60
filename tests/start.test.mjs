/* `npm start -- --once`, as a new user runs it after building. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../tools/setup/paths.mjs';

function start(...args) {
  return spawnSync(process.execPath, [join(root, 'tools/start.mjs'), ...args], { encoding: 'utf8', cwd: root, timeout: 300_000 });
}

test('the default model runs in Node.js and as WASI, with the same answer', () => {
  const { stdout, stderr, status } = start('--once');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /In Node\.js .*, weft\.\w+(\.\w+)?\.wasm/);
  assert.match(stdout, /It is a 7 \(\d+\.\d %\)/);
  assert.match(stdout, /[%@#]{6}/, 'the picture as text');
  assert.match(stdout, /As WASI in (wasmtime|node:wasi)/);
  assert.equal(stdout.match(/probabilities: float32 \[1,10\]/g).length, 2);
});

test('another model, with inputs made up', () => {
  const { stdout, stderr, status } = start('models/digits/digits.onnx', '--dim', 'N=2', '--once');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /made up the input 'image': float32 \[2,1,28,28\]/);
  assert.match(stdout, /probabilities: float32 \[2,10\]/);
});

test('wrong words give one sentence', () => {
  const missing = start('models/none.onnx', '--once');
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /none\.onnx/);
  const unknown = start('--input', 'sound=x.npy', '--once');
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /no input 'sound'; it has image/);
});
