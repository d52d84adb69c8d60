/*
 * What differs between hosts: files, and when the event loop gets its turn. Node.js' modules are asked of the process
 * instead of imported, so that bundlers for the browser never meet them.
 */

/** @type {any} */
const process = /** @type {any} */ (globalThis).process;

/** A built-in module of Node.js (Deno and Bun have it too), or undefined in pages. @param {string} name @returns {any} */
const builtin = (name) => (process?.versions?.node ? process.getBuiltinModule?.(`node:${name}`) : undefined);

/** Whether there is a file system to read from. */
export const hasFiles = () => builtin('fs') !== undefined;

export const isUrl = (/** @type {string} */ text) => /^[a-z][a-z0-9+.-]+:/i.test(text);

/**
 * A path, relative or absolute URL as a URL: relative to the page or worker, else to the current folder.
 * @param {string | URL} location
 */
export function resolveLocation(location) {
  if (location instanceof URL) return location;
  if (isUrl(location)) return new URL(location);
  if (hasFiles()) return builtin('url').pathToFileURL(location);
  return new URL(location, globalThis.document?.baseURI ?? globalThis.location?.href);
}

/** @param {URL} url @returns {Promise<Uint8Array<ArrayBuffer>>} */
export const readFile = (url) => builtin('fs').promises.readFile(url);

/**
 * @param {URL} url of a file
 * @returns {Promise<{size: number, read: (into: Uint8Array) => Promise<number>, close: () => Promise<void>}>}
 */
export async function openFile(url) {
  const handle = await builtin('fs').promises.open(url);
  const { size } = await handle.stat();
  return { size, read: async (into) => (await handle.read(into)).bytesRead, close: () => handle.close() };
}

export const processors = () => builtin('os')?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;

/** Whether shared memory, and so a module with threads, can be used; otherwise the reason. @returns {string} '' if it can */
export function threadsRefused() {
  if (typeof SharedArrayBuffer === 'undefined' || globalThis.crossOriginIsolated === false) {
    return 'the page is not cross-origin isolated (headers Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy)';
  }
  if (typeof globalThis.Worker === 'undefined' && !builtin('worker_threads')) return 'the host has no workers';
  return '';
}

/** Lets the event loop do what waits: messages, timers, an abort. @returns {Promise<void>} */
export function nextTurn() {
  const setImmediate = /** @type {any} */ (globalThis).setImmediate;
  if (setImmediate) return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
