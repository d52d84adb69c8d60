/*
 * Which WebAssembly module a session runs on, and that each of them works. Settings are global and every program has its
 * own, so most cases run in a Node.js of their own, one without and one with relaxed SIMD.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { programs } from '../../tools/setup/paths.mjs';
import { olderProcessors } from '../tools/hosts.mjs';
import { doubling, model, node, tensor, tensorType } from './onnx.mjs';

const folder = mkdtempSync(join(tmpdir(), 'weft-'));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'doubling.onnx'), doubling());
const large = model({
  nodes: [node('MatMul', ['x', 'x'], ['a']), node('Softmax', ['a'], ['y'], { axis: 1 })],
  inputs: { x: tensorType('float32', [256, 256]) },
  outputs: { y: tensorType('float32', [256, 256]) },
});
writeFileSync(join(folder, 'large.onnx'), large);

/** Convolutions whose positions and filters do not come out even: through Winograd's transforms, as products, in bytes. */
const planes = tensorType('float32', [1, 48, 36, 36]), scale = tensorType('float32', []), zero = tensorType('uint8', []);
writeFileSync(join(folder, 'convolutions.onnx'), model({
  nodes: [
    node('Conv', ['x', 'w'], ['a'], { pads: [1, 1, 1, 1] }),
    node('Conv', ['x', 'w'], ['b'], { strides: [3, 3] }),
    node('Conv', ['x', 'w'], ['d'], { dilations: [2, 3], pads: [2, 3, 2, 3] }),
    node('QuantizeLinear', ['x', 'scale', 'zero'], ['q']),
    node('QuantizeLinear', ['w', 'scale', 'zero'], ['v']),
    node('QLinearConv', ['q', 'scale', 'zero', 'v', 'scale', 'zero', 'scale', 'zero'], ['c'], { strides: [3, 3] }),
  ],
  inputs: { x: planes, w: tensorType('float32', [80, 48, 3, 3]), scale, zero },
  outputs: { a: tensorType('float32'), b: tensorType('float32'), c: tensorType('uint8'), d: tensorType('float32') },
}));

writeFileSync(join(folder, 'texts.onnx'), model({
  nodes: [node('Identity', ['x'], ['y'])],
  inputs: { x: tensorType('string', ['N']) },
  outputs: { y: tensorType('string', ['N']) },
}));

const weft = new URL('../../dist/weft.mjs', import.meta.url);

/** Runs a program that may use `weft`, `create()` and `double(session)`; gives what it prints as JSON. */
function runProgram(body, program = process.execPath, flags = []) {
  const text = `
    import * as weft from ${JSON.stringify(weft.href)};
    const { env, InferenceSession, Tensor } = weft;
    const create = (options) => InferenceSession.create(${JSON.stringify(join(folder, 'doubling.onnx'))}, options);
    const double = async (session) => [...(await session.run({ x: new Tensor('float32', [1, 2]) })).y.data];
    const large = ${JSON.stringify(join(folder, 'large.onnx'))};
    ${body}`;
  const file = join(folder, 'program.mjs');
  writeFileSync(file, text);
  return JSON.parse(execFileSync(program, [...flags, file], { encoding: 'utf8', timeout: 60_000, stdio: ['ignore', 'pipe', 'inherit'] }));
}

const choice = (settings, program) =>
  runProgram(`Object.assign(env.wasm, ${JSON.stringify(settings)});
    const session = await create();
    const answer = await double(session);
    await session.release();
    console.log(JSON.stringify({ ...env.weft, answer }));`, program);

const cases = [
  [{ simd: false }, 'weft.scalar.wasm', 1, /No SIMD: env\.wasm\.simd is false/],
  [{ simd: 'fixed' }, 'weft.simd.wasm', 1, /env\.wasm\.simd is fixed.*One thread: env\.wasm\.numThreads does not ask/],
  [{ simd: true, numThreads: 2 }, 'weft.simd.threads.wasm', 2, /2 threads/],
  [{ simd: false, numThreads: 2 }, 'weft.scalar.wasm', 1, /One thread instead of 2: the module without SIMD has none/],
];
for (const [settings, module, threads, why] of cases) {
  test(`${JSON.stringify(settings)} chooses ${module}`, () => {
    const found = choice(settings);
    assert.deepEqual([found.module, found.threads, found.answer], [module, threads, [2, 4]]);
    assert.match(found.why.join(' '), why);
  });
}

