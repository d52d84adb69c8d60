/*
 * From a model's source to a session of the core: the module compiles while the model begins to arrive, the model is pushed
 * in piece by piece, and the parts of it that lie in other files are fetched and written straight to their places. So there
 * is one copy of the weights, inside the module. This file must not know how a session is run.
 */
import { about, throwIfAborted, WeftError } from './error.js';
import { hasFiles, isBeside, isLocation, isUrl, resolveLocation } from './host.js';
import { addOperators } from './operators.js';
import { openSource } from './source.js';
import { decoder } from './text.js';

/** @typedef {import('./wasm.js').Wasm} Wasm */
/** @typedef {import('./source.js').Source} Source */
/** @typedef {import('./wasm.js').External} External */
/** @typedef {import('./options.js').LoadOptions} LoadOptions */
/** @typedef {LoadOptions & {keeper: import('./cache.js').Keeper, chosen: import('./module.js').Chosen}} Loading */

/** Tells the caller how far a file is. @param {LoadOptions} options @param {string} phase @param {Source} source */
function progressOf(options, phase, source) {
  let loaded = 0;
  return (/** @type {number} */ size) => {
    loaded += size;
    throwIfAborted(options.signal);
    options.onProgress?.({ phase, file: source.name, loaded, total: source.total });
  };
}

/** Thrown when a model turns out to need a module of 64-bit addresses, which can be had. */
export class Wider {
  /** @param {string} why @param {boolean} isRead whether the model was read, and so must be read once more */
  constructor(why, isRead) {
    this.why = why;
    this.isRead = isRead;
  }
}

const once = 'a stream cannot be read again for one of 64-bit addresses: ask for it by the option memory64';

/** Why no such module can take the place of one that has read a model. @param {Source} model @param {Loading} options */
const refusedAfter = (model, { chosen }) => chosen.wideRefused || (model.isOnce ? once : '');

/** Bytes that a module can address. */
const NARROW = 2 ** 32;
const WIDE = 2 ** 34;
/** Of those of 32-bit addresses, what weights may take where there is a choice: runs need memory too. */
const EASY = 0.75 * NARROW;

/**
 * What is to be thrown where a module has no room for a model.
 * @param {string} what @param {number} bytes @param {{wide: boolean, wideRefused: string}} chosen @param {boolean} isRead
 */
function lackOfRoom(what, bytes, { wide, wideRefused }, isRead) {
  if (!wide && !wideRefused && bytes > EASY) return new Wider(what, isRead);
  const most = wide ? WIDE : NARROW;
  return bytes > most ? new WeftError('OUT_OF_MEMORY', `${what}: a WebAssembly module can hold ${most}`) : undefined;
}

/**
 * Reads a source through a block of the module's memory.
 * @param {Wasm} wasm @param {number} loader @param {Source} source @param {Loading} options
 */
async function pushModel(wasm, loader, source, options) {
  const lack = lackOfRoom(`${source.name} has ${source.total} bytes`, source.total ?? 0, options.chosen, false);
  if (lack instanceof Wider) throw lack;
  const progress = progressOf(options, 'model', source);
  const block = wasm.allocate(1 << 20);
  if (source.total !== undefined) wasm.call('weft_loader_expect', loader, BigInt(source.total));
  for await (const piece of source.pieces) {
    if (lack) throw lack; // told at once; leaving the loop ends a download
    wasm.bytes.set(piece, block);
    named(source, () => wasm.run('weft_loader_push', loader, block, piece.length));
    progress(piece.length);
  }
  wasm.free(block);
  named(source, () => wasm.run('weft_loader_finish', loader));
}

/** What is wrong with a file is told with its place, if it has one. @param {Source} source @param {() => void} action */
const named = (source, action) => (source.location ? about(source.name, action) : action());

/* ---- external data ------------------------------------------------------------------------------------------------------ */
/** @param {string} path */
const plainPath = (path) => path.replace(/^(\.?\/)+/, '');

/** The file or URL beside the model; a file must not lead out of the model's folder by a link. @param {string} path @param {URL} model */
async function placeBeside(path, model) {
  const place = new URL(path.split('/').map(encodeURIComponent).join('/'), model);
  const inside = place.protocol !== 'file:' || !hasFiles() || (await isBeside(place, model).catch(() => true)); // reading tells what is missing
  if (inside) return place;
  throw new WeftError('IO', `the model keeps weights in '${path}', which is a link out of the model's folder`);
}

/** Where the bytes of `path` are: as the caller says, else beside the model. @param {string} path @param {Source} model @param {LoadOptions} options */
async function placeOf(path, model, options) {
  const wanted = plainPath(path);
  for (const entry of options.externalData) {
    const text = isLocation(entry);
    const name = text ? decodeURIComponent(resolveLocation(entry).pathname) : plainPath(String(entry.path));
    if (text ? name.endsWith(`/${wanted}`) : name === wanted) return text ? besideModel(String(entry), model) : entry.data;
  }
  if (model.location) return placeBeside(wanted, model.location);
  const what = `the model keeps weights in '${path}', which was not given`;
  throw new WeftError('IO', `${what}: pass externalData: [{path: '${path}', data}] or load the model by URL or path`);
}

/** A name alone is looked for where the model is. @param {string} name @param {Source} model */
const besideModel = (name, model) => (isUrl(name) || name.includes('/') || !model.location ? name : new URL(name, model.location));

