/*
 * Every sample of JavaScript in the documentation runs as it stands, in a project of its own. What a sample leaves to
 * its reader (a model, a picture, a button) is put around it here.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { root } from '../../tools/setup/paths.mjs';
import { doubling, identity, model, node, tensor, tensorType } from './onnx.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(folder, { recursive: true }));

const cache = tensorType('float32', ['batch', 12, 'past', 64]);
const ids = tensorType('int64', [1, 1]);
/** Adds one row to each of two caches; the values' is empty if it is left out. */
const decoder = model({
  nodes: [
    node('Add', ['input_ids', 'position_ids'], ['sum']), node('Cast', ['sum'], ['logits'], { to: 1 }),
    node('Concat', ['past.0.key', 'row'], ['present.0.key'], { axis: 2 }),
    node('Concat', ['past.0.value', 'row'], ['present.0.value'], { axis: 2 }),
  ],
  inputs: { input_ids: ids, position_ids: ids, 'past.0.key': cache, 'past.0.value': cache },
  outputs: { logits: tensorType('float32', [1, 1]), 'present.0.key': cache, 'present.0.value': cache },
  initializers: [
    tensor('row', 'float32', [1, 12, 1, 64], { raw: new Uint8Array(12 * 64 * 4) }),
    tensor('past.0.value', 'float32', [1, 12, 0, 64], { raw: new Uint8Array() }),
  ],
});
const custom = model({
  nodes: [node('SwishB', ['x'], ['y'], { domain: 'lab.custom', beta: { float: 2 } })],
  domains: { 'lab.custom': 1 },
  inputs: { x: tensorType('float32', ['n']) },
  outputs: { y: tensorType('float32', ['n']) },
});
const picture = model({
  nodes: [node('Identity', ['image'], ['mask'])],
  inputs: { image: tensorType('float32', [1, 3, 'h', 'w']) },
  outputs: { mask: tensorType('float32', [1, 3, 'h', 'w']) },
});

const digits = readFileSync(join(root, 'models/digits/digits.onnx'));
const callSwish = `const { y } = await session.run({ x: new Tensor('float32', [1]) });
  console.log(y.data[0].toFixed(3));`;
const swish = `const swish = ([{ data, dims }], { beta }) =>
  new Tensor('float32', data.map((v) => v / (1 + Math.exp(-beta * v))), dims);`;

/** By a part of each sample: its model.onnx, what comes before it and after it, what it prints. */
const samples = {
  'const { probabilities } = await session.run': {
    model: digits,
    before: 'const pixels = new Float32Array(784);',
    after: 'console.log(probabilities.dims);',
    prints: '[ 1, 10 ]',
  },
  'console.log(y.dims, y.data)': {
    model: doubling('float32', ['a', 'b']),
    prints: '[ 2, 2 ] Float32Array(4) [ 2, 4, 6, 8 ]',
  },
  "globalThis[Symbol.for('onnxruntime')]": {
    after: 'console.log(typeof generator.create, generator.device);',
    prints: 'function auto',
  },
  'const { signal } = controller': {
    model: doubling(), before: "const controller = new AbortController(), url = 'model.onnx', bar = {};",
    after: 'console.log(bar.value, session.inputNames);', prints: "1 [ 'x' ]",
  },
  "import wasm from 'onnx-weft/dist/weft.simd.wasm'": { bundled: true },
  "new Tensor('int64', [101, 2054, 102], [1, 3])": {
    before: 'const pixels = new Float32Array(3 * 224 * 224);',
    prints: '',
  },
  'await Tensor.fromImage(file,': {
    model: picture,
    before: `globalThis.ImageData = class { constructor(data, width) { Object.assign(this, { data, width }); } };
      const file = { data: new Uint8Array(4 * 224 * 224).fill(255), width: 224, height: 224 };
      const context = { putImageData: ({ data, width }) => console.log(data.length, width, data[0]) };
      const session = await InferenceSession.create('model.onnx');`,
    prints: `${4 * 224 * 224} 224 255`,
  },
  'const norm = { bias:': {
    after: `const white = { data: new Uint8Array(4).fill(255), width: 1, height: 1 };
      console.log(...Array.from((await Tensor.fromImage(white, { norm })).data, (value) => value.toFixed(2)));`,
    prints: '2.25 2.43 2.64', // (1 - mean) / deviation, as torchvision has it
  },
  "InferenceSession.create('decoder.onnx'": {
    before: "let step = 0; const input_ids = new Tensor('int64', [1], [1, 1]), position_ids = input_ids;",
    change: (text) => text.replace('// choose the next', 'if (++step === 3) break; // choose the next'),
    after: "console.log(cache['past.0.key'].dims, cache['past.0.value'].location);",
    prints: '[ 1, 12, 3, 64 ] wasm',
  },
  'session.startProfiling();': {
    model: doubling(),
    before: `import { writeFileSync, readFileSync } from 'node:fs';
      const session = await InferenceSession.create('model.onnx'), feeds = { x: new Tensor('float32', [1]) };`,
    after: "console.log(JSON.parse(readFileSync('trace.json', 'utf8')).traceEvents.length);",
    prints: /^20 runs of .*\nAdd .*\n40$/s,
  },
  'const swish =': { model: custom, after: callSwish, prints: '0.881' },
  'const infer =': { model: custom, before: swish, after: callSwish, prints: '0.881' },
  'env.weft; //': { prints: '' },
};

