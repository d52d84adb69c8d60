/* Results that stay in the session's memory: fed again, read, moved, given back; with the session here and in a worker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor, WeftError } from '../../dist/weft.mjs';
import { doubling, identity, model, node, sequenceType, tensorType } from './onnx.mjs';

const floats = (...values) => new Tensor('float32', values);
const rejects = (promise, pattern) =>
  assert.rejects(promise, (error) => error instanceof WeftError && error.code === 'INVALID_ARGUMENT' && pattern.test(error.message));

/** A cache that grows by what is fed: the two inputs that language models have for each layer. */
const growing = () =>
  model({
    nodes: [node('Concat', ['past', 'x'], ['present'], { axis: 0 }), node('ReduceSum', ['present'], ['sum'])],
    inputs: { past: tensorType('float32', ['T']), x: tensorType('float32', ['N']) },
    outputs: { sum: tensorType('float32', [1]), present: tensorType('float32', ['U']) },
  });

for (const worker of [false, true]) {
  const where = worker ? 'in a worker' : 'on this thread';
  const create = (bytes, preferredOutputLocation) => InferenceSession.create(bytes, { worker, preferredOutputLocation });

  test(`a result stays, is fed and read, ${where}`, async () => {
    const session = await create(doubling(), 'wasm');
    const { y } = await session.run({ x: floats(1, 2) });
    assert.ok(y instanceof Tensor);
    assert.deepEqual([y.type, y.dims, y.size, y.location], ['float32', [2], 2, 'wasm']);
    assert.throws(() => y.data, /in its session's memory: await getData/);
    const { y: z } = await session.run({ x: y });
    assert.deepEqual([...(await y.getData())], [2, 4]);
    assert.deepEqual([...(await z.getData())], [4, 8]);
    assert.deepEqual([...(await y.getData(true))], [2, 4]);
    assert.deepEqual([y.location, [...y.data]], ['cpu', [2, 4]]);
    assert.deepEqual([...(await (await session.run({ x: y })).y.getData())], [4, 8]);
    z.dispose();
    assert.equal(z.location, 'none');
    await rejects(session.run({ x: z }), /input 'x': the tensor was disposed of/);
    await session.release();
  });

  test(`named outputs stay while others come, and none of a growing cache is lost or kept for long, ${where}`, async () => {
    const session = await create(growing(), { present: 'wasm', sum: 'cpu' });
    let past = floats(0);
    for (let i = 1; i <= 1000; i++) {
      const { sum, present } = await session.run({ past, x: floats(i) });
      assert.equal(sum.data[0], (i * (i + 1)) / 2);
      past.dispose();
      past = present;
    }
    assert.deepEqual([...(await past.getData())], Array.from({ length: 1001 }, (_, i) => i));
    assert.ok(session.weft.memory.used < 300_000, `${session.weft.memory.used} bytes`);
    await session.release();
  });

  test(`another session takes a copy, ${where}`, async () => {
    const [first, second] = [await create(doubling(), 'wasm'), await create(doubling())];
    const { y } = await first.run({ x: floats(1, 2) });
    assert.deepEqual([...(await second.run({ x: y })).y.data], [4, 8]);
    const sequences = await create(identity(sequenceType(tensorType('float32'))), 'wasm');
    const { y: list } = await sequences.run({ x: [y, floats(5)] });
    assert.deepEqual(list.map(({ data }) => [...data]), [[2, 4], [5]]);
    await first.release();
    await rejects(second.run({ x: y }), /released/);
    await rejects(y.getData(), /released/);
    y.dispose();
    await Promise.all([second.release(), sequences.release()]);
  });

  test(`a feed that is handed on is not the result, ${where}`, async () => {
    const session = await create(identity(tensorType('float32', ['N'])), 'wasm');
    const { y: first } = await session.run({ x: floats(1, 2) });
    const { y: second } = await session.run({ x: floats(3, 4) });
    assert.deepEqual([...(await first.getData()), ...(await second.getData())], [1, 2, 3, 4]);
    await session.release();
  });

  test(`strings come out, small types are packed, ${where}`, async () => {
    const strings = await create(identity(tensorType('string', ['N'])), 'wasm');
    assert.deepEqual((await strings.run({ x: new Tensor(['a', 'ü']) })).y.data, ['a', 'ü']);
    const small = await create(identity(tensorType('int4', ['N'])), 'wasm');
    const { y } = await small.run({ x: new Tensor('int4', [1, -2, 3]) });
    assert.deepEqual(await y.getData(), new Tensor('int4', [1, -2, 3]).data);
    await Promise.all([strings.release(), small.release()]);
  });

  test(`wrong places are refused, ${where}`, async () => {
    await rejects(create(doubling(), 'nowhere'), /preferredOutputLocation: expected 'cpu' or 'wasm', found 'nowhere'/);
    await rejects(create(doubling(), { y: 5 }), /found (a )?number/);
    await rejects(create(doubling(), { z: 'wasm' }), /the model has no output 'z': its outputs are 'y'/);
    const session = await create(doubling(), { y: 'gpu-buffer', z: 'cpu' });
    const { y } = await session.run({ x: floats(1) });
    assert.equal(y.location, 'cpu');
    const keeping = await create(doubling(), { y: 'wasm' });
    const kept = (await keeping.run({ x: floats(1) })).y;
    await rejects(session.run({ x: floats(1) }, { y: kept }), /expected a Tensor to fill, in JavaScript's memory/);
    const target = floats(0);
    await keeping.run({ x: floats(4) }, { y: target });
    assert.equal(target.data[0], 8);
    await Promise.all([session.release(), keeping.release()]);
  });
}
