/*
 * Fuzzes the engine:
 *
 *     npm run fuzz [-- SECONDS]
 *
 * Ten minutes if nothing is said. What libFuzzer learns is kept in build/fuzz/learned; a finding is a file in build/fuzz.
 */
import { readArguments } from './arguments.mjs';
import { buildPreset } from './build.mjs';
import { setUp } from './setup.mjs';
import { main, step } from './setup/run.mjs';

main(async () => {
  const { positionals: [seconds = '600'] } = readArguments(import.meta.url, { allowPositionals: true });
  await setUp('test');
  await step('The fuzz target', () => buildPreset('native-asan'));
  const { fuzz } = await import('../tests/fuzz/fuzz.mjs');
  return fuzz(Number(seconds), { stdio: 'inherit' }).status === 0 ? 0 : 1;
});