const blocks = ['README.md', 'docs/javascript.md'].flatMap((name) => {
  const text = readFileSync(join(root, name), 'utf8');
  const found = [...text.matchAll(/^```js\n(.*?)^```$/gms)];
  return found.map(([, code], i) => ({ name: `${name}, sample ${i + 1}`, code, text }));
});

const stdio = ['ignore', 'pipe', 'pipe'];
const run = (...args) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio }).trim();

before(() => {
  const installed = join(folder, 'node_modules');
  mkdirSync(join(installed, '@huggingface/transformers'), { recursive: true });
  symlinkSync(root, join(installed, 'onnx-weft'), 'junction');
  const stub = `const { InferenceSession } = globalThis[Symbol.for('onnxruntime')];
    export const pipeline = async (task, model, { device }) => ({ create: InferenceSession.create, device });`;
  writeFileSync(join(installed, '@huggingface/transformers/index.mjs'), stub);
  writeFileSync(join(installed, '@huggingface/transformers/package.json'), '{"exports": "./index.mjs"}');
  writeFileSync(join(folder, 'decoder.onnx'), decoder);
});

/** The sample as one script, by the command that is written above it. @param {string} code @param {string} text */
function runBundled(code, text) {
  const [, args] = text.match(/`esbuild (app\.js[^`]*)`/);
  const [imports, body] = [/^import .*$/gm, /^(?!import).*$/gm].map((lines) => code.match(lines).join('\n'));
  writeFileSync(join(folder, 'app.js'), `${imports}\nimport { InferenceSession } from 'onnx-weft';
    (async () => { ${body}\nconsole.log(session.inputNames, session.weft.module); })();`);
  writeFileSync(join(folder, 'model.onnx'), identity(tensorType('float32')));
  run(join(root, 'node_modules/esbuild/bin/esbuild'), ...args.split(/\s+/), '--log-level=error');
  copyFileSync(join(folder, 'app.out.js'), join(folder, 'app.out.cjs'));
  assert.equal(run('app.out.cjs'), "[ 'x' ] given");
}

for (const { name, code, text } of blocks) test(name, () => {
  const [, around] = Object.entries(samples).find(([part]) => code.includes(part)) ?? [];
  assert.ok(around, `no test knows this sample:\n${code}`);
  if (around.bundled) return runBundled(code, text);
  if (around.model) writeFileSync(join(folder, 'model.onnx'), around.model);
  const imports = code.includes("from 'onnx-weft'") ? '' : "import { InferenceSession, Tensor, env } from 'onnx-weft';";
  const parts = [imports, around.before ?? '', around.change?.(code) ?? code, around.after ?? ''];
  writeFileSync(join(folder, 'sample.mjs'), parts.join('\n'));
  const printed = run('sample.mjs');
  if (around.prints instanceof RegExp) assert.match(printed, around.prints);
  else assert.equal(printed, around.prints);
});
