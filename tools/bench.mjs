/*
 * The benchmark against onnxruntime-web:
 *
 *     npm run bench [-- --browser] [--node24] [--threads 1,2] [--only NAME,...] [--models FOLDER] [--ops]
 *                   [--native] [--wasi] [--rounds N] [--ms N] [--json FILE] [--no-cold] [--start]
 *
 * Times of a run are medians over alternating rounds in one process. Load time, load to first result and memory are of a
 * fresh process or page each, with importing the package; with --no-cold they are left out. Memory is what the model adds
 * to the process's peak when it is loaded and when it has run, as a multiple of its file; in Chromium, to what WebAssembly
 * and JavaScript hold. A ratio above 1 means that Weft is faster.
 *
 * FOLDER holds NAME.onnx files and a models.json that lists each one's inputs; without it the models of ../shared/bench are
 * made full-size first, and a decoder whose cache grows, and 4-bit variants of them. --ops measures single operators instead (tests/bench/operators.mjs), with rates by Weft's own
 * count of the work. --native adds native ONNX Runtime, --wasi the command in wasmtime against the package in Node.js.
 */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { median } from '../tests/bench/measure.mjs';
import { writeOperators } from '../tests/bench/operators.mjs';
import { inNative, inNode, inWasmtime, openPage } from '../tests/bench/hosts.mjs';
import { ms, printHead, printMeans, printRow, tables } from '../tests/bench/report.mjs';
import { readArguments } from './arguments.mjs';
import { buildAll } from './build.mjs';
import { setUp } from './setup.mjs';
import { programs, root } from './setup/paths.mjs';
import { setUpNative } from './setup/python.mjs';
import { main, run, step } from './setup/run.mjs';

const { values: args } = readArguments(import.meta.url, {
  options: {
    browser: { type: 'boolean' },
    node24: { type: 'boolean' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string' },
    models: { type: 'string' },
    ops: { type: 'boolean' },
    native: { type: 'boolean' },
    wasi: { type: 'boolean' },
    rounds: { type: 'string', default: '7' },
    ms: { type: 'string' },
    json: { type: 'string' },
    'no-cold': { type: 'boolean' },
    start: { type: 'boolean' },
  },
});

const node = args.node24 ? programs.node24 : process.execPath;
const engines = ['weft', 'onnxruntime-web'];

/** The folder of full-size models, made once. */
async function hydrated() {
  const shared = resolve(root, '../shared/bench');
  const folder = join(root, 'build/bench-models');
  const listing = join(folder, 'models.json');
  if (!existsSync(listing)) {
    if (!existsSync(shared)) throw new Error('There are no models: name a folder of them with --models FOLDER');
    await step('Full-size models', () => run(programs.python, [join(shared, 'hydrate.py'), folder]));
    writeFileSync(listing, readFileSync(join(shared, 'models.json')));
  }
  for (const [word, what, script] of [['loop', 'A decoder whose cache grows', 'decoder.py'], ['loop_4bit', '4-bit models', 'quantize.py']]) {
    if (readFileSync(listing, 'utf8').includes(word)) continue;
    await step(what, () => run(programs.python, [join(root, 'tests/bench', script), folder]));
  }
  return folder;
}

async function modelFolder() {
  if (args.models) return resolve(args.models);
  if (!args.ops) return hydrated();
  const folder = join(root, 'build/bench-ops');
  writeOperators(folder);
  return folder;
}

/** Load to first result of a tiny model in a fresh process, several times. */
function measureStart() {
  const spec = { threads: 1, inputs: [{ name: 'image', dtype: 'float32', shape: [1, 1, 28, 28] }] };
  const model = join(root, 'models/digits/digits.onnx');
  for (const engine of engines) {
    const times = Array.from({ length: 9 }, () => inNode(node, 'cold', engine, model, spec).first);
    console.log(`${engine.padEnd(16)} import to first result of the digit classifier: median ${ms(median(times))} ms`);
  }
}

/** Load, first result and memory, each engine in a process or page of its own. */
async function measureCold(page, name, path, spec) {
  const found = [];
  for (const engine of engines) found.push(page ? await page.cold(engine, name, spec) : inNode(node, 'cold', engine, path, spec));
  return Object.fromEntries(['load', 'first', 'peak'].map((what) => [what, found.map((one) => one[what])]));
}

async function measureModel(folder, page, name, spec) {
  const path = join(folder, `${name}.onnx`);
  const found = page ? await page.compare(name, spec) : inNode(node, 'compare', path, spec);
  const cold = args['no-cold'] || args.ops ? {} : await measureCold(page, name, path, spec);
  const native = args.native ? inNative(path, spec) : undefined;
  return { ...found, load: undefined, first: undefined, ...cold, native, size: statSync(path).size };
}

/** The command in wasmtime, and the package in Node.js, in turns; the best of each. A ratio below 1: the command is slower. */
function measureWasi(folder, name, spec) {
  const path = join(folder, `${name}.onnx`);
  const short = { ...spec, rounds: Math.ceil(spec.rounds / 2) };
  const turns = [0, 1].map(() => [inWasmtime(path, spec), inNode(node, 'alone', 'weft', path, short).times[0]]);
  return { times: [0, 1].map((i) => Math.min(...turns.map((turn) => turn[i]))) };
}

main(async () => {
  await setUp('bench');
  if (args.native) await setUpNative();
  await buildAll();
  if (args.start) return measureStart();
  const folder = await modelFolder();
  const models = JSON.parse(readFileSync(join(folder, 'models.json'), 'utf8'));
  const only = args.only?.split(',');
  const names = Object.keys(models).filter((name) => (!only || only.includes(name)) && !(args.wasi && models[name].loop));
  const page = args.browser ? await openPage(folder) : null;
  const columns = tables[args.wasi ? 'wasi' : args.ops ? 'operators' : 'models']({ native: args.native, cold: !args['no-cold'] });
  const rows = [];
  printHead(columns);
  for (const threads of args.threads.split(',').map(Number)) {
    const first = rows.length;
    for (const name of names) {
      const { inputs, loop, group } = models[name];
      const spec = { inputs, loop, threads, rounds: Number(args.rounds), ms: Number(args.ms ?? (args.ops ? 40 : 200)), warm: args.ops ? 400 : 800 };
      try {
        const found = args.wasi ? measureWasi(folder, name, spec) : await measureModel(folder, page, name, spec);
        rows.push({ name, group, threads, ...found });
        printRow(columns, rows.at(-1));
        if (rows.at(-1).difference > 1e-2) console.log(`  ${name}: the answers differ`);
      } catch (error) {
        console.log(`${name}: ${error.message}`);
      }
    }
    printMeans(rows.slice(first), threads);
  }
  await page?.close();
  if (args.json) {
    mkdirSync(resolve(args.json, '..'), { recursive: true });
    writeFileSync(args.json, JSON.stringify(rows, null, 1));
  }
});
