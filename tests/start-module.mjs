/*
 * Starts one module with its glue and prints the version it tells: `node start-module.mjs <glue file> <module>`. A program of
 * its own, because modules with relaxed SIMD need a newer Node.js than the tests do.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../tools/setup/paths.mjs';

const [glue, module] = process.argv.slice(2);
const { default: create } = await import(join(root, glue));
const compiled = await WebAssembly.compile(readFileSync(join(root, 'dist', `${module}.wasm`)));
const instance = await create({
  threads: 2,
  wide: module.endsWith('.64'),
  instantiateWasm(imports, done) {
    return done(new WebAssembly.Instance(compiled, imports), compiled);
  },
});
const bytes = new Uint8Array(instance.wasmMemory.buffer);
const start = Number(instance._weft_version());
console.log(Buffer.from(bytes.slice(start, bytes.indexOf(0, start))).toString());
