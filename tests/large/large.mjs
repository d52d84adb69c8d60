/*
 * Models that 32 bits cannot address, which need more memory than every machine has, so no other test is like these:
 *
 *     node tests/large/large.mjs [CASE...]
 *
 * Each case runs in a program of its own, and what it took is printed: the time to load and to run, and the most memory. They
 * need a Node.js with memory of 64-bit addresses, up to 13 GB of memory and, for files, 1 GB of the disk: theirs have holes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { launchChromium } from '../../tools/chromium.mjs';
import { serve as serveFolders } from '../../tools/serve.mjs';
import { programs, root } from '../../tools/setup/paths.mjs';
import { model, node, tensorType } from '../js/onnx.mjs';
import { bytes, entries, feeds, judge, location, pieces, size } from './model.mjs';

const tensors = () => ({
  x: new Tensor('float32', feeds.x.data, feeds.x.dims),
  rows: new Tensor('int64', feeds.rows.data, feeds.rows.dims),
});

/** The other file as a stream. */
const stream = () => ReadableStream.from((function* () {
  for (const piece of pieces()) yield piece.slice();
})());

/** The model as files, the other one with holes. */
function writeFiles(folder) {
  writeFileSync(join(folder, 'model.onnx'), bytes);
  const file = openSync(join(folder, location), 'w');
  ftruncateSync(file, size);
  for (const [place, some] of entries()) writeSync(file, some, 0, some.length, place);
  closeSync(file);
}

const seconds = (since) => Number(((performance.now() - since) / 1000).toFixed(1));

/** Loads the model, runs it twice, and tells what that took. */
async function measure(input, options) {
  let start = performance.now();
  const session = await InferenceSession.create(input, options);
  const load = seconds(start);
  start = performance.now();
  const first = await session.run(tensors());
  const run = seconds(start);
  const wrong = judge(first.y.data, first.taken.data) || judge(...Object.values(await session.run(tensors())).map(({ data }) => data));
  const { module, threads, memory } = session.weft;
  await session.release();
  return { wrong, module, threads, load, run, ...memory };
}

/** Results and feeds of more than 4 GB, copied and kept. */
async function results() {
  const length = 2 ** 32 + 5;
  const type = (dims) => tensorType('uint8', dims);
  const longer = model({
    nodes: [node('Concat', ['x', 'x2'], ['y'], { axis: 0 })],
    inputs: { x: type(['N']), x2: type(['M']) },
    outputs: { y: type(['K']) },
  });
  const session = await InferenceSession.create(longer, { memory64: true, preferredOutputLocation: 'wasm' });
  const x = new Uint8Array(length);
  x.set([1, 2, 3], length - 3);
  const { y } = await session.run({ x: new Tensor('uint8', x, [length]), x2: new Tensor('uint8', new Uint8Array([4]), [1]) });
  const found = await y.getData();
  const last = found.slice(-5).join();
  const { module, memory } = session.weft;
  await session.release();
  const wrong = found.length === length + 1 && last === '0,1,2,3,4' ? '' : `${found.length} bytes that end with ${last}`;
  return { wrong, module, ...memory };
}

/** Writes an array as NumPy does. */
function writeNpy(file, descr, { dims, data }) {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims.join(', ')},), }`.padEnd(117) + '\n';
  const parts = [Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'), Buffer.from(header), Buffer.from(data.buffer)];
  writeFileSync(file, Buffer.concat(parts));
}

/** The command, built natively. */
function native(folder) {
  writeFiles(folder);
  writeNpy(join(folder, 'x.npy'), '<f4', feeds.x);
  writeNpy(join(folder, 'rows.npy'), '<i8', feeds.rows);
  const inputs = ['x', 'rows'].flatMap((name) => ['--input', `${name}=${join(folder, `${name}.npy`)}`]);
  const args = ['run', join(folder, 'model.onnx'), ...inputs, '--output', folder];
  execFileSync(join(root, 'build/native/weft'), args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [y, taken] = ['y', 'taken'].map((name) => {
    const npy = readFileSync(join(folder, `${name}.npy`));
    return npy.subarray(10 + npy.readUInt16LE(8));
  });
  return { wrong: judge(new Float32Array(Uint8Array.from(y).buffer), Uint8Array.from(taken)) };
}

/** A server of the model's files, and its address. */
async function serve() {
  const server = createServer((request, response) => {
    const isModel = request.url.endsWith('.onnx');
    response.writeHead(200, { 'content-length': isModel ? bytes.length : size });
    const source = isModel ? [bytes].values() : pieces();
    const send = () => {
      for (let next = source.next(); !next.done; next = source.next()) {
        if (!response.write(Buffer.from(next.value))) return response.once('drain', send);
      }
      return response.end();
    };
    send();
  });
  await new Promise((resolve) => server.listen(0, resolve));
  server.unref();
  return `http://localhost:${server.address().port}/model.onnx`;
}

/** In a page: URLs, and two threads. */
async function chromium(folder) {
  writeFiles(folder);
  const server = await serveFolders({ '/': join(root, 'tests/browser/page'), '/dist/': join(root, 'dist'), '/models/': folder });
  const browser = await launchChromium();
  const page = await browser.newPage();
  await page.goto(server.url);
  await page.waitForFunction('window.weft');
  const found = await page.evaluate(async ({ x, rows }) => {
    const { InferenceSession, Tensor } = window.weft;
    const start = performance.now();
    const session = await InferenceSession.create('/models/model.onnx', { threads: 2 });
    const load = Math.round((performance.now() - start) / 100) / 10;
    const feeds = { x: new Tensor('float32', x.data, x.dims), rows: new Tensor('int64', rows.data.map(BigInt), rows.dims) };
    const { y, taken } = await session.run(feeds);
    const { module, threads, memory } = session.weft;
    return { y: [...y.data], taken: [...taken.data], figures: { module, threads, load, ...memory } };
  }, { x: { ...feeds.x, data: [...feeds.x.data] }, rows: { ...feeds.rows, data: [...feeds.rows.data].map(Number) } });
  await browser.close();
  server.close();
  return { wrong: judge(found.y, Uint8Array.from(found.taken)), ...found.figures };
}

const cases = {
  'a stream': () => measure(bytes, { externalData: [{ path: location, data: stream() }] }),
  'a stream, in a worker': () => measure(bytes, { externalData: [{ path: location, data: stream() }], worker: true }),
  'URLs, two threads': async () => measure(await serve(), { threads: 2 }),
  files: (folder) => (writeFiles(folder), measure(join(folder, 'model.onnx'), {})),
  Chromium: chromium,
  'results of 4 GB': results,
  natively: native,
};

async function runCase(name) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-large-'));
  try {
    const found = await cases[name](folder);
    const resident = process.resourceUsage().maxRSS * 1024;
    console.log(JSON.stringify({ ...found, resident }));
    process.exitCode = found.wrong ? 1 : 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [first, ...others] = process.argv.slice(2);
if (first === '--case') {
  await runCase(others[0]);
} else {
  const wanted = Object.keys(cases).filter((name) => !first || [first, ...others].includes(name));
  for (const name of wanted) {
    const args = [fileURLToPath(import.meta.url), '--case', name];
    const { stdout, status } = spawnSync(programs.node24, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    console.log(`${status === 0 ? 'ok' : 'FAIL'} ${name}: ${stdout.trim()}`);
    if (status !== 0) process.exitCode = 1;
  }
}
