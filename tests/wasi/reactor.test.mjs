/*
 * The reactor: it exports all of weft.h, and the example of a host that embeds it works.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inToolchain, root } from '../../tools/setup/paths.mjs';

const reactor = join(root, 'dist/weft_reactor.wasm');

test('the reactor exports every function of weft.h', () => {
  const header = readFileSync(join(root, 'src/weft.h'), 'utf8');
  const declared = [...header.matchAll(/^\w[\w *]*?\b\*?(weft_\w+)\(/gm)].map((match) => match[1]);
  const exported = WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(reactor))).map(({ name }) => name);
  assert.ok(declared.length > 30);
  assert.deepEqual(declared.filter((name) => !exported.includes(name)), []);
});

test('a host that embeds the reactor reads a digit', () => {
  const digits = join(root, 'models/digits');
  const host = join(root, 'examples/wasi/digit.py');
  const args = [host, reactor, join(digits, 'digits.onnx'), join(digits, 'sample_7.npy')];
  assert.match(execFileSync(inToolchain('venv/bin/python'), args, { encoding: 'utf8' }), /^This is a 7/);
});
