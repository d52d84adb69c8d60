/*
 * Graphs made at random mean the same with and without optimisation. The operators are those that passes move, turn and
 * retype, in orders that no exporter thought of; seeds are fixed, so a failure can be had again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { model, node, tensor, tensorType, types } from './onnx.mjs';

const GRAPHS = Number(process.env.WEFT_RANDOM_GRAPHS ?? 400);
const product = (numbers) => numbers.reduce((all, number) => all * number, 1);

/** A float that float16 holds, and is not subnormal there, as its bits. */
function halfBits(number) {
  const [bits] = new Uint32Array(new Float32Array([number]).buffer);
  return number === 0 ? 0 : ((bits >>> 16) & 0x8000) | (((bits >>> 13) & 0x3ffff) - (112 << 10)) & 0x7fff;
}

/** A graph that grows: values are {name, shape}, the newest last. */
class Growing {
  nodes = [];
  initializers = [];
  #state;

  constructor(seed, type, shape) {
    this.#state = seed * 2654435761 + 1;
    this.type = type;
    this.values = [{ name: 'v0', shape }];
    this.count = 0;
  }

  /** A number from 0 to below 1. */
  random() {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32;
  }

  choose(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  /** A constant whose floats float16 and bfloat16 hold as well, or not. */
  weights(...shape) {
    const exact = this.random() < 0.5;
    const numbers = Float32Array.from({ length: product(shape) }, () => {
      const number = (this.random() - 0.5) * 0.6;
      return exact || this.type === 'float16' ? Math.round(number * 64) / 64 : number;
    });
    return this.#constant(this.type, shape, this.type === 'float16' ? Uint16Array.from(numbers, halfBits) : numbers);
  }

  integers(list) {
    return this.#constant('int64', [list.length], BigInt64Array.from(list, BigInt));
  }

  #constant(type, shape, array) {
    const name = `c${this.initializers.length}`;
    this.initializers.push(tensor(name, type, shape, { raw: new Uint8Array(array.buffer) }));
    return name;
  }

  add(op, inputs, shape, attributes) {
    const name = `v${++this.count}`;
    this.nodes.push(node(op, inputs, [name], attributes));
    this.values.push({ name, shape });
    return name;
  }

  bytes() {
    const wanted = new Set([this.values.at(-1), this.choose(this.values)].map(({ name }) => name));
    const nodes = [
      node('Cast', ['x'], ['v0'], { to: types[this.type] }),
      ...this.nodes,
      ...Array.from(wanted, (name) => node('Cast', [name], [`${name} as floats`], { to: types.float32 })),
    ];
    const outputs = Object.fromEntries(Array.from(wanted, (name) => [`${name} as floats`, tensorType('float32')]));
    const inputs = { x: tensorType('float32', this.values[0].shape) };
    return model({ nodes, initializers: this.initializers, inputs, outputs });
  }
}

/** What adds nodes to a graph that read one of its values; false where they do not fit. */
const steps = {
  transpose(g, { name, shape }) {
    const perm = shape.map((_, axis) => axis);
    for (let i = perm.length - 1; i > 0; i--) {
      const j = Math.floor(g.random() * (i + 1));
      [perm[i], perm[j]] = [perm[j], perm[i]];
    }
    g.add('Transpose', [name], perm.map((axis) => shape[axis]), { perm });
  },
  join(g, { name, shape }) {
    if (shape.length < 3) return false;
    const at = Math.floor(g.random() * (shape.length - 1));
    const joined = shape.toSpliced(at, 2, shape[at] * shape[at + 1]);
    g.add('Reshape', [name, g.integers(joined)], joined);
  },
  split(g, { name, shape }) {
    const at = shape.findIndex((size) => size % 2 === 0);
    if (shape.length > 4 || at < 0) return false;
    const parts = shape.toSpliced(at, 1, 2, shape[at] / 2);
    g.add('Reshape', [name, g.integers(parts)], parts);
  },
  product(g, { name, shape }) {
    const columns = g.choose([4, 8, 32]);
    g.add('MatMul', [name, g.weights(shape.at(-1), columns)], [...shape.slice(0, -1), columns]);
  },
  bias(g, { name, shape }) {
    g.add('Add', [name, g.weights(shape.at(-1))], shape);
  },
  sum(g, { name, shape }) {
    const same = g.values.filter((value) => value.shape.join() === shape.join());
    g.add('Add', [name, g.choose(same).name], shape);
  },
  function(g, { name, shape }) {
    g.add(g.choose(['Tanh', 'Softsign', 'Sigmoid', 'Neg']), [name], shape);
  },
  layer(g, { name, shape }) {
    if (shape.length !== 3) return false;
    const directions = g.choose([1, 2]), [op, gates] = g.choose([['GRU', 3], ['LSTM', 4]]), [length, batch, size] = shape;
    const weights = [g.weights(directions, gates * 4, size), g.weights(directions, gates * 4, 4)];
    const y = g.add(op, [name, ...weights], [length, directions, batch, 4], {
      hidden_size: 4,
      direction: directions === 2 ? 'bidirectional' : 'reverse',
    });
    if (g.random() < 0.3) return;
    const turned = g.add('Transpose', [y], [length, batch, directions, 4], { perm: [0, 2, 1, 3] });
    g.add('Reshape', [turned, g.integers([0, 0, -1])], [length, batch, directions * 4]);
  },
};

function grow(seed, type) {
  const g = new Growing(seed, type, [1 + (seed % 3), 3 + (seed % 2), 2, 8]);
  const length = 4 + Math.floor(g.random() * 12);
  for (let i = 0; i < length; i++) {
    const from = g.random() < 0.8 ? g.values.at(-1) : g.choose(g.values);
    if (steps[g.choose(Object.keys(steps))](g, from) === false) steps.transpose(g, from);
  }
  return g;
}

for (const [type, tolerance] of [['float32', 1e-4], ['float16', 3e-2]]) {
  test(`${GRAPHS} random graphs of ${type}`, async () => {
    for (let seed = 0; seed < GRAPHS; seed++) {
      const g = grow(seed, type), bytes = g.bytes(), shape = g.values[0].shape;
      const numbers = Array.from({ length: product(shape) }, () => g.random() * 2 - 1);
      const results = [];
      for (const graphOptimizationLevel of ['disabled', 'all']) {
        const session = await InferenceSession.create(bytes, { graphOptimizationLevel });
        results.push(await session.run({ x: new Tensor('float32', numbers, shape) }));
        await session.release();
      }
      for (const [name, { dims, data }] of Object.entries(results[0])) {
        const found = results[1][name];
        assert.deepEqual(found.dims, dims, `graph ${seed}, ${name}`);
        const worst = data.reduce((most, number, i) => Math.max(most, Math.abs(number - found.data[i]) / (1 + Math.abs(number))), 0);
        assert.ok(worst <= tolerance, `graph ${seed}, ${name}: ${worst} off`);
      }
    }
  });
}
