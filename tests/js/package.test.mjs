/* The package as its users get it: packed, installed without a network, imported, required, and compiled against. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { root } from '../../tools/setup/paths.mjs';
import { doubling } from './onnx.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(folder, { recursive: true }));

const run = (program, args, cwd = folder) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', timeout: 120_000, stdio: ['ignore', 'pipe', 'pipe'] }).trim();
const tsc = (...args) => run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...args]);

before(() => {
  const made = run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], root);
  writeFileSync(join(folder, 'package.json'), '{"private": true}');
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--silent', `./${made.split('\n').at(-1)}`]);
  writeFileSync(join(folder, 'model.onnx'), doubling());
});

const use = `
  const session = await InferenceSession.create('model.onnx', { threads: Number(process.argv[2]) });
  const { y } = await session.run({ x: new Tensor('float32', [1, 2]) });
  console.log(...y.data);
  await session.release();`;

test('import', () => {
  writeFileSync(join(folder, 'use.mjs'), `import { InferenceSession, Tensor } from 'onnx-weft';${use}`);
  for (const threads of ['1', '2']) assert.equal(run(process.execPath, ['use.mjs', threads]), '2 4');
});

test('import of the default', () => {
  for (const [name, text] of [
    ['default.mjs', "import ort from 'onnx-weft';"],
    ['default.cjs', "const { default: ort } = require('onnx-weft');"],
  ]) {
    writeFileSync(join(folder, name), `${text} console.log(typeof ort.InferenceSession.create, new ort.Tensor([true]).type);`);
    assert.equal(run(process.execPath, [name]), 'function bool');
  }
});

test("what onnxruntime-web's parts are imported by", () => {
  const parts = ['wasm', 'webgpu', 'webgl', 'all', 'jspi'].map((name) => `onnx-weft/${name}`);
  const text = `import { createRequire } from 'node:module';
    for (const part of ${JSON.stringify(parts)}) console.log((await import(part)).Tensor.name, createRequire(import.meta.url)(part).Tensor.name);`;
  writeFileSync(join(folder, 'parts.mjs'), text);
  run(process.execPath, ['parts.mjs']);
});

test('require', () => {
  const text = `const { InferenceSession, Tensor } = require('onnx-weft'); (async () => {${use}})();`;
  writeFileSync(join(folder, 'use.cjs'), text);
  for (const threads of ['1', '2']) assert.equal(run(process.execPath, ['use.cjs', threads]), '2 4');
});

test('the name of onnxruntime can stand for this package', () => {
  const text = `import * as ort from 'onnx-weft'; globalThis[Symbol.for('onnxruntime')] = ort;
    const { InferenceSession, Tensor } = globalThis[Symbol.for('onnxruntime')];${use}`;
  writeFileSync(join(folder, 'symbol.mjs'), text);
  assert.equal(run(process.execPath, ['symbol.mjs', '1']), '2 4');
});

test('a bundle for the browser needs nothing of Node.js', () => {
  const esbuild = join(root, 'node_modules/esbuild/bin/esbuild');
  run(process.execPath, [esbuild, 'use.mjs', '--bundle', '--format=esm', '--outdir=bundled', '--log-level=error']);
  cpSync(join(folder, 'node_modules/onnx-weft/dist'), join(folder, 'bundled'), { recursive: true });
  assert.equal(run(process.execPath, ['bundled/use.js', '1']), '2 4');
});

test('nothing is installed but the package, and it is small', () => {
  const installed = join(folder, 'node_modules');
  assert.deepEqual(readdirSync(installed).filter((name) => !name.startsWith('.')), ['onnx-weft']);
  const files = readdirSync(join(installed, 'onnx-weft'), { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const size = files.reduce((sum, file) => sum + statSync(join(file.parentPath ?? file.path, file.name)).size, 0);
  assert.ok(size < 9e6, `${size} bytes`);
});

const program = `
  import * as ort from 'onnx-weft';
  import same from 'onnx-weft';
  import { InferenceSession, Tensor, env, WeftError } from 'onnx-weft';
  async function main(): Promise<void> {
    env.wasm.numThreads = 2;
    env.wasm.wasmPaths = '/assets/';
    const options: ort.InferenceSession.SessionOptions = {
      executionProviders: ['wasm'], graphOptimizationLevel: 'all', externalData: [{ path: 'w.bin', data: new Uint8Array() }],
      limits: { maxMemory: 1 }, onProgress: ({ loaded }) => console.log(loaded), signal: new AbortController().signal,
    };
    const session: ort.InferenceSession = await ort.InferenceSession.create(new ArrayBuffer(1), 0, 1, options);
    const x: same.Tensor = new same.Tensor('float32', [1, 2], [2]);
    const typed: ort.TypedTensor<'int64'> = new Tensor('int64', [1n]);
    const big: BigInt64Array = typed.data;
    const feeds: Record<string, Tensor> = { x };
    const results = await session.run(feeds, ['y'], {});
    const data = results.y.data as Float32Array;
    const half = new Tensor('float16', new Uint16Array(1));
    const meta = session.inputMetadata[0];
    if (meta.isTensor) console.log(meta.type, meta.shape.length);
    try { await session.release(); } catch (error) { if (error instanceof WeftError) console.log(error.code, error.node); }
    console.log(big, data, half.dims, env.weft.why, await InferenceSession.create('x'), await InferenceSession.create(new Blob([])));
    // @ts-expect-error an unknown type
    new Tensor('float', [1]);
    // @ts-expect-error feeds are values
    await session.run({ x: 5 });
  }
  void main;`;

test('the types fit programs, in ES modules and CommonJS', () => {
  for (const name of ['program.mts', 'program.cts']) writeFileSync(join(folder, name), program);
  const options = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--lib', 'es2022,dom', '--types', ''];
  tsc(...options, '--module', 'nodenext', 'program.mts', 'program.cts');
  tsc(...options, '--module', 'esnext', '--moduleResolution', 'bundler', 'program.mts');
});

test("all of onnxruntime's types are there, however strict a program is", () => {
  const strict = ['exactOptionalPropertyTypes', 'noUncheckedIndexedAccess', 'noPropertyAccessFromIndexSignature', 'isolatedModules'];
  const options = ['strict', ...strict].map((name) => `--${name}`);
  const program = join(folder, 'typings.mts');
  cpSync(join(root, 'tests/js/typings.mts'), program);
  tsc(...options, '--noEmit', '--skipLibCheck', 'false', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable', '--types', '', '--module', 'nodenext', program);
});

test('the types need no types of pages', () => {
  writeFileSync(join(folder, 'bare.mts'), `
    import { InferenceSession, Tensor } from 'onnx-weft';
    const session = await InferenceSession.create(new Uint8Array(1), { limits: { maxMemory: 1 } });
    const { y } = await session.run({ x: new Tensor('float32', [1, 2], [2]) });
    export const dims: readonly number[] = (y as Tensor).dims;`);
  tsc('--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--lib', 'es2022', '--types', '', '--module', 'nodenext', 'bare.mts');
});

test("the package's own files have the types they claim", () => {
  tsc('-p', join(root, 'web'));
});
