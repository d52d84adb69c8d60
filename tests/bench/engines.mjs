/* The two engines in Node.js, each ready to make sessions with so many threads. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inToolchain, root } from '../../tools/setup/paths.mjs';

const entries = {
  weft: join(root, 'dist/weft.mjs'),
  'onnxruntime-web': inToolchain('onnxruntime-web/node_modules/onnxruntime-web/dist/ort.node.min.mjs'),
};

/** @param {'weft' | 'onnxruntime-web'} name */
export async function loadEngine(name, threads) {
  const { InferenceSession, Tensor, env } = await import(pathToFileURL(entries[name]).href);
  env.wasm.numThreads = threads;
  env.logLevel = 'error';
  return { name, InferenceSession, Tensor, env, options: { executionProviders: ['wasm'] } };
}
