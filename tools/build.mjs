/*
 * Builds everything that ships, into dist/:
 *
 *     node tools/build.mjs [--operators=Conv,Relu,...]
 *
 *     weft.mjs, weft.cjs, weft.d.ts, weft.d.cts   the JavaScript package, bundled from web/
 *     weft.worker.mjs                             what runs in the worker of a session that has one
 *     weft.threads.mjs                            what runs in the workers of modules with threads: Emscripten's glue
 *     weft.{scalar,simd,relaxed}.wasm, weft.{simd,relaxed}.threads.wasm
 *     weft.{simd,relaxed}.threads.64.wasm         those of 64-bit addresses
 *     weft.wasm, weft_reactor.wasm                the WASI command and reactor
 *
 * The toolchain is set up first if it is not there. Only what changed is built again. With
 * `--operators` the modules have those operators only, and are smaller; docs/building.md says which to name.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readArguments } from './arguments.mjs';
import { commonGlue } from './glue.mjs';
import { setUp } from './setup.mjs';
import { root } from './setup/paths.mjs';
import { main, run, step } from './setup/run.mjs';

const dist = join(root, 'dist');
/** Where the package is put together before what changed of it goes to dist/: others may be running what lies there. */
const staging = join(root, `build/package.${process.pid}`);

/** Which modules share which glue file. */
const glues = {
  'weft.glue': ['weft.scalar', 'weft.simd', 'weft.relaxed'],
  'weft.threads': ['weft.simd.threads', 'weft.relaxed.threads', 'weft.simd.threads.64', 'weft.relaxed.threads.64'],
};

const isWide = (module) => module.endsWith('.64');
/** A file of what was built for a module. */
const fileOf = (module, name) => join(root, 'build', isWide(module) ? 'web64' : 'web', module, name);

/**
 * Builds a CMake preset, configuring it anew when the presets, the toolchain's paths or `operators` (names separated by
 * commas; none: all) have changed since it was.
 */
export async function buildPreset(preset, operators = '') {
  const stamp = join(root, 'build', preset, 'configured');
  const files = ['CMakePresets.json', '.toolchain/paths.cmake'].map((name) => readFileSync(join(root, name), 'utf8'));
  const inputs = [...files, operators].join('');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== inputs) {
    const list = operators.replaceAll(',', ';');
    await run('cmake', ['--preset', preset, '--fresh', `-DWEFT_OPERATORS=${list}`], { cwd: root });
    writeFileSync(stamp, inputs);
  }
  const output = await run('cmake', ['--build', '--preset', preset], { cwd: root, label: preset });
  for (const line of output.split('\n')) if (line.includes('warning:')) console.log(line);
}

/** Where a finished glue is put for the bundler. */
const glueFile = (name) => join(root, 'build/web', `${name}.mjs`);

async function collectModules() {
  for (const [name, modules] of Object.entries(glues)) {
    const texts = modules.map((module) => ({ path: fileOf(module, `${name}.mjs`), wide: isWide(module) }));
    writeFileSync(glueFile(name), await commonGlue(texts));
    for (const module of modules) {
      copyFileSync(fileOf(module, `${name}.wasm`), join(staging, `${module}.wasm`));
    }
  }
  // Which workers load. They start none themselves, and Turbopack never ends with a worker's file that has itself as a worker.
  const threads = readFileSync(glueFile('weft.threads'), 'utf8');
  writeFileSync(join(staging, 'weft.threads.mjs'), threads.replace(/\?\?new Worker\(new URL\([^)]*\),\{[^}]*\}\)/, ''));
  for (const name of ['weft', 'weft_reactor']) copyFileSync(join(root, 'build/wasi', `${name}.wasm`), join(staging, `${name}.wasm`));
}

/** Lets the bundler find the glue that web/ imports. */
const bundledGlue = {
  name: 'glue',
  setup(build) {
    build.onResolve({ filter: /^\.\/weft\.(glue|threads)\.mjs$/ }, ({ path }) => ({ path: glueFile(basename(path, '.mjs')) }));
  },
};

/**
 * The bundler renames classes that name themselves. Its own way to keep names makes the bundle a tenth larger, by static
 * blocks, which the compiler of React Native's bundler does not take.
 */
function keepClassNames(file) {
  const text = readFileSync(file, 'utf8');
  const renamed = [...text.matchAll(/^var (\w+) = class _\1\b/gm)].map(([, name]) => name);
  writeFileSync(file, renamed.reduce((names, name) => names.replaceAll(new RegExp(`\\b_${name}\\b`, 'g'), name), text));
}

/** Bundles web/ for `import`, for the worker of a session that has one, and for `require`. */
async function bundle() {
  const { build } = await import('esbuild');
  const common = {
    entryPoints: [join(root, 'web/index.js')],
    bundle: true,
    target: 'es2022',
    plugins: [bundledGlue],
    logLevel: 'warning',
  };
  await build({ ...common, format: 'esm', outfile: join(staging, 'weft.mjs') });
  await build({ ...common, entryPoints: [join(root, 'web/worker.js')], format: 'esm', outfile: join(staging, 'weft.worker.mjs') });
  await build({
    ...common,
    format: 'cjs',
    platform: 'node',
    outfile: join(staging, 'weft.cjs'),
    define: { 'import.meta.url': 'weftUrl' },
    banner: { js: "const weftFile = require('node:url').pathToFileURL, weftUrl = weftFile(__filename).href;" },
  });
  // Tools that gather a server's files know this form in CommonJS.
  const required = join(staging, 'weft.cjs');
  writeFileSync(required, readFileSync(required, 'utf8').replace(/new URL\("(?:\.\/)?([\w.]+)", weftUrl\)/g, 'weftFile(__dirname + "/$1")'));
  for (const name of ['weft.mjs', 'weft.cjs', 'weft.worker.mjs']) keepClassNames(join(staging, name));
  const types = readFileSync(join(root, 'web/weft.d.ts'), 'utf8');
  writeFileSync(join(staging, 'weft.d.ts'), types);
  writeFileSync(join(staging, 'weft.d.cts'), types.replace("'./weft.js'", "'./weft.cjs'"));
}

/** Makes dist/ the same as the staging folder, file by file and each at once. */
function publish() {
  mkdirSync(dist, { recursive: true });
  const names = readdirSync(staging);
  for (const name of readdirSync(dist)) if (!names.includes(name)) rmSync(join(dist, name), { recursive: true });
  for (const name of names) {
    const [from, to] = [join(staging, name), join(dist, name)];
    if (!existsSync(to) || !readFileSync(from).equals(readFileSync(to))) renameSync(from, to);
  }
  rmSync(staging, { recursive: true });
}

/** Builds all that ships, with the named operators only or with all of them. */
export async function buildAll(operators) {
  await setUp('build');
  await step('Modules for browsers and Node.js', () => buildPreset('web', operators));
  await step('Modules of 64-bit addresses', () => buildPreset('web64', operators));
  await step('WASI modules', () => buildPreset('wasi', operators));
  await step('JavaScript package', async () => {
    rmSync(staging, { recursive: true, force: true });
    mkdirSync(staging);
    await collectModules();
    await bundle();
    publish();
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(() => {
    const { values } = readArguments(import.meta.url, { options: { operators: { type: 'string' } } });
    return buildAll(values.operators);
  });
}