test('relaxed SIMD where the host has it', { skip: !existsSync(programs.node24) && 'Node.js 24 is not set up' }, () => {
  for (const [settings, module] of [[{}, 'weft.relaxed.wasm'], [{ numThreads: 2 }, 'weft.relaxed.threads.wasm']]) {
    const found = choice(settings, programs.node24);
    assert.deepEqual([found.module, found.answer], [module, [2, 4]]);
    assert.match(found.why.join(' '), /Relaxed SIMD: the host has it/);
  }
  const deterministic = runProgram('await create({ deterministic: true }); console.log(JSON.stringify(env.weft))', programs.node24);
  assert.equal(deterministic.module, 'weft.simd.wasm');
  const older = (simd) =>
    runProgram(`delete globalThis.Float16Array; env.wasm.simd = ${simd}; await create(); console.log(JSON.stringify(env.weft))`, programs.node24);
  const chosen = older(undefined);
  assert.equal(chosen.module, process.arch === 'x64' ? 'weft.simd.wasm' : 'weft.relaxed.wasm');
  if (process.arch === 'x64') assert.match(chosen.why.join(' '), /its compiler is too old/);
  assert.equal(older("'relaxed'").module, 'weft.relaxed.wasm');
});

const wide = 'weft.relaxed.threads.64.wasm';
const noWide = !existsSync(programs.node24) && 'Node.js 24 is not set up';
test('64-bit addresses when they are asked for, with everything that is handed over', { skip: noWide }, () => {
  for (const threads of [1, 2]) {
    const found = runProgram(`
      const session = await create({ memory64: true, threads: ${threads}, enableProfiling: true });
      const answer = await double(session);
      const { memory } = session.weft;
      session.endProfiling();
      const { operators } = await session.profile();
      console.log(JSON.stringify({ ...session.weft, memory, answer, op: operators[0].op, meta: session.inputMetadata }));`, programs.node24);
    assert.deepEqual([found.module, found.threads, found.answer, found.op], [wide, threads, [2, 4], 'Add']);
    assert.deepEqual(found.meta, [{ name: 'x', isTensor: true, type: 'float32', shape: ['N'] }]);
    assert.match(found.why.join(' '), /64-bit addresses: memory64 is true/);
    assert.ok(found.memory.used > 0 && found.memory.peak < 1e6, JSON.stringify(found.memory));
  }
  const given = runProgram(`
    const { readFileSync } = await import('node:fs');
    env.wasm.wasmBinary = readFileSync(new URL('${wide}', ${JSON.stringify(weft.href)}));
    const session = await InferenceSession.create(${JSON.stringify(join(folder, 'texts.onnx'))}, { threads: 2 });
    const { y } = await session.run({ x: new Tensor('string', ['a', '\u00e9\u{1f600}', '']) });
    console.log(JSON.stringify([...y.data, env.weft.module, env.weft.threads]));`, programs.node24);
  assert.deepEqual(given, ['a', '\u00e9\u{1f600}', '', 'given', 2]);
  const plain = runProgram(`
    const chosen = [await create({ memory64: true, deterministic: true })];
    env.wasm.simd = 'fixed';
    chosen.push(await create({ memory64: true }));
    console.log(JSON.stringify(chosen.map(({ weft }) => weft.module)));`, programs.node24);
  assert.deepEqual(plain, Array(2).fill('weft.simd.threads.64.wasm'));
});

test('the tests of values, operators and profiles with 64-bit addresses', { skip: noWide }, () => {
  const files = ['custom', 'kept', 'profile', 'values'].map((name) => fileURLToPath(new URL(`${name}.test.mjs`, import.meta.url)));
  const set = `import { env } from ${JSON.stringify(weft.href)}; env.wasm.memory64 = true;`;
  const told = "process.on('exit', () => console.error(env.weft.module));";
  for (const file of files) {
    const args = ['--import', `data:text/javascript,${encodeURIComponent(set + told)}`, '--test-reporter=tap', file];
    const { status, stdout, stderr } = spawnSync(programs.node24, args, { encoding: 'utf8', timeout: 60_000 });
    assert.equal(status, 0, stdout);
    assert.equal(stderr.trim().split('\n').at(-1), wide);
  }
});

