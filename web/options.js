/*
 * The options of InferenceSession.create, checked and with their defaults. Those of onnxruntime that have no meaning here
 * (execution providers, log levels, arenas) are accepted and left alone.
 */
import { env } from './env.js';
import { argumentError, describe } from './error.js';
import { isLocation } from './host.js';

/**
 * @typedef {{path: string, data: any}} ExternalFile
 * @typedef {{phase: string, file: string, loaded: number, total: number | undefined}} Progress
 * @typedef {object} LoadOptions
 * @property {unknown} wasm
 * @property {boolean} worker
 * @property {boolean | undefined} memory64
 * @property {number | undefined} threads
 * @property {boolean} deterministic
 * @property {boolean} profiling
 * @property {string | Record<string, string>} outputLocation
 * @property {Record<string, number>} sizes of dimensions, by the names the model gives them
 * @property {readonly (ExternalFile | string | URL)[]} externalData
 * @property {[string, import('./operators.js').Operator][]} operators
 * @property {string | undefined} cache
 * @property {AbortSignal | undefined} signal
 * @property {((progress: Progress) => void) | undefined} onProgress
 * @property {Omit<import('./wasm.js').CoreOptions, 'threads'>} core
 */

/** What onnxruntime knows beside 'wasm': here all of it is 'cpu'. */
const otherLocations = ['cpu', 'cpu-pinned', 'texture', 'gpu-buffer', 'ml-tensor', 'none'];

const levels = ['disabled', 'basic', 'extended', 'layout', 'all'];
const limitNames = ['maxMemory', 'maxElements', 'maxNodes', 'maxDepth'];
const MAX_UINT32 = 2 ** 32 - 1;

/** A limit in [1, most]; 0, left out or beyond `most` means the default. @param {any} limits @param {string} name @param {number} most */
function limit(limits, name, most) {
  const value = limits[name] ?? 0;
  if (typeof value === 'number' && value >= 0 && (Number.isInteger(value) || value === Infinity)) return value > most ? 0 : value;
  throw argumentError(`limits.${name}: expected a whole number, found ${describe(value)}`);
}

/** @param {any} signal @returns {AbortSignal | undefined} */
export function readSignal(signal) {
  if (signal === undefined || signal === null) return undefined;
  if (typeof signal.addEventListener === 'function') return signal;
  throw argumentError(`signal: expected an AbortSignal, found ${describe(signal)}`);
}

/** Whether the graph is optimised: anyone who misspells that it is not to be should not see it optimised. @param {unknown} level */
function readLevel(level = 'all') {
  if (!levels.includes(/** @type {string} */ (level))) {
    throw argumentError(`graphOptimizationLevel: expected one of ${levels.join(', ')}, found ${describe(level)}`);
  }
  return level !== 'disabled';
}

/** Where results are put: all of them, or by their names. @param {any} preferred @returns {string | Record<string, string>} */
function readLocations(preferred = 'cpu') {
  const isObject = preferred !== null && typeof preferred === 'object';
  for (const location of isObject ? Object.values(preferred) : [preferred]) {
    if (location === undefined || location === 'wasm' || otherLocations.includes(location)) continue;
    const found = typeof location === 'string' ? `'${location}'` : describe(location);
    throw argumentError(`preferredOutputLocation: expected 'cpu' or 'wasm', found ${found}`);
  }
  return preferred;
}

/** Where random operators without a seed of their own begin; the core takes 0 for always the same. @param {unknown} seed @param {boolean} deterministic */
function readSeed(seed, deterministic) {
  if (seed === undefined) return deterministic ? 0 : 1 + Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  if (typeof seed === 'number' && Number.isSafeInteger(seed) && seed > 0) return seed;
  throw argumentError(`seed: expected a whole number above 0, found ${describe(seed)}`);
}

/** @param {any} operators functions by 'domain:Name' @returns {[string, any][]} */
function listOperators(operators) {
  if (typeof operators !== 'object') throw argumentError(`operators: expected an object of functions, found ${describe(operators)}`);
  const entries = Object.entries(operators ?? {});
  for (const [key, operator] of entries) {
    const { run, infer } = typeof operator === 'function' ? { run: operator, infer: undefined } : (operator ?? {});
    if (typeof run !== 'function') throw argumentError(`operators: expected a function for '${key}', found ${describe(operator)}`);
    if (infer !== undefined && typeof infer !== 'function') throw argumentError(`operators: expected a function as infer of '${key}', found ${describe(infer)}`);
  }
  return entries;
}

/** @param {any} name of the cache in which files are kept @returns {string | undefined} */
function readCache(name) {
  if (name === undefined || name === null || (typeof name === 'string' && name !== '')) return name ?? undefined;
  throw argumentError(`cache: expected a name, found ${describe(name)}`);
}

/** @param {any} sizes of dimensions by their names @returns {Record<string, number>} */
function readSizes(sizes) {
  if (typeof sizes !== 'object') throw argumentError(`freeDimensionOverrides: expected an object of sizes, found ${describe(sizes)}`);
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 0) throw argumentError(`freeDimensionOverrides: expected a size for '${name}', found ${describe(size)}`);
  }
  return Object.assign(Object.create(null), sizes); // no name of a dimension means more than it says
}

/** @param {any} options @returns {LoadOptions} */
export function readOptions(options) {
  const { onProgress, deterministic = false } = options;
  const externalData = options.externalData ?? [];
  const limits = options.limits ?? {};
  const unknown = typeof limits === 'object' ? Object.keys(limits).find((name) => !limitNames.includes(name)) : describe(limits);
  if (unknown !== undefined) throw argumentError(`limits: expected an object of ${limitNames.join(', ')}, found ${unknown}`);
  if (typeof (onProgress ?? describe) !== 'function') throw argumentError(`onProgress: expected a function, found ${describe(onProgress)}`);
  if (!Array.isArray(externalData)) throw argumentError(`externalData: expected an array, found ${describe(externalData)}`);
  for (const entry of externalData) {
    const known = isLocation(entry) || (typeof entry?.path === 'string' && entry.data);
    if (!known) throw argumentError(`externalData: expected names or objects of path and data, found ${describe(entry)}`);
  }
  return {
    wasm: options.wasm,
    worker: Boolean(options.worker ?? env.wasm.proxy),
    operators: listOperators(options.operators ?? null),
    memory64: options.memory64 ?? undefined,
    threads: options.threads ?? (options.intraOpNumThreads || undefined),
    deterministic: Boolean(deterministic),
    profiling: Boolean(options.enableProfiling),
    outputLocation: readLocations(options.preferredOutputLocation),
    sizes: readSizes(options.freeDimensionOverrides ?? {}),
    externalData,
    cache: readCache(options.cache),
    signal: readSignal(options.signal),
    onProgress,
    core: {
      maxMemory: limit(limits, 'maxMemory', Number.MAX_SAFE_INTEGER),
      maxElements: limit(limits, 'maxElements', Number.MAX_SAFE_INTEGER),
      maxNodes: limit(limits, 'maxNodes', MAX_UINT32),
      maxDepth: limit(limits, 'maxDepth', MAX_UINT32),
      optimize: readLevel(options.graphOptimizationLevel),
      deterministic: Boolean(deterministic),
      seed: readSeed(options.seed, Boolean(deterministic)),
    },
  };
}
