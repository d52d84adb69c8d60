/* What flows through a session: every element type, strings, sequences, optionals and maps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { identity, mapType, model, node, optionalType, sequenceType, tensorType, types } from './onnx.mjs';

const samples = {
  float32: [1.5, -2, 0], uint8: [1, 255, 0], int8: [-1, 127, -128], uint16: [1, 65535, 0], int16: [-1, 32767, 2],
  int32: [-1, 2 ** 31 - 1, 0], int64: [-1n, 2n ** 63n - 1n, 5], string: ['', 'grüß 😀 \ufeff', 'a\0b'], bool: [true, false, true],
  float16: [1, -2, 0.5], float64: [0.1, -1e300, 0], uint32: [1, 2 ** 32 - 1, 0], uint64: [1n, 2n ** 64n - 1n, 0],
  complex64: new Float32Array([1, 2, 3, 4, 5, 6]), complex128: new Float64Array([1, 2, 3, 4, 5, 6]), bfloat16: [1, -2, 3],
  float8e4m3fn: new Uint8Array([1, 2, 0x80]), float8e4m3fnuz: new Uint8Array([1, 2, 3]), float8e5m2: new Uint8Array([1, 2, 3]),
  float8e5m2fnuz: new Uint8Array([1, 2, 3]), uint4: [1, 15, 9], int4: [-1, -8, 7], float4e2m1: new Uint8Array([0xf1, 0x05]),
  float8e8m0: new Uint8Array([1, 2, 3]), uint2: [1, 3, 2], int2: [-1, -2, 1],
  float6e2m3: new Uint8Array([0x81, 0xf2, 0x02]), float6e3m2: new Uint8Array([0x7f, 0x00, 0x03]),
};

for (const [type, values] of Object.entries(samples)) {
  test(`${type} goes in and comes out`, async () => {
    assert.ok(types[type]);
    const x = new Tensor(type, values, [1, 3]);
    const session = await InferenceSession.create(identity(tensorType(type, [1, 3])));
    const { y } = await session.run({ x });
    assert.deepEqual([y.type, y.dims], [type, [1, 3]]);
    assert.deepEqual(y.data, x.data);
    assert.notEqual(y.data, x.data);
  });
}

test('what has one element is taken for a scalar, as by onnxruntime', async () => {
  const session = await InferenceSession.create(identity(tensorType('int64', [])));
  for (const dims of [[], [1], [1, 1]]) {
    const { y } = await session.run({ x: new Tensor('int64', [16000n], dims) });
    assert.deepEqual([y.dims, y.data[0]], [[], 16000n]);
  }
  await assert.rejects(session.run({ x: new Tensor('int64', [1n, 2n]) }), /input 'x': expected shape \[\], found \[2\]/);
  await session.release();
});

test('scalars and empty tensors', async () => {
  const session = await InferenceSession.create(identity(tensorType('float32')));
  for (const [data, dims] of [[[7], []], [[], [0]], [[], [2, 0, 3]]]) {
    const { y } = await session.run({ x: new Tensor('float32', data, dims) });
    assert.deepEqual([y.dims, [...y.data]], [dims, data]);
  }
});

test('a bool of any non-zero byte is true', async () => {
  const session = await InferenceSession.create(identity(tensorType('bool', [3])));
  const { y } = await session.run({ x: new Tensor('bool', new Uint8Array([0, 1, 200])) });
  assert.deepEqual([...y.data], [0, 1, 1]);
});

test('elements given one a byte are taken too', async () => {
  const session = await InferenceSession.create(identity(tensorType('int4', [3])));
  const { y } = await session.run({ x: new Tensor('int4', new Int8Array([-1, 7, -8]), [3]) });
  assert.deepEqual(y.data, new Tensor('int4', [-1, 7, -8]).data);
});

test('strings that are no strings are refused', async () => {
  const session = await InferenceSession.create(identity(tensorType('string', ['N'])));
  await assert.rejects(session.run({ x: new Tensor('string', ['a', 1]) }), /item 1 of a string tensor/);
  const many = Array.from({ length: 2000 }, (_, i) => 'x'.repeat(i));
  assert.deepEqual((await session.run({ x: new Tensor(many) })).y.data, many);
});

test('a sequence is an array of tensors', async () => {
  const session = await InferenceSession.create(identity(sequenceType(tensorType('float32'))));
  assert.equal(session.inputMetadata[0].isTensor, false);
  assert.equal(session.inputMetadata[0].kind, 'sequence');
  const { y } = await session.run({ x: [new Tensor('float32', [1, 2]), new Tensor('float32', [3], [])] });
  assert.deepEqual(y.map(({ dims, data }) => [dims, [...data]]), [[[2], [1, 2]], [[], [3]]]);
  assert.deepEqual((await session.run({ x: [] })).y, []);
});

test('an absent optional is null', async () => {
  const bytes = model({
    nodes: [node('OptionalHasElement', ['x'], ['y'])],
    inputs: { x: optionalType(tensorType('float32', [2])) },
    outputs: { y: tensorType('bool', []) },
  });
  const session = await InferenceSession.create(bytes);
  assert.deepEqual([...(await session.run({ x: null })).y.data], [0]);
  assert.deepEqual([...(await session.run({ x: new Tensor('float32', [1, 2]) })).y.data], [1]);
});

test('maps go in as Map', async () => {
  const bytes = model({
    nodes: [node('DictVectorizer', ['x'], ['y'], { domain: 'ai.onnx.ml', string_vocabulary: ['a', 'b', 'c'] })],
    inputs: { x: mapType('string', tensorType('float32', [])) },
    outputs: { y: tensorType('float32', [1, 3]) },
  });
  const session = await InferenceSession.create(bytes);
  const { y } = await session.run({ x: new Map([['c', 3], ['a', 1]]) });
  assert.deepEqual([...y.data], [1, 0, 3]);
});

test('maps come out as Map', async () => {
  const bytes = model({
    nodes: [node('ZipMap', ['x'], ['y'], { domain: 'ai.onnx.ml', classlabels_int64s: [10, 20] })],
    inputs: { x: tensorType('float32', ['N', 2]) },
    outputs: { y: sequenceType(mapType('int64', tensorType('float32', []))) },
  });
  const session = await InferenceSession.create(bytes);
  const { y } = await session.run({ x: new Tensor('float32', [1, 2, 3, 4], [2, 2]) });
  assert.deepEqual(y, [new Map([[10n, 1], [20n, 2]]), new Map([[10n, 3], [20n, 4]])]);
});
