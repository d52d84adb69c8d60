/*
 * Loops whose carried value grows by Concat, which adds to it where it lies if nothing else has it: bodies that read it
 * afterwards, also from a branch or through a view, or add to it in a branch.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { graphOf, model, node, tensor, tensorType } from './onnx.mjs';

const TURNS = 12, WIDTH = 64; /* rows of 256 bytes: the value soon has a block of its own */

const integers = (name, ...list) =>
  tensor(name, 'int64', [list.length], { raw: new Uint8Array(BigInt64Array.from(list, BigInt).buffer) });
const floats = (...shape) => tensorType('float32', shape);
const last = (...shape) => ({ outputs: { z: floats(...shape) } });
const turn = Array.from({ length: WIDTH }, (_, i) => i / 8);

const grow = node('Concat', ['s', 'e'], ['s_out'], { axis: 0 });
const inBranch = node('Concat', ['s', 'e'], ['z'], { axis: 0 });

/** What the body does besides s_out = Concat(s, e): nodes, and what a turn yields for the rows before and after. */
const bodies = {
  'does nothing else': { nodes: [grow, node('ReduceSum', ['s_out'], ['z'])], yields: (s, t) => t },
  'reads it afterwards': { nodes: [grow, node('ReduceSum', ['s'], ['z'])], yields: (s) => s },
  'reads a view of it afterwards': {
    nodes: [node('Reshape', ['s', 'flat'], ['v']), grow, node('ReduceSum', ['v'], ['z'])],
    yields: (s) => s,
  },
  'reads it in a branch afterwards': {
    nodes: [
      grow,
      node('If', ['c'], ['z'], {
        then_branch: { graph: graphOf({ nodes: [node('ReduceSum', ['s'], ['z'])], ...last(1, 1) }) },
        else_branch: { graph: graphOf({ nodes: [node('ReduceSum', ['e'], ['z'])], ...last(1, 1) }) },
      }),
    ],
    yields: (s) => s,
  },
  'adds to it in a branch, and reads it afterwards': {
    nodes: [
      node('If', ['c'], ['s_out'], {
        then_branch: { graph: graphOf({ nodes: [inBranch], ...last('n', WIDTH) }) },
        else_branch: { graph: graphOf({ nodes: [node('Identity', ['e'], ['z'])], ...last('n', WIDTH) }) },
      }),
      node('ReduceSum', ['s'], ['z']),
    ],
    yields: (s) => s,
  },
};

const sum = (rows) => rows.flat().reduce((all, number) => all + number, 0);

for (const [name, { nodes, yields }] of Object.entries(bodies)) {
  test(`a loop that grows: the body ${name}`, async () => {
    const body = graphOf({
      nodes: [node('Identity', ['c'], ['c_out']), ...nodes],
      inputs: { i: tensorType('int64', []), c: tensorType('bool', []), s: floats('n', WIDTH) },
      outputs: { c_out: tensorType('bool', []), s_out: floats('m', WIDTH), z: floats(1, 1) },
    });
    const bytes = model({
      nodes: [node('Loop', ['turns', '', 'first'], ['all', 'yielded'], { body: { graph: body } })],
      initializers: [integers('turns', TURNS), integers('flat', -1)],
      inputs: { first: floats(1, WIDTH), e: floats(1, WIDTH) },
      outputs: { all: floats('n', WIDTH), yielded: tensorType('float32') },
    });
    for (const graphOptimizationLevel of ['disabled', 'all']) {
      const session = await InferenceSession.create(bytes, { graphOptimizationLevel });
      const first = turn.map((number) => 0 - number);
      const feeds = { first: new Tensor('float32', first, [1, WIDTH]), e: new Tensor('float32', turn, [1, WIDTH]) };
      for (let run = 0; run < 3; run++) {
        const { all, yielded } = await session.run(feeds);
        const rows = [first], expected = [];
        for (let i = 0; i < TURNS; i++) {
          const before = [...rows];
          rows.push(turn);
          expected.push(sum(yields(before, rows)));
        }
        assert.deepEqual(all.dims, [TURNS + 1, WIDTH]);
        assert.deepEqual(Array.from(all.data), rows.flat());
        assert.deepEqual(Array.from(yielded.data), expected);
        assert.deepEqual(Array.from(feeds.first.data), first);
      }
      await session.release();
    }
  });
}
