/*
 * Python packages, each list in a virtual environment of its own. Lists pin every package with its hashes, so pip itself
 * refuses anything else.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inToolchain, isDone, root, setDone } from './paths.mjs';
import { run, step } from './run.mjs';

async function setUpEnvironment(name, file, what) {
  const list = join(root, file);
  const pin = readFileSync(list, 'utf8');
  if (isDone(name, pin)) return;
  await step(`Python packages: ${what}`, async () => {
    await run('python3', ['-m', 'venv', '--clear', inToolchain(name)], { label: 'venv' });
    const install = ['-m', 'pip', 'install', '--quiet', '--require-hashes', '--no-deps', '--only-binary=:all:'];
    await run(inToolchain(name, 'bin/python'), [...install, '-r', list], { label: 'pip install' });
    setDone(name, pin);
  });
}

/** What tests use. */
export const setUpPython = () => setUpEnvironment('venv', 'tests/requirements.txt', 'the ONNX operator tests and wasmtime');

/** What the benchmark's option --native compares with. */
export const setUpNative = () => setUpEnvironment('native', 'tests/bench/requirements.txt', 'native ONNX Runtime');
