/*
 * What differs between hosts: files, and when the event loop gets its turn. Node.js' modules are asked of the process
 * instead of imported, so that bundlers for the browser never meet them.
 */
import { argumentError, WeftError } from './error.js';

/** @type {any} */
const nodeProcess = /** @type {any} */ (globalThis).process;

/** A built-in module of Node.js (Deno and Bun have it too), or undefined in pages. @param {string} name @returns {any} */
const builtin = (name) => (nodeProcess?.versions?.node ? nodeProcess.getBuiltinModule?.(`node:${name}`) : undefined);

/** Whether there is a file system to read from. */
export const hasFiles = () => builtin('fs') !== undefined;

export const isUrl = (/** @type {string} */ text) => /^[a-z][a-z0-9+.-]+:/i.test(text);

/** Whether it says where something is; an audio worklet has no URLs. @param {unknown} value @returns {value is string | URL} */
export const isLocation = (value) => typeof value === 'string' || (typeof URL !== 'undefined' && value instanceof URL);

/**
 * A path, relative or absolute URL as a URL: relative to the page or worker, else to the current folder.
 * @param {string | URL} location
 */
export function resolveLocation(location) {
  if (location instanceof URL) return location;
  if (location.length > 8192 && !/^(data|blob):/i.test(location)) {
    throw argumentError(`expected a URL or path, found a text of ${location.length} characters: give a model as its bytes`);
  }
  try {
    if (isUrl(location)) return new URL(location);
    if (hasFiles()) return builtin('url').pathToFileURL(location);
    return new URL(location, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch (cause) {
    throw argumentError(`'${location}' is neither a URL nor a path: ${/** @type {Error} */ (cause).message}`);
  }
}

/** @param {URL} url @returns {Promise<Uint8Array<ArrayBuffer>>} */
export async function readFile(url) {
  if (hasFiles()) return builtin('fs').promises.readFile(url);
  throw new Error(nodeProcess?.versions?.node ? `Node.js ${nodeProcess.version} is too old, 20.16 is the first that will do` : 'the host has no files');
}

/** Bytes of a file. @param {URL} url @returns {Promise<number>} */
export const sizeOfFile = async (url) => (await builtin('fs').promises.stat(url)).size;

/**
 * Whether `file`, reached through any links, lies in the folder of `model` or in the one where the model's own file really is
 * (download caches keep files that way). @param {URL} file @param {URL} model
 */
export async function isBeside(file, model) {
  const [{ promises }, { dirname, sep }] = [builtin('fs'), builtin('path')];
  const folder = await promises.realpath(new URL('.', model));
  const real = await promises.realpath(file);
  return [folder, dirname(await promises.realpath(model))].some((allowed) => real.startsWith(allowed + sep));
}

/** @param {URL} url of a file @param {number} size of a piece; each is valid until the next */
export async function* readPieces(url, size) {
  const piece = new Uint8Array(size);
  const file = await builtin('fs').promises.open(url);
  try {
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, size, null); // Yarn's own fs reads nothing without a length
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * Calls `release` for things that were registered and then forgotten; not in every host (Cloudflare Workers of before May 2025).
 * @template T @param {(held: T) => void} release @returns {Pick<FinalizationRegistry<T>, 'register' | 'unregister'>}
 */
export const registryOf = (release) =>
  typeof FinalizationRegistry === 'undefined' ? { register() {}, unregister: () => false } : new FinalizationRegistry(release);

/** Deno asks for a permission where Node.js' module is asked; Node.js 20 has no navigator. */
export const processors = () => globalThis.navigator?.hardwareConcurrency ?? builtin('os')?.availableParallelism() ?? 1;

/** Whether shared memory, and so a module with threads, can be used; otherwise the reason. @returns {string} '' if it can */
export function threadsRefused() {
  if (globalThis.crossOriginIsolated === false) {
    return 'the page is not cross-origin isolated (headers Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy)';
  }
  if (globalThis.origin === 'null') return 'a sandboxed frame shares no memory with what its workers start';
  if (typeof SharedArrayBuffer === 'undefined') return 'the host has no SharedArrayBuffer';
  if (typeof globalThis.Worker === 'undefined' && !builtin('worker_threads')) return 'the host has no workers';
  if (nodeProcess?.permission?.has('worker') === false) return 'Node.js was started without --allow-worker';
  return '';
}

/** Lets the event loop do what waits: messages, timers, an abort. @returns {Promise<void>} */
export function nextTurn() {
  const setImmediate = /** @type {any} */ (globalThis).setImmediate;
  if (setImmediate) return new Promise((resolve) => setImmediate(resolve));
  if (typeof MessageChannel === 'undefined') return Promise.resolve(); // an audio worklet's own turns are few milliseconds
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** The blobs' URLs by file. @type {Record<string, string>} */
const importers = {};

/**
 * A worker of a file beside this package, if that lies on another origin than the page, as on a CDN: browsers refuse such files,
 * so the worker is the page's own and imports the file. Otherwise undefined: bundlers must see the file where the worker is made.
 * @param {string} file @param {WorkerOptions} [options] @returns {Worker | undefined}
 */
export function workerFromElsewhere(file, options) {
  const here = import.meta.url;
  const { origin } = globalThis;
  if (!origin || !/^https?:/.test(here) || new URL(here).origin === origin) return undefined;
  const text = `import ${JSON.stringify(new URL(file, here))};`;
  // A sandboxed frame has no origin, 'null'; there Chromium starts no modules from blobs.
  importers[file] ??= origin === 'null'
    ? `data:text/javascript,${encodeURIComponent(text)}`
    : URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
  return new Worker(importers[file], { ...options, type: 'module' });
}

/**
 * What the page's policy must say, if that is why WebAssembly was refused: when it was compiled or, in WebKit, started.
 * @param {string} message @returns {string | undefined}
 */
export const policyRule = (message) =>
  /security.policy|CSP|unsafe-eval/i.test(message) ? "the page's Content-Security-Policy must have 'wasm-unsafe-eval' in its script-src" : undefined;

/**
 * Why a worker did not start, or stopped. @param {string} file
 * @param {{message?: string, code?: string}} cause a page's event, without a message when it is about the file, or Node.js' error
 */
export function workerError(file, cause) {
  const { message, code } = cause;
  if (message && !code?.endsWith('MODULE_NOT_FOUND')) return new WeftError('INTERNAL', `${file} stopped: ${message}`, { cause });
  const rule = "it must lie beside the package or its bundle, and a page's Content-Security-Policy must allow it as a worker";
  return new WeftError('IO', `${file} could not be loaded: ${rule}`, { cause });
}

/**
 * A worker that runs a module of this package; what it sends comes to `onMessage`. In Node.js it keeps the program alive
 * only while it is held.
 * @param {(message: any) => void} onMessage @param {(error: Error) => void} onError
 */
export function startWorker(onMessage, onError) {
  // Emscripten's glue leaves Node.js' own class under this name, which has other events.
  if (typeof Worker !== 'undefined' && 'onmessage' in Worker.prototype) {
    const worker = workerFromElsewhere('weft.worker.mjs') ?? new Worker(new URL('./weft.worker.mjs', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => onMessage(data);
    worker.onerror = (event) => onError(workerError('weft.worker.mjs', event));
    return { post: worker.postMessage.bind(worker), stop: () => worker.terminate(), hold: () => {} };
  }
  const threads = builtin('worker_threads');
  if (!threads) throw new Error('the host has no workers');
  // Not in the form that bundlers know: they would ship the file a second time.
  const here = import.meta.url;
  const worker = new threads.Worker(new URL('./weft.worker.mjs', here));
  worker.on('message', onMessage);
  worker.on('error', (/** @type {Error} */ error) => onError(workerError('weft.worker.mjs', error)));
  worker.unref();
  const hold = (/** @type {boolean} */ held) => (held ? worker.ref() : worker.unref());
  return { post: worker.postMessage.bind(worker), stop: () => void worker.terminate(), hold };
}

/** The other end, inside the worker. @param {(message: any) => void} onMessage @returns {(message: any, transfer: Transferable[]) => void} */
export function answerParent(onMessage) {
  const parent = builtin('worker_threads')?.parentPort;
  if (parent) {
    parent.on('message', onMessage);
    return parent.postMessage.bind(parent);
  }
  globalThis.onmessage = ({ data }) => onMessage(data);
  return /** @type {any} */ (globalThis.postMessage).bind(globalThis);
}
