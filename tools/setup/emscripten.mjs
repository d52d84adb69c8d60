/*
 * Emscripten: an `emcc` of version 4 or newer on PATH, or Debian's package of it unpacked into the toolchain folder
 * with the parts it needs: the LLVM that builds everything else here, binaryen and acorn from npm. Debian 12's own
 * package is too old (its relaxed SIMD has other opcodes), so it is never taken.
 */
import { chmodSync, mkdirSync, readdirSync, realpathSync, symlinkSync, writeFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { privateRoot } from './apt.mjs';
import { installNpm } from './npm.mjs';
import { emscripten, llvm } from './pins.mjs';
import { checkSha256, inToolchain, isDone, place, scratch, setDone, toolchain } from './paths.mjs';
import { run, step, which } from './run.mjs';

/**
 * binaryen's programs that emcc calls. npm's are wasm run by Node.js: they need a deeper stack than it gives by default, and
 * are done sooner when V8 does not spend its time on optimising them.
 */
const binaryenPrograms = ['wasm-opt', 'wasm-metadce', 'wasm2js', 'wasm-dis', 'wasm-as'];

async function ownEmcc() {
  const path = which('emcc');
  if (!path) return null;
  const version = /(\d+)\.\d+\.\d+/.exec(await run(path, ['--version']));
  if (Number(version?.[1]) >= 4) return dirname(realpathSync(path));
  console.log(`Passing over ${path}: version ${version?.[0]} is too old`);
  return null;
}

/** Gives back the folder that holds emcc. */
export async function setUpEmscripten() {
  const own = await ownEmcc();
  if (own) return own;
  const stamp = (pin) => JSON.stringify([pin, process.execPath, toolchain]);
  if (emscripten.some((pin) => isDone('emscripten', stamp(pin)))) return packageFolder;
  const problems = [];
  for (const pin of emscripten) {
    try {
      await step(`Emscripten ${pin.version} (${pin.suite}): compiles the modules for browsers and Node.js`, () => fetchPackage(pin));
      setDone('emscripten', stamp(pin));
      return packageFolder;
    } catch (error) {
      problems.push(`${pin.suite} ${pin.version}: ${error.message}`);
    }
  }
  throw new Error(
    `Emscripten could not be fetched. Put an emcc >= 4 on PATH, or name another package with WEFT_EMSCRIPTEN_SUITE, ` +
      `WEFT_EMSCRIPTEN_VERSION and WEFT_EMSCRIPTEN_SHA256.\n${problems.join('\n')}`,
  );
}

const packageFolder = inToolchain('emscripten/usr/share/emscripten');

async function fetchPackage({ suite, version, sha256, npm }) {
  await installNpm(npm, 'binaryen and acorn, which Emscripten calls');
  const options = await privateRoot('deb', suite);
  const folder = scratch('emscripten');
  await run('apt-get', [...options, 'download', `emscripten=${version}`], { cwd: folder, label: 'download' });
  const deb = join(folder, readdirSync(folder).find((name) => name.endsWith('.deb')));
  if (sha256) checkSha256(deb, sha256, `emscripten ${version}`);
  await run('dpkg-deb', ['-x', deb, join(folder, 'root')], { label: 'unpack' });
  place(join(folder, 'root'), 'emscripten');
  rmSync(folder, { recursive: true });
  rmSync(inToolchain('emscripten-cache'), { recursive: true, force: true });
  // Some of its scripts are CommonJS; without this the project's own package.json would make them modules.
  writeFileSync(inToolchain('emscripten/package.json'), '{"type": "commonjs"}\n');
  symlinkSync(inToolchain(npm, 'node_modules'), join(packageFolder, 'node_modules'));
  writeBinaryen(npm);
  writeConfig();
  await run(join(packageFolder, 'emcc'), ['--check', '-Wno-version-check'], { label: 'check' });
}

function writeBinaryen(npm) {
  mkdirSync(inToolchain('binaryen/bin'), { recursive: true });
  for (const program of binaryenPrograms) {
    const wrapper = inToolchain('binaryen/bin', program);
    const script = inToolchain(npm, 'node_modules/binaryen/bin', program);
    writeFileSync(wrapper, `#!/bin/sh\nexec "${process.execPath}" --stack-size=8192 --liftoff-only "${script}" "$@"\n`);
    chmodSync(wrapper, 0o755);
  }
}

/** emcc reads `.emscripten` in its own folder before anything else but EM_CONFIG. */
function writeConfig() {
  const config = {
    LLVM_ROOT: `/usr/lib/llvm-${llvm}/bin`,
    LLVM_ADD_VERSION: '',
    CLANG_ADD_VERSION: '',
    BINARYEN_ROOT: inToolchain('binaryen'),
    NODE_JS: process.execPath,
    CACHE: inToolchain('emscripten-cache'),
  };
  const lines = Object.entries(config).map(([name, value]) => `${name} = '${value}'\n`);
  writeFileSync(join(packageFolder, '.emscripten'), lines.join(''));
}
