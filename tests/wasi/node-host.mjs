/*
 * Runs a WASI command in node:wasi:
 *
 *     node node-host.mjs MODULE FOLDER [ARGUMENT...]
 *
 * The command sees FOLDER as its current folder, and the exit code is its own.
 */
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [module, folder, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: ['weft', ...args], preopens: { '.': folder }, returnOnExit: true });
const compiled = new WebAssembly.Module(readFileSync(module));
process.exitCode = wasi.start(new WebAssembly.Instance(compiled, wasi.getImportObject()));
