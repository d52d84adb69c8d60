/*
 * A sentence embedding: all-MiniLM-L6-v2 with its trained weights, in one batch of sentences padded to one length. Sentences
 * that mean the same must lie together, and every number must be what double precision gives.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { InferenceSession, Tensor } from '../../dist/weft.mjs';
import { programs, root } from '../../tools/setup/paths.mjs';

const folder = join(root, 'build/minilm');
const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

describe('MiniLM', { skip: !existsSync(programs.python) && 'Python is not set up' }, () => {
  let cases, embeddings;

  before(async () => {
    execFileSync(programs.python, [join(root, 'tests/minilm/make.py'), folder], { timeout: 300_000 });
    cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'));
    const session = await InferenceSession.create(join(folder, 'model.onnx'));
    const longest = Math.max(...cases.map(({ ids }) => ids.length));
    const pad = (list) => [...list, ...Array(longest - list.length).fill(0)].map(BigInt);
    const batch = (lists) => new Tensor('int64', BigInt64Array.from(lists.flatMap(pad)), [cases.length, longest]);
    const { sentence_embedding: found } = await session.run({
      input_ids: batch(cases.map(({ ids }) => ids)),
      attention_mask: batch(cases.map(({ ids }) => ids.map(() => 1))),
    });
    embeddings = cases.map((_, i) => found.data.subarray(i * found.dims[1], (i + 1) * found.dims[1]));
    await session.release();
  });

  test('gives what double precision gives', () => {
    for (const [i, { sentence, embedding }] of cases.entries()) {
      const worst = Math.max(...embedding.map((value, k) => Math.abs(value - embeddings[i][k])));
      assert.ok(worst < 1e-6, `${sentence}: off by ${worst}`);
    }
  });

  test('puts sentences together that mean the same', () => {
    const [guitar, music, stocks, shares] = embeddings;
    assert.ok(cosine(guitar, music) > 0.6, `guitars ${cosine(guitar, music)}`);
    assert.ok(cosine(stocks, shares) > 0.5, `markets ${cosine(stocks, shares)}`);
    assert.ok(cosine(guitar, stocks) < 0.2, `unlike ${cosine(guitar, stocks)}`);
  });
});
