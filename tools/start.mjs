/*
 * Builds the project, runs a model in Node.js and as WASI, and serves the live demo on this machine:
 *
 *     npm start [-- [MODEL.onnx] [--input NAME=FILE.npy]... [--dim SYMBOL=N]... [--once]]
 *
 * Without a model it is the digit classifier. Inputs that are not given are made up. --once ends after the run; PORT
 * chooses another port than 8080 for the demo.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeInput } from '../demo/inputs.js';
import { parseNpy, writeNpy } from '../demo/npy.js';
import { readArguments } from './arguments.mjs';
import { buildAll } from './build.mjs';
import { serve } from './serve.mjs';
import { root } from './setup/paths.mjs';
import { main } from './setup/run.mjs';

const digits = join(root, 'models/digits');
const sample = 7;

function readPairs(list, what) {
  return Object.fromEntries(
    (list ?? []).map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new Error(`${what}: expected NAME=VALUE, found '${pair}'`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function readCommand() {
  const { values, positionals } = readArguments(import.meta.url, {
    allowPositionals: true,
    options: {
      once: { type: 'boolean' },
      input: { type: 'string', multiple: true },
      dim: { type: 'string', multiple: true },
    },
  });
  if (positionals.length > 1) throw new Error(`Expected one model, found ${positionals.join(', ')}`);
  const own = positionals.length === 0;
  const files = own && !values.input ? [`image=${join(digits, `sample_${sample}.npy`)}`] : values.input;
  const dims = Object.entries(readPairs(values.dim, '--dim')).map(([name, text]) => [name, Number(text)]);
  return {
    own,
    once: values.once,
    model: own ? join(digits, 'digits.onnx') : resolve(positionals[0]),
    files: readPairs(files, '--input'),
    dims: Object.fromEntries(dims),
  };
}

/** The inputs of a session: those given as files, the others made up. */
function collectInputs(session, { files, dims }) {
  const inputs = [...session.inputMetadata, ...session.weft.defaults];
  for (const name of Object.keys(files)) {
    if (!inputs.some((input) => input.name === name)) {
      throw new Error(`--input: the model has no input '${name}'; it has ${inputs.map((input) => input.name).join(', ')}`);
    }
  }
  return Object.fromEntries(
    inputs.filter(({ name }) => files[name] || session.inputNames.includes(name)).map((input) => {
      if (files[input.name]) return [input.name, parseNpy(readFileSync(files[input.name]))];
      if (!input.isTensor) throw new Error(`input '${input.name}' is no tensor: it cannot be made up`);
      const made = makeInput(input, 'random', dims);
      console.log(`  made up the input '${input.name}': ${made.type} [${made.dims}]`);
      return [input.name, made];
    }),
  );
}

const shades = ' .:-=+*#%@';

/** A picture of values in [0, 1] as text, two characters a pixel. */
function drawPicture({ dims, data }) {
  const [height, width] = dims.slice(-2);
  const rows = Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => shades[Math.round(data[y * width + x] * (shades.length - 1))].repeat(2)).join(''));
  console.log(rows.filter((row) => row.trim() !== '').join('\n'));
}

function describe(value) {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return `[${value.slice(0, 3).map(describe).join(', ')}${value.length > 3 ? ', ...' : ''}]`;
  if (value instanceof Map) return `{${[...value].slice(0, 4).map(([key, item]) => `${key}: ${item}`).join(', ')}}`;
  const few = Array.from(value.data.slice(0, 8), (item) => (typeof item === 'number' ? Number(item.toPrecision(6)) : item));
  return `${value.type} [${value.dims}]: ${few.join(' ')}${value.size > few.length ? ' ...' : ''}`;
}

async function runInNode(options) {
  const { InferenceSession, Tensor, env } = await import(pathToFileURL(join(root, 'dist/weft.mjs')).href);
  const begin = performance.now();
  const session = await InferenceSession.create(options.model);
  const loaded = performance.now();
  console.log(`\nIn Node.js ${process.versions.node}, ${env.weft.module}:`);
  const inputs = collectInputs(session, options);
  const feeds = Object.fromEntries(Object.entries(inputs).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)]));
  const times = [performance.now()];
  let outputs;
  for (let i = 0; i < 5 && times.at(-1) - times[0] < 2000; i++) {
    outputs = await session.run(feeds);
    times.push(performance.now());
  }
  if (options.own) drawPicture(inputs.image);
  for (const [name, value] of Object.entries(outputs)) console.log(`  ${name}: ${describe(value)}`);
  if (options.own) {
    const { data } = outputs.probabilities;
    const best = data.indexOf(Math.max(...data));
    console.log(`  It is a ${best} (${(100 * data[best]).toFixed(1)} %).`);
  }
  const runs = times.slice(1).map((time, i) => (time - times[i]).toFixed(1));
  console.log(`  loaded in ${(loaded - begin).toFixed(1)} ms, runs of ${runs.join(', ')} ms`);
  await session.release();
  return inputs;
}

/** Node.js 20 crashes now and then when a fast call from WASI meets memory that has grown. */
const flags = ['--no-warnings', '--no-turbo-fast-api-calls'];

const found = (program) => spawnSync(program, ['--version']).status === 0;

/** The words that run the WASI command in wasmtime if that is installed, else in node:wasi. */
function wasiHost(folders, words) {
  const module = join(root, 'dist/weft.wasm');
  if (found('wasmtime')) {
    const dirs = Object.entries(folders).map(([guest, host]) => `--dir=${host}::${guest}`);
    return { name: 'wasmtime', command: ['wasmtime', 'run', ...dirs, module, ...words] };
  }
  const host = join(root, 'tools/wasi-host.mjs');
  return { name: 'node:wasi', command: [process.execPath, ...flags, host, module, JSON.stringify(folders), ...words] };
}

function runAsWasi(options, inputs) {
  const scratch = mkdtempSync(join(tmpdir(), 'weft-'));
  try {
    const words = ['run', `/model/${basename(options.model)}`];
    Object.entries(inputs).forEach(([name, input], i) => {
      if (input.type === 'string') writeFileSync(join(scratch, `${i}.txt`), `${input.data.join('\n')}\n`);
      else writeFileSync(join(scratch, `${i}.npy`), writeNpy(input));
      words.push('--input', `${name}=/inputs/${i}.${input.type === 'string' ? 'txt' : 'npy'}`);
    });
    const { name, command } = wasiHost({ '/model': dirname(options.model), '/inputs': scratch }, words);
    console.log(`\nAs WASI in ${name}, weft.wasm:`);
    const begin = performance.now();
    const { status } = spawnSync(command[0], command.slice(1), { stdio: 'inherit' });
    if (status !== 0) throw new Error('The WASI command failed');
    console.log(`  ${(performance.now() - begin).toFixed(0)} ms in all, with starting the host and compiling the module`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function serveDemo() {
  const folders = {
    '/': join(root, 'demo'),
    '/dist/': join(root, 'dist'),
    '/models/': join(root, 'models'),
  };
  const { url } = await serve(folders, { port: Number(process.env.PORT ?? 8080) });
  console.log(`\nThe live demo is at ${url}/ (stop with Ctrl+C)`);
}

main(async () => {
  const options = readCommand();
  readFileSync(options.model).subarray(0, 1); // a wrong path is told before anything is built
  await buildAll();
  runAsWasi(options, await runInNode(options));
  if (!options.once) await serveDemo();
});
