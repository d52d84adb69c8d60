/*
 * Runs the fuzz target, with the onnx package's operator tests as seeds: small models of every operator.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../tools/setup/paths.mjs';
import { loadCases } from '../onnx/cases.mjs';

const folder = join(root, 'build/fuzz');
const program = (name) => join(root, 'build/native-asan/tests/fuzz', name);

/** The models of the package's operator tests. */
export const seedModels = () => loadCases().node.map((one) => ({ name: one.id.split('/')[1], path: join(one.folder, 'model.onnx') }));

/** A block that is too large is refused, as it is without the sanitizers; a leak is told when the program ends. */
const env = { ...process.env, ASAN_OPTIONS: 'allocator_may_return_null=1' };

/**
 * Lets libFuzzer look for `seconds`; what it learns is kept for the next time.
 * @returns {{status: number | null, stderr: string}} a finding is in build/fuzz/, and at the end of `stderr`
 */
export function fuzz(seconds, { stdio = 'pipe' } = {}) {
  const [seeds, learned] = ['seeds', 'learned'].map((name) => join(folder, name));
  for (const path of [seeds, learned]) mkdirSync(path, { recursive: true });
  for (const { name, path } of seedModels()) copyFileSync(path, join(seeds, `${name}.onnx`));
  const options = [`-max_total_time=${seconds}`, '-max_len=65536', '-timeout=30', '-rss_limit_mb=3000', `-artifact_prefix=${folder}/`];
  if (stdio === 'pipe') options.push('-verbosity=0', '-print_final_stats=1');
  return spawnSync(program('fuzz_model'), [...options, learned, seeds], { env, stdio, encoding: 'utf8' });
}

/** Cuts models off and changes bytes of them, `count` times each. */
export function spoil(count, paths) {
  return spawnSync(program('mutations'), [`${count}`, ...paths], { env, encoding: 'utf8' });
}
