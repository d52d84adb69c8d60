/*
 * Where a model's bytes come from: a URL, a path, bytes, a Blob, a Response or a stream. All of them are read in pieces,
 * one after another, so that a model is never in JavaScript's memory as a whole unless the caller put it there. This file
 * must not know what the bytes mean.
 */
import { argumentError, describe, onAbort, throwIfAborted, WeftError } from './error.js';
import { hasFiles, isLocation, readPieces, resolveLocation, sizeOfFile } from './host.js';

/**
 * @typedef {object} Ways how files are fetched
 * @property {AbortSignal | undefined} signal that ends it
 * @property {import('./cache.js').Keeper} keeper of what was downloaded
 *
 * @typedef {object} Source
 * @property {string} name for messages
 * @property {number | undefined} total its size in bytes, where that is known beforehand
 * @property {AsyncIterable<Uint8Array>} pieces each is valid until the next is asked for
 * @property {boolean} [isOnce] whether it cannot be opened again
 * @property {URL | undefined} location what relative names of further files refer to
 */

const PIECE = 1 << 20;

/** @param {ArrayBufferView} view */
const bytesOf = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength);

/** @param {Uint8Array} bytes */
async function* piecesOfBytes(bytes) {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

/** @param {ReadableStream<Uint8Array>} stream @param {AbortSignal} [signal] ends the wait for a piece */
async function* piecesOfStream(stream, signal) {
  const reader = stream.getReader();
  // Cancelling ends a download that is not read to its end; after the end it does nothing.
  const cancel = () => void reader.cancel().catch(() => {});
  const end = onAbort(signal, cancel);
  try {
    throwIfAborted(signal);
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (!ArrayBuffer.isView(next.value)) throw argumentError(`the stream: expected pieces of bytes, found ${describe(next.value)}`);
      yield* piecesOfBytes(bytesOf(next.value));
    }
    throwIfAborted(signal);
  } finally {
    end();
    cancel();
  }
}

/** Whatever ends a reading early is told as one kind of error. @param {Source} source @returns {Source} */
function guarded(source) {
  async function* pieces() {
    try {
      yield* source.pieces;
    } catch (cause) {
      if (cause instanceof WeftError) throw cause;
      throw new WeftError('IO', `${source.name} could not be read to its end: ${/** @type {Error} */ (cause)?.message}`, { cause });
    }
  }
  return { ...source, pieces: pieces() };
}

/** @param {URL} url @returns {Promise<Source>} */
async function fileSource(url) {
  const name = decodeURI(url.pathname);
  const total = await sizeOfFile(url).catch((cause) => {
    throw new WeftError('IO', `${name} could not be read: ${cause.message}`, { cause });
  });
  return { name, total, pieces: readPieces(url, PIECE), location: url };
}

/** @param {Response} response @param {AbortSignal} [signal] @param {URL} [location] @returns {Source} */
function responseSource(response, signal, location) {
  const name = location?.href || response.url || 'the response';
  if (!response.ok) throw new WeftError('IO', `${name}: the server answered ${response.status} ${response.statusText}`);
  const length = response.headers.get('content-encoding') ? null : response.headers.get('content-length');
  const base = location ?? (response.url ? new URL(response.url) : undefined);
  const pieces = response.body ? piecesOfStream(response.body, signal) : piecesOfBytes(new Uint8Array());
  return { name, total: length === null ? undefined : Number(length), pieces, location: base };
}

/** @param {URL} url @param {Ways} ways @returns {Promise<Source>} */
async function urlSource(url, { signal, keeper }) {
  if (url.protocol === 'file:' && hasFiles()) return fileSource(url);
  const kept = await keeper.find(url);
  if (kept) return responseSource(kept, signal, url);
  const response = await fetch(url, { signal }).catch((cause) => {
    throwIfAborted(signal);
    const why = [cause.message, cause.cause?.message].filter(Boolean).join(', '); // Node.js tells the reason below
    // A page's browser does not tell whether it was this.
    const allowed = globalThis.document && url.origin !== globalThis.origin;
    const hint = allowed ? "; another origin must allow this page (CORS), and so must the page's Content-Security-Policy (connect-src)" : '';
    throw new WeftError('IO', `${url.href} could not be fetched: ${why}${hint}`, { cause });
  });
  const source = responseSource(response, signal, url);
  return { ...source, pieces: keeper.keep(url, source.total, source.pieces) };
}

/** @param {string} name @param {Uint8Array} bytes @returns {Source} */
const bytesSource = (name, bytes) => ({ name, total: bytes.length, pieces: piecesOfBytes(bytes), location: undefined });

/** Also of another realm, such as a frame or a test's sandbox. @param {unknown} buffer @returns {buffer is ArrayBufferLike} */
export const isBuffer = (buffer) => /^\[object (Shared)?ArrayBuffer]$/.test(Object.prototype.toString.call(buffer));

/** @param {unknown} input @param {Ways} ways @param {string} [name] of bytes, for messages @returns {Promise<Source>} */
export const openSource = async (input, ways, name = 'the model') => guarded(await findSource(input, ways, name));

/** @param {Blob} blob @returns {ReadableStream<Uint8Array>} */
export function streamOf(blob) {
  if (typeof blob.stream === 'function') return blob.stream();
  throw new WeftError('UNSUPPORTED', "the host's Blob has no stream(), as that of jsdom: give the model's bytes");
}

/** @param {unknown} input @param {Ways} ways @param {string} name @returns {Promise<Source>} */
async function findSource(input, ways, name) {
  const { signal } = ways;
  if (isLocation(input)) return urlSource(resolveLocation(input), ways);
  if (isBuffer(input) || ArrayBuffer.isView(input)) {
    try {
      return bytesSource(name, isBuffer(input) ? new Uint8Array(input) : bytesOf(input));
    } catch (cause) {
      throw argumentError(`${name} cannot be read: ${/** @type {Error} */ (cause).message}`); // its buffer was transferred
    }
  }
  if (typeof Response !== 'undefined' && input instanceof Response) return { ...responseSource(input, signal), isOnce: true };
  if (typeof Blob !== 'undefined' && input instanceof Blob) {
    const name = /** @type {{name?: string}} */ (input).name ?? 'the blob';
    return { name, total: input.size, pieces: piecesOfStream(streamOf(input), signal), location: undefined };
  }
  if (typeof ReadableStream !== 'undefined' && input instanceof ReadableStream) {
    return { name: 'the stream', total: undefined, pieces: piecesOfStream(input, signal), isOnce: true, location: undefined };
  }
  throw argumentError(`expected a URL, path, bytes, Blob, Response or ReadableStream, found ${describe(input)}`);
}
