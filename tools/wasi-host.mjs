/*
 * Runs a WASI command in node:wasi:
 *
 *     node wasi-host.mjs MODULE FOLDERS [ARGUMENT...]
 *
 * FOLDERS is JSON: the folder of this machine behind each path that the command sees. The exit code is the command's own.
 */
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [module, folders, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: ['weft', ...args], preopens: JSON.parse(folders), returnOnExit: true });
const compiled = new WebAssembly.Module(readFileSync(module));

/* As the adapter that makes a component of a command: it keeps a page of the memory, and wants standard streams left open. */
const imports = wasi.getImportObject().wasi_snapshot_preview1;
let page;
const adapted = (name, call) => (...numbers) => {
  page ??= instance.exports.memory.grow(1) * 65536;
  if (name === 'fd_close' && numbers[0] <= 2) throw new Error('a standard stream is closed');
  return call(...numbers);
};
const entries = Object.entries(imports).map(([name, call]) => [name, adapted(name, call)]);
const instance = new WebAssembly.Instance(compiled, { wasi_snapshot_preview1: Object.fromEntries(entries) });
process.exitCode = wasi.start(instance);
if (new Uint8Array(instance.exports.memory.buffer, page, 65536).some((byte) => byte !== 0)) throw new Error("the host's page was written to");
