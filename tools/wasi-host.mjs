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
const imports = wasi.getImportObject();
const { fd_close: close } = imports.wasi_snapshot_preview1;
imports.wasi_snapshot_preview1.fd_close = (fd) => {
  if (fd <= 2) throw new Error('a standard stream is closed, which the adapter to components forbids');
  return close(fd);
};
process.exitCode = wasi.start(new WebAssembly.Instance(compiled, imports));