test('64-bit addresses for models of more than 3 GB', { skip: noWide }, () => {
  // The size that is announced decides; weights of 4 GB are given room, but no bytes.
  const weights = (name, [count, each]) => writeFileSync(join(folder, name), model({
    nodes: [node('Concat', Array.from({ length: count }, (_, i) => `w${i}`), ['y'], { axis: 0 })],
    outputs: { y: tensorType('float32') },
    initializers: Array.from({ length: count }, (_, i) =>
      tensor(`w${i}`, 'float32', [each], { external: { location: 'wide.bin', offset: 4 * each * i, length: 4 * each } })),
  }));
  weights('wide.onnx', [8, 2 ** 27]);
  weights('one.onnx', [1, 2 ** 30]);
  writeFileSync(join(folder, 'wide.bin'), 'few');
  const found = runProgram(`
    const { readFileSync } = await import('node:fs');
    const found = [];
    const announced = (size) => new Response(readFileSync(${JSON.stringify(join(folder, 'doubling.onnx'))}), { headers: { 'content-length': size } });
    for (const options of [{}, { worker: true }]) {
      const session = await InferenceSession.create(announced(3e9), options);
      found.push(session.weft.module);
    }
    const session = await InferenceSession.create(announced(5e9));
    found.push(session.weft.module, session.weft.why[0], await double(session));
    const path = ${JSON.stringify(join(folder, 'wide.onnx'))};
    const [bytes, one] = [path, path.replace('wide.onnx', 'one.onnx')].map((file) => readFileSync(file));
    const externalData = [{ path: 'wide.bin', data: new Blob(['few']) }];
    const fails = (input, options) => InferenceSession.create(input, options).catch(({ code, message }) => found.push([code, message]));
    await fails(announced(20e9));
    await fails(path);
    await fails(path, { worker: true });
    await fails(bytes, { externalData });
    await fails(one, { externalData });
    await fails(new Response(one), { externalData });
    await fails(path, { memory64: false });
    await fails(new Response(bytes), { externalData, memory64: true });
    console.log(JSON.stringify(found));`, programs.node24);
  assert.deepEqual(found.slice(0, 5), ['weft.relaxed.wasm', 'weft.relaxed.wasm', wide, '64-bit addresses: the response has 5000000000 bytes.', [2, 4]]);
  const told = found.slice(5).map((error) => error.join(' '));
  assert.match(told[0], /^OUT_OF_MEMORY the response has 20000000000 bytes: a WebAssembly module can hold 17179869184$/);
  for (const i of [1, 2, 3, 4, 7]) assert.match(told[i], /^IO .*ends after 3 bytes: the model needs 4294967296 of it/);
  assert.match(told[5], /^OUT_OF_MEMORY tensor 'w0' .* too large to address, and a stream cannot be read again for one of 64-bit addresses: ask/);
  assert.match(told[6], /^OUT_OF_MEMORY no memory for \d+ more bytes: \d+ are in use and the host gives no more, and memory64 is false/);
});

test('64-bit addresses that the host does not have', () => {
  const found = runProgram(`
    const { validate } = WebAssembly;
    WebAssembly.validate = (bytes) => bytes.length !== 19 && validate(bytes);
    const found = [];
    const fails = (input, options) => InferenceSession.create(input, options).catch(({ code, message }) => found.push([code, message]));
    await fails(new Uint8Array(), { memory64: true });
    await fails(new Response('x', { headers: { 'content-length': 5e9 } }));
    env.wasm.simd = false;
    await fails(new Uint8Array(), { memory64: true });
    console.log(JSON.stringify(found));`);
  assert.deepEqual(found, [
    ['UNSUPPORTED', 'memory64 is true, but the host has no WebAssembly memory of 64-bit addresses'],
    ['OUT_OF_MEMORY', 'the response has 5000000000 bytes: a WebAssembly module can hold 4294967296, and the host has no WebAssembly memory of 64-bit addresses'],
    ['UNSUPPORTED', 'memory64 is true, but modules of 64-bit addresses have SIMD, and env.wasm.simd is false'],
  ]);
});

