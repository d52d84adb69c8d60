/* Profiles: what is in them and that sums fit together. Never how long something took. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { graphOf, model, node, tensor, tensorType } from './onnx.mjs';

const raw = (array) => new Uint8Array(array.buffer);
const floats = (size) => new Float32Array(size).fill(0.5);

/** y = (x W) and, three times, a Tanh in a Loop. */
const looping = () =>
  model({
    nodes: [
      node('MatMul', ['x', 'w'], ['p'], { name: 'product' }),
      node('Loop', ['three', '', 'p'], ['y'], {
        name: 'turns',
        body: {
          graph: graphOf({
            nodes: [node('Identity', ['go'], ['on'], { name: 'on' }), node('Tanh', ['s'], ['t'], { name: 'bend' })],
            inputs: { i: tensorType('int64', []), go: tensorType('bool', []), s: tensorType('float32', [2, 4]) },
            outputs: { on: tensorType('bool', []), t: tensorType('float32', [2, 4]) },
          }),
        },
      }),
    ],
    inputs: { x: tensorType('float32', [2, 8]) },
    outputs: { y: tensorType('float32', [2, 4]) },
    initializers: [
      tensor('w', 'float32', [8, 4], { raw: raw(floats(32)) }),
      tensor('three', 'int64', [], { raw: raw(new BigInt64Array([3n])) }),
    ],
  });

const x = new Tensor('float32', floats(16), [2, 8]);

async function profileOf(options, runs = 2) {
  const session = await InferenceSession.create(looping(), options);
  if (!options.enableProfiling) session.startProfiling();
  for (let i = 0; i < runs; i++) await session.run({ x });
  session.endProfiling();
  await session.run({ x });
  const profile = await session.profile();
  await session.release();
  return profile;
}

for (const options of [{}, { enableProfiling: true }, { worker: true }]) {
  test(`nodes, operators and what is inside others: ${JSON.stringify(options)}`, async () => {
    const profile = await profileOf(options);
    assert.equal(profile.runs, 2);
    assert.equal(profile.dropped, 0);
    const named = Object.fromEntries(profile.nodes.map((row) => [row.node, row]));
    const { product, turns, bend } = named;
    assert.deepEqual([product.calls, turns.calls, bend.calls], [2, 2, 6]);
    assert.deepEqual([product.op, product.type, product.dims], ['MatMul', 'float32', [2, 4]]);
    assert.equal(product.operations, 2 * 2 * (2 * 4 * 8));
    assert.equal(product.bytes, 2 * 4 * (16 + 32 + 8));
    assert.deepEqual([bend.op, bend.dims, bend.operations, bend.bytes], ['Tanh', [2, 4], 0, 6 * 2 * 4 * 8]);
    for (const key of ['calls', 'time', 'operations', 'bytes']) {
      const [nodes, operators] = [profile.nodes, profile.operators].map((rows) => rows.reduce((sum, row) => sum + row[key], 0));
      assert.ok(Math.abs(nodes - operators) <= 1e-9 * Math.max(1, nodes), key);
    }
    const time = profile.nodes.reduce((sum, row) => sum + row.time, 0);
    assert.ok(time <= profile.total * (1 + 1e-9) && profile.nodes.every((row) => row.time >= -1e-9 && row.share <= 1));
    assert.ok(profile.limits.gflops > 0 && profile.limits.gbps > 0);
  });
}

test('a table for people and a trace for viewers', async () => {
  const profile = await profileOf({});
  assert.match(`${profile}`, /^2 runs of [\d.]+ ms\. Limits: [\d.]+ GFLOP\/s, [\d.]+ GB\/s\.$/m);
  assert.match(`${profile}`, /^MatMul +1 .*\[2,4\] product$/m);
  const { traceEvents } = JSON.parse(JSON.stringify(profile.toTrace()));
  const events = (name) => traceEvents.filter((event) => event.name === name);
  assert.deepEqual([events('run').length, events('Loop').length, events('Tanh').length], [2, 2, 6]);
  assert.ok(traceEvents.every(({ ph, ts, dur, pid, tid }) => ph === 'X' && ts >= 0 && dur >= 0 && pid === 1 && tid === 1));
  const inside = (inner, outer) => inner.ts >= outer.ts - 1e-3 && inner.ts + inner.dur <= outer.ts + outer.dur + 1e-3;
  for (const tanh of events('Tanh')) assert.ok(events('Loop').some((loop) => inside(tanh, loop)));
  for (const loop of events('Loop')) assert.ok(events('run').some((run) => inside(loop, run)));
  assert.deepEqual(events('MatMul')[0].args, { node: 'product', type: 'float32', dims: [2, 4], operations: 128, bytes: 224 });
});

test('a beginning drops what came before; without one there is nothing', async () => {
  const session = await InferenceSession.create(looping());
  await session.run({ x });
  const none = await session.profile();
  assert.deepEqual([none.runs, none.nodes.length, none.total], [0, 0, 0]);
  assert.match(`${none}`, /^0 runs/);
  session.startProfiling();
  await session.run({ x });
  session.startProfiling();
  await session.run({ x });
  assert.equal((await session.profile()).runs, 1);
  // A run that fails is in the profile too, and does not upset those after it.
  await assert.rejects(session.run({ x: new Tensor('float32', floats(8), [1, 8]) }));
  await session.run({ x });
  const profile = await session.profile();
  assert.deepEqual([profile.runs, profile.nodes.find((row) => row.node === 'product').calls], [3, 2]);
  await session.release();
});
