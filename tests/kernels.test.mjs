/*
 * The kernels of every table against the portable ones, in engines for WebAssembly: what relaxed instructions mean there is not
 * what they mean in the native build, and compilers of engines have mistakes of their own. V8 also plays older processors.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { programs, root } from '../tools/setup/paths.mjs';
import { olderProcessors } from './tools/hosts.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const node = (...flags) => [programs.node24, '--no-warnings', ...flags, here('../tools/wasi-host.mjs')];

/** Engines by name: the command for a module, and the folders it sees. */
const engines = {
  'Node.js 24': [node(), '{}'],
  'Node.js 24, optimised at once': [node('--no-liftoff'), '{}'],
  ...(process.arch === 'x64' &&
    Object.fromEntries(Object.entries(olderProcessors).map(([lack, flags]) => [`Node.js 24, without ${lack}`, [node(...flags), '{}']]))),
  wasmtime: [[programs.python, here('wasi/wasmtime_host.py')], '/'],
};

for (const [name, [[program, ...args], folders]] of Object.entries(engines)) {
  describe(name, { skip: existsSync(program) ? false : `${program} is not set up`, concurrency: 2 }, () => {
    for (const one of ['test_kernels', 'test_kernels_integer']) {
      test(one, () => {
        const { status, stderr } = spawnSync(program, [...args, join(root, `build/wasi/${one}.wasm`), folders], { encoding: 'utf8' });
        assert.equal(status, 0, stderr);
      });
    }
  });
}