const cannotBeOlder = !existsSync(programs.node24) ? 'Node.js 24 is not set up' : process.arch !== 'x64' && 'not an x86 processor';
test('relaxed multiply-adds are left alone on processors without fused ones', { skip: cannotBeOlder }, () => {
  const chosen = runProgram(`
    env.wasm.simd = 'relaxed';
    const answer = await double(await create());
    console.log(JSON.stringify({ ...env.weft, answer }));`, programs.node24, olderProcessors.AVX);
  assert.deepEqual([chosen.module, chosen.answer], ['weft.simd.wasm', [2, 4]]);
  assert.match(chosen.why[0], /the host has them, but its processor has no fused multiply-adds/);
});

test('a given module with relaxed instructions says where it must not run', { skip: cannotBeOlder }, () => {
  const refusal = (options, flags) =>
    runProgram(`
      const wasm = new URL('weft.relaxed.wasm', ${JSON.stringify(weft.href)});
      const error = await create({ wasm, ...${JSON.stringify(options)} }).catch(({ code, message }) => [code, message]);
      console.log(JSON.stringify(error));`, programs.node24, flags);
  const sentence = (which) => ['UNSUPPORTED', `this WebAssembly module has relaxed instructions, which ${which}: give weft.simd.wasm`];
  assert.deepEqual(refusal({ deterministic: true }), sentence('deterministic sessions must not use'));
  assert.deepEqual(refusal({}, olderProcessors.AVX), sentence('this host rounds twice'));
});

test('threads give the same bits as one thread', () => {
  const found = runProgram(`
    const x = new Tensor(Float32Array.from({ length: 65536 }, (_, i) => Math.sin(i)), [256, 256]);
    const results = [];
    for (const threads of [1, 2, 3, 4]) {
      const session = await InferenceSession.create(large, { threads });
      for (let i = 0; i < 5; i++) results.push(Buffer.from((await session.run({ x })).y.data.buffer).toString('base64'));
      await session.release();
    }
    console.log(JSON.stringify(new Set(results).size));`);
  assert.equal(found, 1);
});

test('threads that share convolutions unevenly give the same bits as one thread', () => {
  const found = runProgram(`
    const waves = (dims, step) => new Tensor(Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * step)), dims);
    const feeds = {
      x: waves([1, 48, 36, 36], 0.7), w: waves([80, 48, 3, 3], 0.3),
      scale: new Tensor(new Float32Array([0.125]), []), zero: new Tensor(new Uint8Array([128]), []),
    };
    const results = [];
    for (const threads of [1, 2, 3, 5]) {
      const session = await InferenceSession.create(${JSON.stringify(join(folder, 'convolutions.onnx'))}, { threads });
      const { a, b, c, d } = await session.run(feeds);
      results.push([a, b, c, d].map((y) => Buffer.from(y.data.buffer).toString('base64')).join());
      await session.release();
    }
    console.log(JSON.stringify(new Set(results).size));`);
  assert.equal(found, 1);
});

test('sessions with threads live beside each other, and a program ends without releasing them', () => {
  const found = runProgram(`
    const sessions = await Promise.all([2, 3, 1].map((threads) => create({ threads })));
    console.log(JSON.stringify(await Promise.all(sessions.map(double))));`);
  assert.deepEqual(found, [[2, 4], [2, 4], [2, 4]]);
});

test('threads need no permission to ask the system (Deno)', () => {
  const found = runProgram(`
    const { default: os } = await import('node:os');
    os.cpus = os.availableParallelism = () => { throw new Error('not permitted'); };
    Object.defineProperty(globalThis, 'navigator', { value: { hardwareConcurrency: 2 } });
    const all = [];
    for (const threads of [2, 0]) all.push(await double(await create({ threads })));
    console.log(JSON.stringify(all));
    process.exit();`);
  assert.deepEqual(found, [[2, 4], [2, 4]]);
});

test('files are read where their length has no default (Yarn)', () => {
  const found = runProgram(`
    const { promises } = await import('node:fs');
    const { open } = promises;
    promises.open = async (...args) => {
      const file = await open(...args), read = file.read.bind(file);
      return Object.assign(file, { read: (buffer, offset = 0, length = 0, position = null) => read(buffer, offset, length, position) });
    };
    console.log(JSON.stringify(await double(await create())));`);
  assert.deepEqual(found, [2, 4]);
});

