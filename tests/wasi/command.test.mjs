/*
 * The command, in every host that runs it: node:wasi, wasmtime, and the native build under sanitizers if it is there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync } from 'node:fs';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inToolchain, root } from '../../tools/setup/paths.mjs';
import { model, node, tensorType } from '../js/onnx.mjs';
import { additionModel, externalTensor, tensor } from './models.mjs';

const module = join(root, 'dist/weft.wasm');
const native = join(root, 'build/native-asan/weft');
const here = join(root, 'tests/wasi');

/** How a host is started; the arguments of `weft` follow. */
const hosts = {
  'node:wasi': (folder) => [process.execPath, '--no-warnings', '--no-turbo-fast-api-calls', join(root, 'tools/wasi-host.mjs'), module, JSON.stringify({ '.': folder })],
  wasmtime: (folder) => [inToolchain('venv/bin/python'), join(here, 'wasmtime_host.py'), module, folder],
  native: () => [native],
};

const skips = { native: existsSync(native) ? false : 'build/native-asan/weft is not built' };

const W = [10, 20, 30, 40];

/** The elements of a float32 .npy file. */
function readFloats(path) {
  const bytes = readFileSync(path);
  const begin = 10 + bytes.readUInt16LE(8);
  return [...new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + bytes.length))];
}

/** A folder as `weft check` wants it. */
function writeCase(folder, model, x, y) {
  mkdirSync(join(folder, 'test_data_set_0'), { recursive: true });
  writeFileSync(join(folder, 'model.onnx'), model);
  writeFileSync(join(folder, 'test_data_set_0/input_0.pb'), tensor('x', [4], x));
  writeFileSync(join(folder, 'test_data_set_0/output_0.pb'), tensor('y', [4], y));
}

function writeFiles(folder) {
  const digits = join(root, 'models/digits');
  copyFileSync(join(digits, 'digits.onnx'), join(folder, 'digits.onnx'));
  copyFileSync(join(digits, 'sample_7.npy'), join(folder, 'seven.npy'));
  const four = tensorType('float32', [4]);
  writeFileSync(join(folder, 'random.onnx'), model({ nodes: [node('RandomNormalLike', ['x'], ['y'])], inputs: { x: four }, outputs: { y: four } }));
  writeFileSync(join(folder, 'page.onnx'), '<!DOCTYPE html><html></html>');
  const graph = Buffer.from('\n\x10\n\x01x\x12\x0bPlaceholder', 'latin1'); // a GraphDef's first node: name and operator
  writeFileSync(join(folder, 'tensorflow.onnx'), Buffer.concat([graph, graph]));
  writeFileSync(join(folder, 'late.onnx'), '\n\r\n<html>\n<body></body></html>');
  writeFileSync(join(folder, 'pickle.onnx'), Buffer.from([0x80, 5, 0x95, 0, 0, 0, 0]));
  writeFileSync(join(folder, 'other.onnx'), tensor('x', [4], W));
  writeFileSync(join(folder, 'bad.pb'), Buffer.from([0x93, 0x4e, 0x55, 0x4d]));
  const inside = additionModel(tensor('W', [4], W), [4]);
  writeCase(join(folder, 'good'), inside, [1, 2, 3, 4], [11, 22, 33, 44]);
  writeCase(join(folder, 'wrong'), inside, [1, 2, 3, 4], [11, 22, 33, 45]);
  writeFileSync(join(folder, 'list.txt'), 'good\nwrong\trtol=0.1\n');
  const external = (location, length = '16') =>
    additionModel(externalTensor('W', [4], { location, offset: '4', length }), [4]);
  writeCase(join(folder, 'external'), external('data/weights.bin'), [1, 2, 3, 4], [11, 22, 33, 44]);
  mkdirSync(join(folder, 'external/data'));
  writeFileSync(join(folder, 'external/data/weights.bin'), Buffer.from(new Float32Array([0, ...W]).buffer));
  writeFileSync(join(folder, 'short.bin'), Buffer.alloc(16));
  writeFileSync(join(folder, 'short.onnx'), external('short.bin'));
  writeFileSync(join(folder, 'here.bin'), Buffer.from(new Float32Array([0, ...W]).buffer));
  writeFileSync(join(folder, 'here.onnx'), external('here.bin'));
  writeFileSync(join(folder, 'parent.onnx'), external('../short.bin'));
  symlinkSync('/etc/passwd', join(folder, 'link.bin'));
  writeFileSync(join(folder, 'link.onnx'), external('link.bin'));
}