/**
 * Makes room for each part. @param {Wasm} wasm @param {number} loader @param {Source} model @param {Loading} options
 * @returns {Map<string, External[]>} by path, in the order of the file
 */
function listExternal(wasm, loader, model, options) {
  const after = { wide: options.chosen.wide, wideRefused: refusedAfter(model, options) };
  const files = new Map();
  let bytes = model.total ?? 0;
  const count = wasm.get('weft_loader_external_count', loader);
  for (let i = 0; i < count; i++) {
    const part = wasm.readExternal(loader, i);
    bytes += part.size;
    const what = `${model.name} has ${bytes} bytes or more, with its weights in other files`;
    const lack = lackOfRoom(what, bytes, after, true);
    if (lack) throw lack;
    if (!files.has(part.path)) files.set(part.path, []);
    files.get(part.path).push(part);
  }
  for (const parts of files.values()) parts.sort((/** @type {External} */ a, /** @type {External} */ b) => a.offset - b.offset);
  return files;
}

/** Copies what a piece has of each part; parts may overlap. @param {Wasm} wasm @param {External[]} parts @param {number} at @param {Uint8Array} piece */
function scatter(wasm, parts, at, piece) {
  const end = at + piece.length;
  for (const part of parts) {
    if (part.offset >= end) break;
    const from = Math.max(part.offset, at);
    const to = Math.min(part.offset + part.size, end);
    if (from < to) wasm.bytes.set(piece.subarray(from - at, to - at), part.data + (from - part.offset));
  }
}

/** What begins a file that is no weights: a server's page for what is not there, what Git leaves of a large file. @param {Uint8Array} piece */
function otherThanWeights(piece) {
  const text = decoder.decode(piece.slice(0, 64));
  if (/^\s*<(!doctype |html)/i.test(text)) return 'a web page';
  return text.startsWith('version https://git-lfs') ? 'a Git LFS pointer' : undefined;
}

/** @param {Wasm} wasm @param {Source} source @param {External[]} parts @param {Loading} options */
async function fillParts(wasm, source, parts, options) {
  const progress = progressOf(options, 'external', source);
  const last = parts.reduce((end, part) => Math.max(end, part.offset + part.size), 0);
  let at = 0;
  let open = parts;
  for await (const piece of source.pieces) {
    const other = at === 0 && otherThanWeights(piece);
    if (other) throw new WeftError('IO', `${source.name} is ${other}, not weights`);
    scatter(wasm, open, at, piece);
    at += piece.length;
    progress(piece.length);
    open = open.filter((part) => part.offset + part.size > at);
    if (open.length === 0 && !options.keeper.keeps) return; // half a file cannot be kept
  }
  if (last <= at) return;
  await options.keeper.forget();
  throw new WeftError('IO', `${source.name} ends after ${at} bytes: the model needs ${last} of it`);
}

/** @param {Wasm} wasm @param {number} loader @param {Source} model @param {Loading} options */
async function loadExternal(wasm, loader, model, options) {
  for (const [path, parts] of listExternal(wasm, loader, model, options)) {
    await fillParts(wasm, await openSource(await placeOf(path, model, options), options, `the data of '${path}'`), parts, options);
  }
}

/* ---- the whole way ------------------------------------------------------------------------------------------------------ */
/** @param {Wasm} wasm @param {Source} source @param {Loading} options */
async function loadInto(wasm, source, options) {
  const block = wasm.writeOptions({ ...options.core, threads: options.chosen.choice.threads });
  const loader = wasm.make('weft_loader_create', block);
  addOperators(wasm, loader, options.operators);
  await pushModel(wasm, loader, source, options);
  await loadExternal(wasm, loader, source, options);
  throwIfAborted(options.signal);
  options.onProgress?.({ phase: 'prepare', file: source.name, loaded: 0, total: 1 });
  const session = wasm.make('weft_session_create', loader);
  options.onProgress?.({ phase: 'prepare', file: source.name, loaded: 1, total: 1 });
  return session;
}

/**
 * What is thrown instead of an error: the way to a module that has more room, or why there is none.
 * @param {any} error @param {Source} model @param {Loading} options
 */
function withMoreRoom(error, model, options) {
  if (error instanceof RangeError) return new WeftError('OUT_OF_MEMORY', `the model does not fit: ${error.message}`);
  const { maxMemory } = options.core;
  const isLimited = maxMemory > 0 && maxMemory <= NARROW;
  if (error.code !== 'OUT_OF_MEMORY' || options.chosen.wide || isLimited) return error;
  const refused = refusedAfter(model, options);
  return refused ? new WeftError(error.code, `${error.message}, and ${refused}`, error) : new Wider(error.message, true);
}

/**
 * @param {Wasm} wasm that runs nothing yet; it is stopped when loading fails
 * @param {Promise<Source>} source
 * @param {Loading} options
 * @returns {Promise<number>} the core's session
 */
export async function load(wasm, source, options) {
  try {
    return await loadInto(wasm, await source, options);
  } catch (error) {
    // What the failed load holds goes with the module.
    wasm.stop();
    if (error instanceof WeftError && error.code === 'INVALID_MODEL') await options.keeper.forget();
    throwIfAborted(options.signal);
    throw withMoreRoom(error, await source, options);
  }
}