test('threads that Node.js does not permit are none', () => {
  const [found, why] = runProgram(`
    process.permission = { has: (name) => name !== 'worker' };
    const session = await create({ threads: 2 });
    console.log(JSON.stringify([await double(session), session.weft.why.at(-1)]));`);
  assert.deepEqual(found, [2, 4]);
  assert.equal(why, 'One thread instead of 2: Node.js was started without --allow-worker.');
});

test('a host that has WebAssembly and nothing else, such as an audio worklet', () => {
  const found = runProgram(`
    const { readFileSync } = await import('node:fs');
    const vm = await import('node:vm');
    const context = vm.createContext({ WebAssembly });
    const text = readFileSync(${JSON.stringify(fileURLToPath(weft))}, 'utf8');
    const there = new vm.SourceTextModule(text, { context, initializeImportMeta: (meta) => { meta.url = 'https://here/weft.mjs'; } });
    await there.link(() => { throw new Error('an import'); });
    await there.evaluate();
    const wasm = new WebAssembly.Module(readFileSync(${JSON.stringify(fileURLToPath(new URL('weft.simd.wasm', weft)))}));
    const session = await there.namespace.InferenceSession.create(readFileSync(${JSON.stringify(join(folder, 'texts.onnx'))}), { wasm });
    session.startProfiling();
    const { y } = await session.run({ x: new there.namespace.Tensor('string', ['a\ud800', '\u00e9\u{1f600}', '']) });
    session.endProfiling();
    console.log(JSON.stringify([y.data, (await session.profile()).operators[0].op, session.inputNames]));`,
  process.execPath, ['--experimental-vm-modules', '--no-warnings']);
  assert.deepEqual(found, [['a\ufffd', '\u00e9\u{1f600}', ''], 'Identity', ['x']]);
});

test('the module may be given as Module, bytes, URL, or by its folder', () => {
  const wasm = JSON.stringify(fileURLToPath(new URL('weft.simd.wasm', weft)));
  const found = runProgram(`
    const { readFileSync } = await import('node:fs');
    const { pathToFileURL } = await import('node:url');
    const { runInNewContext } = await import('node:vm');
    const bytes = readFileSync(${wasm});
    const results = [];
    const check = async (options) => results.push([...(await double(await create(options))), env.weft.module]);
    await check({ wasm: await WebAssembly.compile(bytes) });
    await check({ wasm: runInNewContext('new WebAssembly.Module(bytes)', { bytes }) }); // another realm's
    await check({ wasm: bytes });
    await check({ wasm: ${wasm} });
    await check({ wasm: pathToFileURL(${wasm}) });
    env.wasm.wasmBinary = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    await check();
    delete env.wasm.wasmBinary;
    env.wasm.simd = true;
    env.wasm.wasmPaths = new URL('.', pathToFileURL(${wasm})).href;
    await check();
    env.wasm.wasmPaths = { 'weft.simd.wasm': ${wasm} };
    await check();
    env.wasm.wasmPaths = { wasm: 'https://example.invalid/ort-wasm-simd-threaded.wasm' };
    await check();
    env.wasm.wasmPaths = { mjs: 'blob:null/1', wasm: 'blob:null/2' };
    await check();
    env.wasm.wasmPaths = 'https://example.invalid/npm/onnxruntime-web@1.22.0/dist/';
    await check();
    results.push(env.weft.why.at(-1));
    console.log(JSON.stringify(results));`);
  const names = [...Array(6).fill('given'), ...Array(5).fill('weft.simd.wasm')];
  assert.deepEqual(found, [...names.map((name) => [2, 4, name]), 'env.wasm.wasmPaths is ignored: it leads to another engine.']);
});