for (const [name, start] of Object.entries(hosts)) {
  describe(`weft in ${name}`, { skip: skips[name] }, () => {
    let folder;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'weft-'));
      writeFiles(folder);
    });
    after(() => rmSync(folder, { recursive: true }));

    const weftFrom = (input, ...args) => {
      const [program, ...rest] = start(folder);
      const result = spawnSync(program, [...rest, ...args], { cwd: folder, input, encoding: 'utf8', timeout: 120_000 });
      if (result.error !== undefined) throw result.error;
      return result;
    };
    const weft = (...args) => weftFrom('', ...args);

    const expectFailure = (pattern, ...args) => {
      const { status, stderr } = weft(...args);
      assert.equal(status, 1, stderr);
      assert.match(stderr, pattern);
    };

    test('tells its version and its commands', () => {
      const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
      assert.equal(weft('--version').stdout.trim(), version);
      assert.match(weft('--help').stdout, /weft run MODEL/);
      assert.match(weft('run', '--help').stdout, /--input NAME=FILE/);
    });

    test('wrong use is exit code 2', () => {
      assert.equal(weft('fly').status, 2);
      assert.equal(weft('run').status, 2);
      assert.equal(weft('run', '--nothing', 'digits.onnx').status, 2);
      const { status, stderr } = weft('bench', '--runs', 'x', 'digits.onnx');
      assert.equal(status, 2);
      assert.match(stderr, /weft bench: --runs cannot be 'x'/);
      assert.match(weft('run', 'digits.onnx', 'seven.npy').stderr, /expected one model, found also 'seven.npy'/);
      assert.equal(weft('check').status, 2);
    });

    test('a model comes from standard input', () => {
      const bytes = readFileSync(join(folder, 'digits.onnx'));
      const { status, stdout, stderr } = weftFrom(bytes, 'run', '-', '--input', 'image=seven.npy');
      assert.equal(status, 0, stderr);
      assert.equal(stdout, weft('run', 'digits.onnx', '--input', 'image=seven.npy').stdout);
      assert.equal(weftFrom(bytes, 'inspect', '-').stdout, weft('inspect', 'digits.onnx').stdout);
      const external = readFileSync(join(folder, 'here.onnx'));
      assert.match(weftFrom(external, 'run', '-').stdout, /^y: float32 \[4\]: 10/m);
      assert.match(weftFrom(external, 'inspect', '-').stdout, /^runs +yes$/m);
      assert.match(weftFrom('', 'run', '-').stderr, /the file holds no graph: it is empty/);
    });

    test('folders of outputs are made with those above them, before the run', () => {
      assert.equal(weft('run', 'digits.onnx', '--output', 'deep/er/out/').status, 0);
      assert.equal(weft('run', 'digits.onnx', '--output', 'deep/er/out').status, 0);
      assert.ok(existsSync(join(folder, 'deep/er/out/probabilities.npy')));
      const { status, stdout, stderr } = weft('run', 'digits.onnx', '--output', 'digits.onnx/out');
      assert.equal(status, 1);
      assert.match(stderr, /cannot make the folder 'digits.onnx\/out'/);
      assert.equal(stdout, '');
    });

    test('dimensions are numbers of symbols that the model has', () => {
      for (const dim of ['N', 'N=two', 'N=-1', 'M=2']) expectFailure(/--dim .*: expected SYMBOL=N/, 'run', 'digits.onnx', '--dim', dim);
      const open = model({ nodes: [node('Neg', ['x'], ['y'])], inputs: { x: tensorType('float32', ['N', 'N']) }, outputs: { y: tensorType('float32', ['N', 'N']) } });
      writeFileSync(join(folder, 'open.onnx'), open);
      expectFailure(/the input 'x', made up: the shape \[1099511627776,1099511627776\] of float32 is negative or too large/, 'run', 'open.onnx', '--dim', 'N=1024G');
    });

    test('what cannot be written fails', { skip: existsSync('/dev/full') ? false : 'needs /dev/full' }, () => {
      const full = openSync('/dev/full', 'w');
      const [program, ...rest] = start(folder);
      const { status, stderr } = spawnSync(program, [...rest, 'run', 'digits.onnx'], { cwd: folder, stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
      closeSync(full);
      assert.equal(status, 1);
      assert.match(stderr, /cannot write to standard output/);
    });

    test('runs a model on a file and writes its output', () => {
      const { status, stdout, stderr } = weft('run', 'digits.onnx', '--input', 'image=seven.npy', '--output', 'out');
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^probabilities: float32 \[1,10\]:/m);
      const found = readFloats(join(folder, 'out/probabilities.npy'));
      const { probabilities } = JSON.parse(readFileSync(join(root, 'models/digits/expected.json'), 'utf8'));
      assert.equal(found.length, 10);
      found.forEach((value, i) => assert.ok(Math.abs(value - probabilities[7][i]) < 1e-5, `${i}: ${value}`));
    });

    test('makes up inputs that are not given, the same every time', () => {
      const first = weft('run', 'digits.onnx', '--dim', 'N=2');
      assert.match(first.stderr, /made up the input 'image': float32 \[2,1,28,28\]/);
      assert.equal(weft('run', 'digits.onnx', '--dim', 'N=2').stdout, first.stdout);
    });

    test('draws other random numbers every time, unless a seed is given', () => {
      const draw = (...args) => weft('run', 'random.onnx', ...args).stdout;
      assert.match(draw(), /^y: float32 \[4\]:/m);
      assert.notEqual(draw(), draw());
      assert.notEqual(draw('--seed', '1'), draw('--seed', '2'));
      assert.equal(draw('--seed', '1'), draw('--seed', '1'));
      assert.equal(draw('--deterministic'), draw('--deterministic'));
    });

    test('inspects a model', () => {
      const report = JSON.parse(weft('inspect', '--json', 'digits.onnx').stdout);
      assert.deepEqual(report.opsets, { 'ai.onnx': 21 });
      assert.deepEqual(report.inputs[0].shape, ['N', 1, 28, 28]);
      assert.equal(report.operators.find((operator) => operator.name === 'Conv').count, 5);
      assert.equal(report.runs, true);
      assert.match(weft('inspect', 'digits.onnx').stdout, /image: float32 \[N,1,28,28\]/);
    });

    test('names that are no text, or more than text, harm neither terminals nor JSON', () => {
      const type = tensorType('float32', [1]);
      const named = model({ nodes: [node('Neg', ['x$'], ['y$'])], inputs: { x$: type }, outputs: { y$: type } });
      for (const [bytes, shown, written] of [['\x1b', '?', '\x1b'], ['\xff', '?', '\ufffd'], ['"', '"', '"']]) {
        writeFileSync(join(folder, 'named.onnx'), Buffer.from(Buffer.from(named).toString('latin1').replaceAll('$', bytes), 'latin1'));
        const run = weft('run', 'named.onnx');
        assert.match(run.stdout, new RegExp(`^y[${shown}]: float32`));
        assert.match(run.stderr, new RegExp(`made up the input 'x[${shown}]': float32`));
        assert.match(weft('inspect', 'named.onnx').stdout, new RegExp(`^  x[${shown}]: float32`, 'm'));
        assert.equal(JSON.parse(weft('inspect', 'named.onnx', '--json').stdout).inputs[0].name, `x${written}`);
      }
    });

    test('checks folders, and a failing one does not end the run', () => {
      const { status, stdout } = weft('check', 'wrong', 'missing', 'good', 'external');
      assert.equal(status, 1);
      assert.match(stdout, /^FAIL wrong: 1 of 4 elements of 'y' differ, .* at \[3\] is 44, expected 45$/m);
      assert.match(stdout, /^FAIL missing: cannot open 'missing\/model.onnx'/m);
      assert.match(stdout, /^ok good$/m);
      assert.match(stdout, /^ok external$/m);
      assert.match(stdout, /^2 passed, 2 failed$/m);
    });

    test('checks a list of folders with tolerances of their own', () => {
      const { status, stdout } = weft('check', '--list', 'list.txt');
      assert.equal(status, 0, stdout);
      assert.match(stdout, /^2 passed, 0 failed$/m);
    });

    test('measures a model', () => {
      const report = JSON.parse(weft('bench', '--json', '--runs', '5', 'digits.onnx').stdout);
      assert.equal(report.runs, 5);
      assert.ok(report.min > 0 && report.min <= report.median && report.peak >= report.memory);
    });

    test('tells where the time goes', () => {
      const { status, stdout, stderr } = weft('bench', '--runs', '3', '--profile', '--trace', 'trace.json', 'digits.onnx');
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^3 runs of [\d.]+ ms, .*Limits: [\d.]+ GFLOP\/s, [\d.]+ GB\/s\.$/m);
      const rows = [...stdout.split('\noperator ')[1].split('\nnode ')[0].matchAll(/^(\S+) +(\d+) /gm)];
      const nodes = [...stdout.split('\nnode ')[1].matchAll(/^(\S+) +(\d+) +[\d.]+ .*\[1,/gm)];
      assert.ok(rows.some(([, op]) => /Conv$/.test(op)) && nodes.length === rows.reduce((sum, [, , calls]) => sum + Number(calls), 0));
      const { traceEvents } = JSON.parse(readFileSync(join(folder, 'trace.json'), 'utf8'));
      assert.equal(traceEvents.filter(({ name }) => name === 'run').length, 3);
      assert.equal(traceEvents.length, 3 + 3 * nodes.length);
    });

    test('says what a file is that is no model', () => {
      expectFailure(/the file is a web page/, 'run', 'page.onnx');
      expectFailure(/not an ONNX model: the file is another protobuf/, 'run', 'tensorflow.onnx');
      expectFailure(/not an ONNX model: the file is a text that begins with '<html>'/, 'run', 'late.onnx');
      expectFailure(/not an ONNX model: the file is a Python pickle/, 'run', 'pickle.onnx');
      expectFailure(/not an ONNX model: .* wire type/, 'run', 'other.onnx');
      expectFailure(/'bad.pb': the field of TensorProto/, 'run', 'digits.onnx', '--input', 'image=bad.pb');
      expectFailure(/cannot open 'nothing.onnx'/, 'run', 'nothing.onnx');
      expectFailure(/names no input of the model: expected something like image=FILE/, 'run', 'digits.onnx', '--input', 'x=seven.npy');
    });

    test("WASI tells of files outside the host's folders", { skip: name === 'native' && 'the native command has no host that gives folders' }, () => {
      expectFailure(/cannot open '\.\.\/x.onnx': the host gives no access to it/, 'run', '../x.onnx');
      expectFailure(/cannot make the folder '\.\.\/x': the host gives no access to it/, 'run', 'digits.onnx', '--output', '../x');
    });

    test('external data never leaves the folder and must be as long as it says', () => {
      expectFailure(/external data 'short.bin' has 16 bytes, too few for 16 bytes at offset 4/, 'run', 'short.onnx');
      expectFailure(/lies outside the model's folder, at '\.\.\/short.bin'/, 'run', 'parent.onnx');
      expectFailure(/'link.bin' is a link out of the model's folder/, 'run', 'link.onnx');
    });
  });
}
