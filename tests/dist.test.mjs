/*
 * What ships: every module starts with the glue it shares, wants nothing that the glue lacks, stays within the size that
 * the project promises, and nothing in the package evaluates text as code.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';
import { programs, root } from '../tools/setup/paths.mjs';

const dist = join(root, 'dist');
const glues = {
  'weft.scalar': 'build/web/weft.glue.mjs',
  'weft.simd': 'build/web/weft.glue.mjs',
  'weft.relaxed': 'build/web/weft.glue.mjs',
  'weft.simd.threads': 'build/web/weft.threads.mjs',
  'weft.relaxed.threads': 'build/web/weft.threads.mjs',
  'weft.simd.threads.64': 'build/web/weft.threads.mjs',
  'weft.relaxed.threads.64': 'build/web/weft.threads.mjs',
};

const startModule = join(root, 'tests/start-module.mjs');

for (const module of Object.keys(glues)) {
  test(`${module} starts with the glue it shares`, () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const args = [startModule, glues[module], module];
    assert.equal(execFileSync(programs.node24, args, { encoding: 'utf8', timeout: 60_000 }).trim(), version);
  });
}

for (const module of [...Object.keys(glues), 'weft', 'weft_reactor']) {
  test(`${module} is at most 1 MB, and 300 kB compressed`, () => {
    const bytes = readFileSync(join(dist, `${module}.wasm`));
    assert.ok(bytes.length <= 1_000_000, `${bytes.length} bytes`);
    const compressed = brotliCompressSync(bytes).length;
    assert.ok(compressed <= 300_000, `${compressed} bytes with brotli`);
  });
}

test('modules that share glue have the same imports and exports', async () => {
  const face = (module) => {
    const compiled = new WebAssembly.Module(readFileSync(join(dist, `${module}.wasm`)));
    return [...WebAssembly.Module.imports(compiled), ...WebAssembly.Module.exports(compiled)].map(({ name }) => name).sort();
  };
  assert.deepEqual(face('weft.scalar'), face('weft.simd'));
});

test('no file of the package evaluates text as code', () => {
  for (const name of readdirSync(dist).filter((file) => /\.[mc]js$/.test(file))) {
    assert.doesNotMatch(readFileSync(join(dist, name), 'utf8'), /\beval\(|\bnew Function\b/, name);
  }
});

// Expo takes one without a dot for a package.
test("workers' files are named as files", () => {
  for (const name of readdirSync(dist).filter((file) => /\.[mc]js$/.test(file))) {
    assert.doesNotMatch(readFileSync(join(dist, name), 'utf8'), /new Worker\(new URL\("[^.]/, name);
  }
});

// The compiler of React Native's bundler takes no static blocks.
test('classes keep their names, without static blocks', async () => {
  for (const name of ['weft.mjs', 'weft.cjs']) {
    const { default: _, ...all } = await import(join(dist, name));
    for (const [key, value] of Object.entries(all)) if (typeof value === 'function') assert.equal(value.name, key, name);
  }
  for (const name of readdirSync(dist).filter((file) => /\.[mc]js$/.test(file))) {
    assert.doesNotMatch(readFileSync(join(dist, name), 'utf8'), /\bstatic ?\{/, name);
  }
});

// Bundlers take the names of files from the text as it stands.
test('no text is broken across lines', () => {
  for (const name of readdirSync(dist).filter((file) => /\.[mc]js$/.test(file))) {
    assert.doesNotMatch(readFileSync(join(dist, name), 'utf8'), /\\$/m, name);
  }
});

// Those of Vercel, Next.js and Nuxt (@vercel/nft) read these forms.
test("tools that gather a server's files find all that the package loads", () => {
  const modules = readdirSync(dist).filter((name) => /^weft\..*\.wasm$/.test(name));
  assert.equal(modules.length, 7);
  const [imported, required] = ['weft.mjs', 'weft.cjs'].map((name) => readFileSync(join(dist, name), 'utf8'));
  for (const name of [...modules, 'weft.worker.mjs', 'weft.threads.mjs']) {
    assert.match(imported, new RegExp(`(return|Worker\\() ?new URL\\("(\\./)?${name}", import\\.meta\\.url\\)`), name);
    assert.ok(required.includes(`weftFile(__dirname + "/${name}")`), name);
  }
});

// Turbopack would follow it without an end.
test("a thread's file does not have itself as a worker", () => {
  assert.doesNotMatch(readFileSync(join(dist, 'weft.threads.mjs'), 'utf8'), /new URL\("weft/);
});

test('nothing of Node.js is used by its bare name', () => {
  for (const name of readdirSync(dist).filter((file) => /\.mjs$/.test(file))) {
    assert.doesNotMatch(readFileSync(join(dist, name), 'utf8'), /(?<![\w."'])(process|Buffer|global)\b[.?]/, name);
  }
});

// webpack warns of any other: "the request of a dependency is an expression".
test('every URL beside a module names its file', () => {
  for (const name of readdirSync(dist).filter((file) => /\.mjs$/.test(file))) {
    assert.doesNotMatch(readFileSync(join(dist, name), 'utf8'), /new URL\((?!["'])[^()]*import\.meta\.url\)/, name);
  }
});
