/*
 * Gets everything that building, testing and measuring needs, into `.toolchain` and with pinned versions:
 *
 *     node tools/setup.mjs [build|test|bench]...
 *
 * `build` (the default) is what `npm run build` and `npm start` need; `test` and `bench` add to it. What is there
 * already is left alone, so a second run takes a moment, and a run that was broken off goes on where it stopped.
 */
import { rmSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { installSystemPackages } from './setup/apt.mjs';
import { writeCMakePaths } from './setup/cmake.mjs';
import { setUpEmscripten } from './setup/emscripten.mjs';
import { installDevDependencies, installNpm } from './setup/npm.mjs';
import { inToolchain } from './setup/paths.mjs';
import { setUpProtobufC } from './setup/protobuf-c.mjs';
import { setUpPython } from './setup/python.mjs';
import { setUpVad } from './setup/vad.mjs';
import { main } from './setup/run.mjs';

const parts = {
  async build() {
    writeCMakePaths(await setUpEmscripten());
    await setUpProtobufC();
    await installDevDependencies();
  },
  async test() {
    await installNpm('node24', 'Node.js 24, which runs relaxed SIMD without a flag');
    await setUpPython();
    await setUpVad();
  },
  async bench() {
    await installNpm('onnxruntime-web', 'onnxruntime-web, what the benchmark compares with');
  },
};

/** Which other parts a part of set-up builds on. */
const needs = { build: ['build'], test: ['build', 'test'], bench: ['build', 'test', 'bench'] };

/** Sets up the named part and those it builds on. */
export async function setUp(part = 'build') {
  const wanted = needs[part];
  if (!wanted) throw new Error(`There is no part "${part}" of set-up; there are ${Object.keys(needs).join(', ')}`);
  await installSystemPackages(wanted);
  for (const name of wanted) await parts[name]();
  rmSync(inToolchain('tmp'), { recursive: true, force: true });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(async () => {
    for (const part of process.argv.length > 2 ? process.argv.slice(2) : ['build']) await setUp(part);
  });
}
