/*
 * src/onnx/onnx.proto says the same as the PyPI package onnx, field by field.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { inToolchain, root } from '../../tools/setup/paths.mjs';

test('the schema agrees with the onnx package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-'));
  try {
    const set = join(folder, 'onnx.bin');
    const proto = join(root, 'src/onnx');
    execFileSync('protoc-c', [`--descriptor_set_out=${set}`, `--proto_path=${proto}`, join(proto, 'onnx.proto')]);
    const python = inToolchain('venv/bin/python');
    const script = join(root, 'tests/onnx/proto.py');
    const { status, stdout, stderr } = spawnSync(python, [script, set], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
