/*
 * A sentence embedding: all-MiniLM-L6-v2 with its trained weights, for a batch of sentences padded to one length. Every number
 * must be what double precision gives, in every host, and sentences that mean the same must lie together.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Tensor } from '../../dist/weft.mjs';
import { check, hosts, report } from '../tools/hosts.mjs';
import { fileReaders, readFileValue } from '../tools/values.mjs';
import { minilmCase, missing } from './cases.mjs';

const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

describe('MiniLM', { skip: missing }, () => {
  for (const [name, host] of Object.entries(hosts)) {
    test(`in ${name}`, { skip: host.missing, timeout: 300_000 }, async (t) => {
      report(t, 'MiniLM', await check(host, [minilmCase()]), () => undefined);
    });
  }

  test('the answers put sentences together that mean the same', () => {
    const { folder } = minilmCase();
    const { output } = fileReaders(readFileSync(join(folder, 'model.onnx')));
    const bytes = readFileSync(join(folder, 'test_data_set_0/output_0.pb'));
    const { data, dims } = readFileValue(bytes, output[0], Tensor).value;
    const [guitar, music, stocks, shares] = [0, 1, 2, 3].map((i) => data.subarray(i * dims[1], (i + 1) * dims[1]));
    assert.ok(cosine(guitar, music) > 0.6, `guitars ${cosine(guitar, music)}`);
    assert.ok(cosine(stocks, shares) > 0.5, `markets ${cosine(stocks, shares)}`);
    assert.ok(cosine(guitar, stocks) < 0.2, `unlike ${cosine(guitar, stocks)}`);
  });
});