test('a module that cannot be loaded is told, and the next try starts anew', () => {
  const found = runProgram(`
    const failures = [];
    const fail = (options) => create(options).catch(({ code, message }) => failures.push([code, message]));
    await fail({ wasm: 'none.wasm' });
    await fail({ wasm: new Uint8Array([1, 2, 3]) });
    await fail({ wasm: new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) });
    await fail({ wasm: 5 });
    const { readFileSync } = await import('node:fs');
    await fail({ wasm: readFileSync(new URL('weft_reactor.wasm', '${weft}')) });
    const other = readFileSync(new URL('weft.simd.wasm', '${weft}'));
    other[other.indexOf(weft.version) + 4] = 'x'.charCodeAt(0);
    await fail({ wasm: other });
    const { createServer } = await import('node:http');
    const server = createServer((request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>'));
    await new Promise((resolve) => server.listen(0, resolve));
    await fail({ wasm: 'http://localhost:' + server.address().port + '/weft.simd.wasm' });
    server.close();
    env.wasm.wasmPaths = './nowhere/';
    await fail();
    delete env.wasm.wasmPaths;
    failures.push(await double(await create()));
    console.log(JSON.stringify(failures));`);
  assert.match(found[0].join(' '), /^IO .*none\.wasm: the WebAssembly module could not be loaded/);
  assert.match(found[1].join(' '), /^INVALID_ARGUMENT the given WebAssembly module is not valid/);
  assert.match(found[2].join(' '), /^INVALID_ARGUMENT .*not one of Weft/);
  assert.match(found[3].join(' '), /^INVALID_ARGUMENT wasm: expected a WebAssembly\.Module/);
  assert.match(found[4].join(' '), /^INVALID_ARGUMENT .*not one of Weft .* for JavaScript/);
  assert.match(found[5].join(' '), /^INVALID_ARGUMENT the WebAssembly module is of Weft 0\.1\.x, the package of 0\.1\.0/);
  assert.match(found[6].join(' '), /^IO .*: the WebAssembly module could not be loaded: the server answered with a web page/);
  assert.match(found[7].join(' '), /^IO .*nowhere/);
  assert.deepEqual(found[8], [2, 4]);
});

test('a host without WebAssembly is told', () => {
  const found = runProgram(`
    delete globalThis.WebAssembly; // as in React Native, and in iOS' lockdown mode
    await create().catch(({ code, message }) => console.log(JSON.stringify([code, message])));`);
  assert.deepEqual(found, ['UNSUPPORTED', 'the host has no WebAssembly, or it is switched off']);
});

test('a small model answers soon after the program starts', () => {
  const times = Array.from({ length: 3 }, () =>
    runProgram(`
      const begin = performance.now();
      const session = await create();
      await double(session);
      console.log(JSON.stringify(performance.now() - begin));`));
  const best = Math.min(...times);
  assert.ok(best < 100, `the first result took ${best.toFixed(0)} ms; 30 ms on a quiet machine are the aim`);
});

test('the modules do not grow their memory for a small model', () => {
  const found = runProgram('const s = await create(); await double(s); console.log(JSON.stringify(s.weft.memory))');
  assert.ok(found.peak < 1e6, `${found.peak} bytes`);
});

test('tensors lie where vectors do not cross lines of the cache, whatever was allocated before', () => {
  const module = new WebAssembly.Module(readFileSync(new URL('../../dist/weft.simd.wasm', import.meta.url)));
  const imports = Object.fromEntries(WebAssembly.Module.imports(module).map(({ name }) => [name, () => 0]));
  const c = new WebAssembly.Instance(module, { env: imports }).exports;
  c.__wasm_call_ctors();
  const [float, dims, out] = [1, c.malloc(8), c.malloc(4)];
  const view = new DataView(c.memory.buffer);
  view.setBigInt64(dims, 100n, true);
  for (let i = 0; i < 32; i++) {
    c.malloc(8 * (i % 5));
    assert.equal(c.weft_value_create_tensor(float, 1, dims, out, 0), 0);
    const value = view.getUint32(out, true);
    assert.equal(c.weft_value_data(value) % 16, 0, `tensor ${i}`);
    if (i % 3 === 0) c.weft_value_release(value);
  }
});

test('a trap ends one session and no other', () => {
  const found = runProgram(`
    const good = await create();
    const { instantiate } = WebAssembly;
    WebAssembly.instantiate = async (...args) => {
      const { exports } = await instantiate(...args);
      const weft_session_run = () => { throw new WebAssembly.RuntimeError('unreachable'); };
      return { exports: { ...exports, weft_session_run } };
    };
    const broken = await create();
    WebAssembly.instantiate = instantiate;
    const failures = [];
    for (let i = 0; i < 2; i++) await double(broken).catch(({ code, message }) => failures.push(code, message));
    await broken.release();
    console.log(JSON.stringify([failures, await double(good), await double(await create())]));`);
  const message = 'the engine stopped in weft_session_run (RuntimeError: unreachable); this session cannot be used any more, others can';
  assert.deepEqual(found, [['INTERNAL', message, 'INTERNAL', message], [2, 4], [2, 4]]);
});
