/*
 * What `cmake --install` lays down: C projects find it by CMake, C++ programs by pkg-config, natively and for WASI, and
 * wherever it is moved.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { version } from '../../dist/weft.mjs';
import { llvm } from '../../tools/setup/pins.mjs';
import { programs, root } from '../../tools/setup/paths.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(folder, { recursive: true }));
const run = (program, args, env) =>
  execFileSync(program, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }).trim();

/** Installs a build and moves it, so that nothing in it may tell of where it was. @param {string} preset */
function install(preset) {
  const place = join(folder, preset);
  run('cmake', ['--install', join(root, 'build', preset), '--prefix', `${place}.first`]);
  renameSync(`${place}.first`, place);
  return place;
}

/** Builds the example as a project of its own. @param {string} place @param {string[]} settings */
function buildExample(place, ...settings) {
  const build = join(folder, 'example', ...place.split('/').slice(-1));
  run('cmake', ['-S', join(root, 'examples/c'), '-B', build, '-G', 'Ninja', `-DCMAKE_PREFIX_PATH=${place}`, ...settings]);
  run('cmake', ['--build', build]);
  return join(build, 'digit');
}

const [model, picture] = ['models/digits/digits.onnx', 'models/digits/sample_7.npy'];
const missing = existsSync(join(root, 'build/native-asan/weft')) ? false : 'build/native-asan is not built';

test('native programs', { skip: missing }, () => {
  const place = install('native-asan');
  const program = buildExample(place, `-DCMAKE_C_COMPILER=clang-${llvm}`);
  assert.match(run(program, [join(root, model), join(root, picture)]), /^This is a 7/);
  assert.match(run(join(place, 'bin/weft'), ['--version']), new RegExp(version));

  const found = { PKG_CONFIG_PATH: join(place, 'lib/pkgconfig') };
  const flags = run('pkg-config', ['--cflags', '--libs', 'weft'], found).split(/\s+/);
  const strict = ['-std=c++17', '-Wall', '-Wextra', '-pedantic', '-Werror', '-fsanitize=address,undefined'];
  run(`clang++-${llvm}`, [...strict, join(root, 'tests/install/plus.cpp'), ...flags, '-o', 'plus']);
  assert.equal(run('./plus', []), `${version} 6 INVALID_MODEL`);
});

test('WASI programs', () => {
  const program = buildExample(install('wasi'), '--toolchain', join(root, 'cmake/wasi.cmake'));
  const said = run(programs.python, [join(root, 'tests/wasi/wasmtime_host.py'), `${program}.wasm`, root, model, picture]);
  assert.match(said, /^This is a 7/);
});
