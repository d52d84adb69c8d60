/*
 * Everything that runs models: the native build under sanitizers, the WASI command, and the JavaScript package on each of
 * its modules. All of them take a list of folders, as `weft check --list` does, and print the same lines, so a suite is run
 * in all hosts alike.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeFlags, programs, root } from '../../tools/setup/paths.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const command = join(root, 'dist/weft.wasm');
const sanitized = join(root, 'build/native-asan/weft');

/** The JavaScript package, which must choose this module. */
export const javascript = (settings, module, program = process.execPath) => (list, maxMemory) =>
  [program, ...nodeFlags, here('check.mjs'), JSON.stringify(settings), module, list, `${maxMemory}`];

/** The command's arguments for a list. */
const checkList = (list, maxMemory) => ['check', '--list', list, ...(maxMemory > 0 ? ['--max-memory', `${maxMemory}`] : [])];

/** Node.js 20 crashes now and then when a fast call from WASI meets memory that has grown. */
const wasiFlags = [...nodeFlags, '--no-warnings', '--no-turbo-fast-api-calls'];

/** Hosts by name: the command for a list, why the host is not there, if it is not, and what it has that others lack. */
export const hosts = {
  'native, under ASan and UBSan': {
    command: (list, maxMemory) => [sanitized, ...checkList(list, maxMemory)],
    sanitized: true,
    decodesImages: true,
    missing: existsSync(sanitized) ? false : 'build/native-asan/weft is not built',
  },
  'the WASI command in node:wasi': {
    command: (list, maxMemory) => [
      ...[process.execPath, ...wasiFlags, join(root, 'tools/wasi-host.mjs'), command, '{".":"/"}'],
      ...checkList(list, maxMemory),
    ],
  },
  'the WASI command in wasmtime': {
    command: (list, maxMemory) => [
      ...[programs.python, here('../wasi/wasmtime_host.py'), command, '/'],
      ...checkList(list, maxMemory),
    ],
    missing: existsSync(programs.python) ? false : 'wasmtime is not set up',
  },
  'weft.scalar.wasm': { command: javascript({ simd: false }, 'weft.scalar.wasm') },
  'weft.simd.wasm': { command: javascript({ simd: 'fixed' }, 'weft.simd.wasm') },
  'weft.simd.threads.wasm': {
    command: javascript({ simd: 'fixed', numThreads: 2 }, 'weft.simd.threads.wasm'),
    slowStart: true,
  },
  'weft.relaxed.threads.64.wasm': {
    command: javascript({ memory64: true }, 'weft.relaxed.threads.64.wasm', programs.node24),
    slowStart: true, // no more than the other one with threads, and the same kernels
    missing: existsSync(programs.node24) ? false : 'Node.js 24 is not set up',
  },
  'weft.relaxed.wasm': {
    command: javascript({}, 'weft.relaxed.wasm', programs.node24),
    missing: existsSync(programs.node24) ? false : 'Node.js 24 is not set up',
  },
};

const disable = (...features) => features.map((feature) => `--no-enable-${feature}`);
const byteProducts = ['avx-vnni', 'avx-vnni-int8'];

/** V8's flags that play older x86 processors, by what these lack; its optimising compiler is met at once where that matters. */
export const olderProcessors = {
  'products of bytes': disable(...byteProducts),
  'multiply-add': ['--no-liftoff', ...disable('fma3', ...byteProducts)],
  AVX: ['--no-liftoff', ...disable('avx', 'avx2', 'fma3', ...byteProducts)],
};

/** Runs a program to its end; its output, and how it ended. */
function run([program, ...args], cwd) {
  return new Promise((resolve, reject) => {
    // A block that is too large is refused, as it is without the sanitizers.
    const env = { ...process.env, ASAN_OPTIONS: 'allocator_may_return_null=1' };
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (out[name] += text));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ ...out, end: signal ?? `exit code ${code}` }));
  });
}

/**
 * Runs cases in a host.
 * @param {{command: (list: string, maxMemory: number) => string[]}} host
 * @param {{id: string, folder: string, settings?: string[]}[]} cases settings as `weft check --list` takes them
 * @param {{maxMemory?: number}} [limits] bytes a session may hold
 * @returns {Promise<{id: string, failure: string | undefined}[]>} in the order of the cases
 */
export async function check(host, cases, { maxMemory = 0 } = {}) {
  const work = mkdtempSync(join(tmpdir(), 'weft-'));
  try {
    // All paths are relative to the root, which is the folder that the WASI command sees.
    const list = join(work, 'list.txt');
    const folders = cases.map(({ folder }) => relative('/', folder));
    writeFileSync(list, cases.map(({ settings = [] }, i) => [folders[i], ...settings].join('\t') + '\n').join(''));
    const { stdout, stderr, end } = await run(host.command(relative('/', list), maxMemory), '/');
    const lines = new Map([...stdout.matchAll(/^(?:ok (.*)|FAIL (.*?): (.*))$/gm)].map(([, ok, fail, why]) => [ok ?? fail, why]));
    const lost = folders.find((folder) => !lines.has(folder));
    if (lost) throw new Error(`nothing was said of ${lost}; ${end}: ${stderr.slice(-4000)}`);
    if (stderr) throw new Error(`on standard error, ${end}: ${stderr.slice(-4000)}`);
    return cases.map(({ id }, i) => ({ id, failure: lines.get(folders[i]) }));
  } finally {
    rmSync(work, { recursive: true });
  }
}

/**
 * Prints how many passed, and what did not by reason; fails for failures without one.
 * @param {import('node:test').TestContext} t @param {string} what @param {{id: string, failure: string | undefined}[]} results
 * @param {(id: string, failure: string) => string | undefined} reasonFor why a case may fail
 */
export function report(t, what, results, reasonFor) {
  const failed = results.filter(({ failure }) => failure !== undefined);
  t.diagnostic(`${what}: ${results.length - failed.length} of ${results.length}`);
  const explained = {};
  const unexplained = [];
  for (const { id, failure } of failed) {
    const reason = reasonFor(id, failure);
    if (reason) (explained[reason] ??= []).push(id);
    else unexplained.push(`${id}: ${failure}`);
  }
  for (const [reason, ids] of Object.entries(explained)) t.diagnostic(`  ${ids.length} not: ${reason}`);
  assert.deepEqual(unexplained, []);
}
