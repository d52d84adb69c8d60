/*
 * The benchmark's part that runs in Node.js, in a process of its own:
 *
 *     node node.mjs compare MODEL SPEC    both engines in alternating rounds; SPEC is JSON
 *     node node.mjs cold ENGINE MODEL SPEC   one engine from a cold start: load, first result, peak memory
 *
 * Prints one line of JSON.
 */
import { readFileSync } from 'node:fs';
import { compare, makeFeeds } from './measure.mjs';
import { loadEngine } from './engines.mjs';

const [, , what, ...rest] = process.argv;

async function cold(name, path, { inputs, threads }) {
  const begin = performance.now();
  const engine = await loadEngine(name, threads);
  const session = await engine.InferenceSession.create(path, engine.options);
  const loaded = performance.now();
  const feeds = makeFeeds(engine, inputs);
  const made = performance.now();
  await session.run(feeds);
  const end = performance.now();
  return { load: loaded - begin, first: loaded - begin + (end - made), peak: process.resourceUsage().maxRSS * 1024 };
}

if (what === 'compare') {
  const [path, spec] = rest;
  const { inputs, threads, ...options } = JSON.parse(spec);
  const engines = [await loadEngine('weft', threads), await loadEngine('onnxruntime-web', threads)];
  console.log(JSON.stringify(await compare(engines, new Uint8Array(readFileSync(path)), inputs, options)));
} else {
  const [name, path, spec] = rest;
  console.log(JSON.stringify(await cold(name, path, JSON.parse(spec))));
}
process.exit(0);
