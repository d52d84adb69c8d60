/*
 * The benchmark's part that runs in Node.js, in a process of its own:
 *
 *     node node.mjs compare MODEL SPEC       both engines in alternating rounds; SPEC is JSON
 *     node node.mjs alone ENGINE MODEL SPEC  one engine, measured alike
 *     node node.mjs cold ENGINE MODEL SPEC   one engine from a cold start: load, first result, and the process's peak memory
 *                                            before, when the model was loaded, and after a run
 *
 * Prints one line of JSON.
 */
import { readFileSync } from 'node:fs';
import { compare, makeFeeds } from './measure.mjs';
import { loadEngine } from './engines.mjs';

const [, , what, ...rest] = process.argv;

const peakMemory = () => process.resourceUsage().maxRSS * 1024;

async function cold(name, path, { inputs, threads }) {
  const peak = [peakMemory()];
  const begin = performance.now();
  const engine = await loadEngine(name, threads);
  const session = await engine.InferenceSession.create(path, engine.options);
  const loaded = performance.now();
  peak.push(peakMemory());
  const feeds = makeFeeds(engine, inputs);
  const made = performance.now();
  await session.run(feeds);
  const end = performance.now();
  return { load: loaded - begin, first: loaded - begin + (end - made), peak: [...peak, peakMemory()] };
}

/** @param {string[]} names */
async function measure(names, path, spec) {
  const { inputs, threads, ...options } = JSON.parse(spec);
  const engines = [];
  for (const name of names) engines.push(await loadEngine(name, threads));
  return compare(engines, new Uint8Array(readFileSync(path)), inputs, options);
}

const methods = {
  compare: (path, spec) => measure(['weft', 'onnxruntime-web'], path, spec),
  alone: (name, path, spec) => measure([name], path, spec),
  cold: (name, path, spec) => cold(name, path, JSON.parse(spec)),
};
console.log(JSON.stringify(await methods[what](...rest)));
// Not by process.exit: that joins V8's compiler threads, which at times wait for a collection that never comes.
process.kill(process.pid, 'SIGKILL');
