/*
 * The Python packages that tests use (ONNX's own operator tests, wasmtime), in a virtual environment of
 * their own. tests/requirements.txt pins every one with its hashes, so pip itself refuses anything else.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inToolchain, isDone, root, setDone } from './paths.mjs';
import { run, step } from './run.mjs';

export async function setUpPython() {
  const list = join(root, 'tests/requirements.txt');
  const pin = readFileSync(list, 'utf8');
  if (isDone('venv', pin)) return;
  await step('Python packages: the ONNX operator tests and wasmtime', async () => {
    await run('python3', ['-m', 'venv', '--clear', inToolchain('venv')], { label: 'venv' });
    const install = ['-m', 'pip', 'install', '--quiet', '--require-hashes', '--no-deps', '--only-binary=:all:'];
    await run(inToolchain('venv/bin/python'), [...install, '-r', list], { label: 'pip install' });
    setDone('venv', pin);
  });
}
