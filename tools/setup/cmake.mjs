/*
 * What CMake must know of the toolchain: one small file of paths, included by the toolchain files in cmake/. It is
 * written anew only when it changes, so that a build is not configured again for nothing.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { inToolchain } from './paths.mjs';
import { llvm } from './pins.mjs';

/** @param {string} emscriptenRoot the folder that holds emcc */
export function writeCMakePaths(emscriptenRoot) {
  const path = inToolchain('paths.cmake');
  const paths = {
    WEFT_EMSCRIPTEN_ROOT: emscriptenRoot,
    WEFT_LLVM_BIN: `/usr/lib/llvm-${llvm}/bin`,
    WEFT_PROTOBUF_C_SOURCE: inToolchain('protobuf-c'),
    WEFT_WASI_SDK: process.env.WASI_SDK_PREFIX ?? '',
  };
  const text = Object.entries(paths).map(([name, value]) => `set(${name} "${value}")\n`).join('');
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}
