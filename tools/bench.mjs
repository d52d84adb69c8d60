/*
 * The benchmark against onnxruntime-web:
 *
 *     npm run bench [-- --browser] [--node24] [--threads 1,2] [--only NAME,...] [--models FOLDER]
 *                   [--rounds N] [--ms N] [--json FILE] [--no-cold] [--start]
 *
 * Times of a run are medians over alternating rounds in one process. Load time and load to first result are of a fresh
 * process each, with importing the package, as is the peak of its memory; in Chromium, and with --no-cold, they are those
 * of the one process, Weft coming first, and memory is not told apart. A ratio above 1 means that Weft is faster. FOLDER holds NAME.onnx files and a
 * models.json that lists each one's inputs; without it the models of ../shared/bench are made full-size first,
 * and 4-bit variants of them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '../tests/bench/measure.mjs';
import { buildAll } from './build.mjs';
import { launchChromium } from './chromium.mjs';
import { serve } from './serve.mjs';
import { setUp } from './setup.mjs';
import { inToolchain, programs, root } from './setup/paths.mjs';
import { main, run, step } from './setup/run.mjs';

const { values: args } = parseArgs({
  options: {
    browser: { type: 'boolean' },
    node24: { type: 'boolean' },
    threads: { type: 'string', default: '1' },
    only: { type: 'string' },
    models: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    ms: { type: 'string', default: '200' },
    json: { type: 'string' },
    'no-cold': { type: 'boolean' },
    start: { type: 'boolean' },
  },
});

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
  if (!/4bit/.test(readFileSync(listing, 'utf8'))) {
    await step('4-bit models', () => run(programs.python, [join(root, 'tests/bench/quantize.py'), folder]));
  }
  return folder;
}

const node = () => (args.node24 ? programs.node24 : process.execPath);

function inNode(...words) {
  const script = join(root, 'tests/bench/node.mjs');
  const { status, stdout, stderr } = spawnSync(node(), [script, ...words], { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(stderr.trim().split('\n').slice(-6).join('\n'));
  return JSON.parse(stdout.trim().split('\n').pop());
}

async function openPage(folder) {
  const browser = await launchChromium();
  const server = await serve({
    '/': join(root, 'tests/bench'),
    '/dist/': join(root, 'dist'),
    '/models/': folder,
    '/ort/': inToolchain('onnxruntime-web/node_modules/onnxruntime-web/dist'),
  });
  return {
    async measure(name, spec) {
      const page = await browser.newPage();
      await page.goto(`${server.url}/page.html`);
      await page.waitForFunction('window.benchmark');
      const result = await page.evaluate(([url, options]) => window.benchmark(url, options), [`/models/${name}.onnx`, spec]);
      await page.close();
      return result;
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}

const ms = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));
const mb = (value) => (value / 1e6).toFixed(0);

const columns = [
  ['model', (r) => r.name],
  ['threads', (r) => r.threads],
  ['weft ms', (r) => ms(r.times[0])],
  ['ort-web ms', (r) => ms(r.times[1])],
  ['ratio', (r) => (r.times[1] / r.times[0]).toFixed(2)],
  ['differ by', (r) => r.difference.toExponential(0)],
  ['load ms', (r) => `${ms(r.load[0])} | ${ms(r.load[1])}`],
  ['first result ms', (r) => `${ms(r.first[0])} | ${ms(r.first[1])}`],
  ['peak MB', (r) => r.peak && `${mb(r.peak[0])} | ${mb(r.peak[1])}`],
];

function printRow(row) {
  console.log(columns.map(([head, cell]) => String((row ? cell(row) : head) ?? '').padEnd(head === 'model' ? 26 : Math.max(head.length, 11))).join('  '));
}

/** Load to first result of a tiny model in a fresh process, several times. */
function measureStart() {
  const spec = JSON.stringify({ threads: 1, inputs: [{ name: 'image', dtype: 'float32', shape: [1, 1, 28, 28] }] });
  const model = join(root, 'models/digits/digits.onnx');
  for (const engine of ['weft', 'onnxruntime-web']) {
    const times = Array.from({ length: 9 }, () => inNode('cold', engine, model, spec).first);
    console.log(`${engine.padEnd(16)} import to first result of the digit classifier: median ${ms(median(times))} ms`);
  }
}

async function measureModel(folder, page, name, spec) {
  const path = join(folder, `${name}.onnx`);
  const result = page ? await page.measure(name, spec) : inNode('compare', path, JSON.stringify(spec));
  if (!page && !args['no-cold']) {
    const cold = ['weft', 'onnxruntime-web'].map((engine) => inNode('cold', engine, path, JSON.stringify(spec)));
    for (const what of ['load', 'first', 'peak']) result[what] = cold.map((one) => one[what]);
  }
  return { name, threads: spec.threads, ...result };
}

main(async () => {
  await setUp('bench');
  await buildAll();
  if (args.start) return measureStart();
  const folder = args.models ? resolve(args.models) : await hydrated();
  const models = JSON.parse(readFileSync(join(folder, 'models.json'), 'utf8'));
  const only = args.only?.split(',');
  const names = Object.keys(models).filter((name) => !only || only.includes(name));
  const page = args.browser ? await openPage(folder) : null;
  const rows = [];
  printRow();
  for (const threads of args.threads.split(',').map(Number)) {
    for (const name of names) {
      const spec = { inputs: models[name].inputs, threads, rounds: Number(args.rounds), ms: Number(args.ms), warm: 800 };
      try {
        rows.push(await measureModel(folder, page, name, spec));
        printRow(rows.at(-1));
        if (rows.at(-1).difference > 1e-2) console.log(`  ${name}: the answers differ`);
      } catch (error) {
        console.log(`${name}: ${error.message}`);
      }
    }
    const ratios = rows.filter((row) => row.threads === threads).map((row) => row.times[1] / row.times[0]);
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
    console.log(`geometric mean of ${ratios.length} ratios, ${threads} thread${threads > 1 ? 's' : ''}: ${mean.toFixed(2)}`);
  }
  await page?.close();
  if (args.json) {
    mkdirSync(resolve(args.json, '..'), { recursive: true });
    writeFileSync(args.json, JSON.stringify(rows, null, 1));
  }
});
