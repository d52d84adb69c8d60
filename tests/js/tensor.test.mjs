/* Tensor: every way to make one, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tensor, WeftError } from '../../dist/weft.mjs';

const refuses = (make, pattern) =>
  assert.throws(make, (error) => error instanceof WeftError && error.code === 'INVALID_ARGUMENT' && pattern.test(error.message));

test('a type, data and dims', () => {
  const data = new Float32Array([1, 2, 3, 4, 5, 6]);
  const tensor = new Tensor('float32', data, [2, 3]);
  assert.equal(tensor.data, data);
  assert.deepEqual([tensor.type, tensor.dims, tensor.size, tensor.location], ['float32', [2, 3], 6, 'cpu']);
});

test('without dims a tensor has one dimension; a scalar has none', () => {
  assert.deepEqual(new Tensor('int32', [1, 2, 3]).dims, [3]);
  assert.equal(new Tensor('float32', [7], []).size, 1);
  assert.equal(new Tensor('float32', [], [0, 4]).size, 0);
});

test('data alone tells its type', () => {
  const samples = {
    float32: new Float32Array(2), float64: new Float64Array(2), int8: new Int8Array(2), uint8: new Uint8Array(2),
    int16: new Int16Array(2), uint16: new Uint16Array(2), int32: new Int32Array(2), uint32: new Uint32Array(2),
    int64: new BigInt64Array(2), uint64: new BigUint64Array(2),
  };
  for (const [type, data] of Object.entries(samples)) assert.equal(new Tensor(data).type, type);
  assert.equal(new Tensor(new Uint8ClampedArray([300])).data[0], 255);
  assert.equal(new Tensor(['a', 'b']).type, 'string');
  assert.deepEqual(new Tensor([true, false]).data, new Uint8Array([1, 0]));
});

test('lists of numbers become 64-bit integers without loss, or not at all', () => {
  assert.deepEqual(new Tensor('int64', [1, -2n, 2 ** 53 - 1]).data, new BigInt64Array([1n, -2n, 2n ** 53n - 1n]));
  refuses(() => new Tensor('int64', [1.5]), /item 0, 1\.5, cannot become int64 without loss/);
  refuses(() => new Tensor('int64', [2 ** 53]), /without loss/);
  refuses(() => new Tensor('int64', [2n ** 63n]), /without loss/);
  refuses(() => new Tensor('uint64', [-1]), /cannot become uint64/);
});

test('numbers are rounded once to 16-bit floats, halves to even', () => {
  const bits = (type, numbers) => {
    const { data } = new Tensor(type, numbers);
    return [...new Uint16Array(data.buffer, data.byteOffset, data.length)];
  };
  const halves = [1, -2, 0.1, 65504, 65520, 1e-8, 2 ** -24, 2 ** -25, 6.1e-5, -0, Infinity, 1 + 2 ** -11, 1 + 3 * 2 ** -11];
  const expected = [0x3c00, 0xc000, 0x2e66, 0x7bff, 0x7c00, 0, 1, 0, 0x03ff, 0x8000, 0x7c00, 0x3c00, 0x3c02];
  assert.deepEqual(bits('float16', halves), expected);
  assert.deepEqual(bits('bfloat16', [1, 3.140625, 1 + 2 ** -8, 1e39, -Infinity]), [0x3f80, 0x4049, 0x3f80, 0x7f80, 0xff80]);
  assert.equal(bits('float16', [NaN])[0] & 0x7fff, 0x7e00);
});

test('float16 takes its bits as Uint16Array', () => {
  const { data } = new Tensor('float16', new Uint16Array([0x3c00]));
  assert.equal(new Uint16Array(data.buffer)[0], 0x3c00);
});

test('small integers are packed, the first element lowest', () => {
  assert.deepEqual(new Tensor('uint4', [1, 2, 15]).data, new Uint8Array([0x21, 0x0f]));
  assert.deepEqual([...new Uint8Array(new Tensor('int4', [-1, 7, -8], [3]).data.buffer)], [0x7f, 0x08]);
  assert.deepEqual([...new Uint8Array(new Tensor('int2', [1, -1, -2, 0], [4]).data.buffer)], [0b00101101]);
  assert.equal(new Tensor('uint4', new Uint8Array(2), [3]).size, 3);
  refuses(() => new Tensor('uint4', [16]), /not an uint4: expected 0 to 15/);
});

test('without dims every item of an array is an element', () => {
  assert.deepEqual(new Tensor('int4', [1, 2, 3]).dims, [3]);
  assert.deepEqual(new Tensor('complex64', [1, 2, 3, 4]).dims, [2]);
  assert.deepEqual(new Tensor('complex128', new Float64Array(6)).dims, [3]);
  refuses(() => new Tensor('complex64', [1, 2, 3]), /dims \[1.5\]: expected integers/);
});

test('complex numbers take two items', () => {
  assert.equal(new Tensor('complex64', new Float32Array(6), [3]).size, 3);
});

test('wrong calls say what was expected and what was found', () => {
  refuses(() => new Tensor('float32', new Float32Array(5), [2, 3]), /dims \[2,3\]: expected data of 6 items, found 5/);
  refuses(() => new Tensor('float', [1]), /'float' is not an element type: expected one of float32/);
  refuses(() => new Tensor('float32', new Int32Array(1)), /expected a Float32Array or an array, as Array\.from makes, found Int32Array/);
  refuses(() => new Tensor('string', 'text'), /expected an array of strings/);
  refuses(() => new Tensor('float32', [1], [-1]), /expected integers of at least 0, found number -1/);
  refuses(() => new Tensor('float32', [1], [1n]), /expected integers of at least 0, found bigint 1/);
  refuses(() => new Tensor('float32', [1], 1), /dims: expected an array/);
  refuses(() => new Tensor([1, 2]), /the type of an array of numbers is not clear/);
  refuses(() => new Tensor([]), /the type of an empty array is not clear/);
  refuses(() => new Tensor(null), /expected a typed array/);
  refuses(() => new Tensor('float8e5m2', [1]), /made of its bits/);
  refuses(() => new Tensor({ location: 'gpu-buffer', type: 'float32', dims: [1] }), /location 'gpu-buffer' is not supported/);
  for (const from of ['fromTexture', 'fromGpuBuffer', 'fromMLTensor']) refuses(() => Tensor[from]({}, {}), /location '.*' is not supported/);
  refuses(() => new Tensor([1, 2], [2]).gpuBuffer, /not clear/);
  refuses(() => new Tensor(new Float32Array(1)).gpuBuffer, /JavaScript's memory/);
});

test('reshape shares the data, dispose lets go of it', async () => {
  const tensor = new Tensor('float32', [1, 2, 3, 4]);
  const matrix = tensor.reshape([2, 2]);
  assert.equal(matrix.data, tensor.data);
  assert.equal(await matrix.getData(), tensor.data);
  refuses(() => tensor.reshape([3]), /expected data of 3 items/);
  tensor.dispose();
  assert.equal(tensor.location, 'none');
  refuses(() => tensor.data, /disposed/);
  assert.equal(matrix.data.length, 4);
});

test('pinned buffers are kept as they are', () => {
  const data = new Float32Array(4);
  const tensor = Tensor.fromPinnedBuffer('float32', data, [2, 2]);
  assert.equal(tensor.location, 'cpu-pinned');
  assert.equal(tensor.data, data);
});

test('pixels become tensors by layout, channels and scale', async () => {
  const image = { width: 2, height: 1, data: new Uint8ClampedArray([255, 0, 51, 255, 102, 153, 204, 0]) };
  const planes = await Tensor.fromImage(image);
  assert.deepEqual(planes.dims, [1, 3, 1, 2]);
  assert.deepEqual([...planes.data], [...new Float32Array([1, 0.4, 0, 0.6, 0.2, 0.8])]);
  const pixels = await Tensor.fromImage(image, { tensorLayout: 'NHWC', tensorFormat: 'BGR', dataType: 'uint8' });
  assert.deepEqual(pixels.dims, [1, 1, 2, 3]);
  assert.deepEqual([...pixels.data], [51, 0, 255, 204, 153, 102]);
  const bytes = await Tensor.fromImage({ ...image, data: Buffer.from(image.data) });
  assert.deepEqual(bytes.data, planes.data);
  await assert.rejects(Tensor.fromImage({}), /expected pixels, a Blob, a URL or what a canvas draws/);
  await assert.rejects(Tensor.fromImage({ ...image, data: image.data.slice(2) }), /2 by 1 pixels: expected 8 bytes, RGBA, found 6/);
});

test("ImageNet's scale, as it is written down", async () => {
  const image = { width: 1, height: 1, data: new Uint8Array([255, 0, 51, 255]) };
  const { data } = await Tensor.fromImage(image, { norm: { bias: [-123.675, -116.28, -103.53], mean: [58.395, 57.12, 57.375] } });
  const expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225];
  expected.forEach((value, i) => assert.ok(Math.abs(data[i] - value) < 1e-6));
});

test('a host without decoders says so', async () => {
  const refused = { name: 'WeftError', code: 'UNSUPPORTED', message: /this host decodes no images/ };
  for (const image of [new Blob(['x']), 'data:image/png;base64,AAAA']) await assert.rejects(Tensor.fromImage(image), refused);
});
