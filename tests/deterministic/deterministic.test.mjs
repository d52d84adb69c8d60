/*
 * The option `deterministic`: the same bits in every host, with any number of threads, and with the kernels without SIMD.
 * Operators that add up or call functions, as real models have them, and a whole model. One host's answers are the others'
 * expected ones, and nothing may be different.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { serve } from '../../tools/serve.mjs';
import { programs, root } from '../../tools/setup/paths.mjs';
import { makeFeeds } from '../bench/measure.mjs';
import { operators } from '../bench/operators.mjs';
import { model, node, tensor, tensorType } from '../js/onnx.mjs';
import { browsers } from '../tools/browsers.mjs';
import { checkFolder } from '../tools/folder.mjs';
import { check, hosts, javascript } from '../tools/hosts.mjs';
import { openRemote } from '../tools/remote.mjs';

/** Functions of one number, all in a model; the numbers lie on both sides of 0, or of 1 where functions begin there. */
const functions = {
  around_0: [
    ...['Asin', 'Acos', 'Asinh', 'Atan', 'Atanh', 'Celu', 'Cos', 'Cosh', 'Elu', 'Erf', 'Exp', 'Gelu', 'HardSwish', 'LogSoftmax', 'Mish', 'Selu'],
    ...['Sigmoid', 'Sin', 'Sinh', 'Softmax', 'Softplus', 'Softsign', 'Swish', 'Tan', 'Tanh'],
  ],
  from_1: ['Acosh', 'Log', 'Reciprocal', 'Sqrt', 'ReduceLogSumExp', 'ReduceL2'],
};

const functionsOf = (dtype, [name, list]) => ({
  name: `functions_of_${dtype}_${name}`,
  bytes: model({
    opset: 24,
    nodes: [...list.map((op) => node(op, ['x'], [op])), node('Pow', ['x', 'x'], ['Pow'])],
    inputs: { x: tensorType(dtype, [3, 333]) },
    outputs: Object.fromEntries([...list, 'Pow'].map((op) => [op, tensorType(dtype, undefined)])),
  }),
  inputs: [{ name: 'x', dtype, shape: [3, 333], ...(name === 'from_1' && { above: 1 }) }],
});
const allFunctions = ['float32', 'float64'].flatMap((dtype) => Object.entries(functions).map((entry) => functionsOf(dtype, entry)));

/** Not those that only move elements, nor twins of others, nor what takes sanitized builds long. */
const chosen = new RegExp(
  `^(${[
    'conv_(1x1_14|1x1_7|3x3_14|depthwise.*14|grouped.*|transpose_4x4.*)', 'matmul_(197.*|7x.*|batched_qk|integer_m1|nbits_m1)', 'gemm_m.*', 'einsum_bij.*',
    'qlinear_(matmul|conv_1x1.*)', 'dynamic_quantize', 'softmax_128', 'layer_norm_384', '.*_norm', 'attention.*', 'prelu', 'hard_swish', 'sigmoid',
    'tanh', 'exp', 'log', 'erf', 'gelu', 'sqrt', 'sin', 'cumsum.*', 'reduce_.*', 'average_pool_3x3', 'global_average_pool', 'resize_(linear_odd|cubic)',
    'grid_sample', 'lstm', 'gru', 'rnn',
  ].join('|')})$`,
);

const digits = {
  name: 'digits',
  bytes: readFileSync(join(root, 'models/digits/digits.onnx')),
  inputs: [{ name: 'image', dtype: 'float32', shape: [2, 1, 28, 28] }],
};

const rawOf = ({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const writeValue = (path, name, value) => writeFileSync(path, tensor(name, value.type, value.dims, { raw: rawOf(value) }));

/** Makes the folder of a model, with this host's answers. */
async function writeCase(folder, { name, bytes, inputs }) {
  const data = join(folder, 'test_data_set_0');
  mkdirSync(data, { recursive: true });
  writeFileSync(join(folder, 'model.onnx'), bytes);
  const session = await InferenceSession.create(bytes, { deterministic: true });
  const feeds = makeFeeds({ Tensor }, inputs);
  const outputs = await session.run(feeds);
  session.inputNames.forEach((input, i) => writeValue(join(data, `input_${i}.pb`), input, feeds[input]));
  session.outputNames.forEach((output, i) => writeValue(join(data, `output_${i}.pb`), output, outputs[output]));
  await session.release();
  return { id: name, folder, settings: ['rtol=0', 'atol=0'] };
}

const missing = existsSync(programs.node24) ? false : 'Node.js 24 is not set up';
/** What takes relaxed instructions elsewhere: the choice must not. */
const relaxedHosts = {
  'a host with relaxed SIMD': { command: javascript({}, 'weft.simd.wasm', programs.node24), missing },
  'one with 64-bit addresses': { command: javascript({ memory64: true }, 'weft.simd.threads.64.wasm', programs.node24), missing },
};
const others = Object.fromEntries(Object.entries(hosts).filter(([name]) => !name.startsWith('weft.relaxed')));
/** Chromium's is that of Node.js. */
const { Chromium: _, ...otherEngines } = browsers;

describe('deterministic sessions', () => {
  let folder;
  const cases = [];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-'));
    const models = [digits, ...allFunctions, ...operators().filter(({ name }) => chosen.test(name))];
    for (const model of models) cases.push(await writeCase(join(folder, model.name), model));
    assert.ok(cases.length > 50, `${cases.length} cases`);
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, host] of Object.entries({ ...others, ...relaxedHosts })) {
    test(name, { skip: host.missing, timeout: 300_000 }, async () => {
      const command = (...args) => [...host.command(...args), '--deterministic'];
      const failed = (await check({ command }, cases)).filter(({ failure }) => failure);
      assert.deepEqual(failed.map(({ id, failure }) => `${id}: ${failure}`), []);
    });
  }

  for (const [name, { launch, missing }] of Object.entries(otherEngines)) {
    test(name, { skip: missing, timeout: 300_000 }, async () => {
      const server = await serve({ '/': join(root, 'tests/browser/page'), '/dist/': join(root, 'dist'), '/cases/': folder });
      const browser = await launch();
      try {
        const page = await browser.newPage();
        await page.goto(`${server.url}/remote.html`);
        await page.waitForFunction('window.remote');
        const failed = [];
        for (const { id, folder } of cases) {
          const how = { folder, rtol: 0, atol: 0, expected: ['output'] };
          const create = () => openRemote(page, `/cases/${id}/model.onnx`, 'url', { deterministic: true });
          await checkFolder(how, create).catch((error) => failed.push(`${id}: ${error.message}`));
        }
        assert.deepEqual(failed, []);
      } finally {
        await browser.close();
        server.close();
      }
    });
  }
});
