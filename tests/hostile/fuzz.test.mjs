/*
 * The engine under AddressSanitizer and UndefinedBehaviorSanitizer on models that are no models any more, and then for half a
 * minute on whatever libFuzzer makes of them. `npm run fuzz` does the latter for longer.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../../tools/setup/paths.mjs';
import { fuzz, seedModels, spoil } from '../fuzz/fuzz.mjs';

const skip = existsSync(join(root, 'build/native-asan/tests/fuzz/fuzz_model')) ? false : 'build/native-asan is not built';

test('every fourth operator test, cut off 64 times and changed 40 times, crashes nothing', { skip, timeout: 300_000 }, () => {
  const models = seedModels().filter((_, i) => i % 4 === 0);
  const { status, stdout, stderr } = spoil(40, [join(root, 'models/digits/digits.onnx'), ...models.map(({ path }) => path)]);
  assert.equal(status, 0, `after ${stdout.trim().split('\n').at(-1)}: ${stderr.slice(0, 8000)}`);
});

test('libFuzzer finds nothing in half a minute', { skip, timeout: 300_000 }, (t) => {
  const { status, stderr } = fuzz(30);
  assert.equal(status, 0, stderr.slice(-8000));
  t.diagnostic(`${/number_of_executed_units: *(\d+)/.exec(stderr)[1]} models tried`);
});
