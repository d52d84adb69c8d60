/*
 * `env`: settings for the whole package, as in onnxruntime-common, and what the package found out about its host. Settings
 * that have no meaning here are kept and otherwise left alone. It must not know how a module is loaded.
 */
import { argumentError } from './error.js';

export const version = '0.1.0';

const logLevels = ['verbose', 'info', 'warning', 'error', 'fatal'];
let logLevel = 'warning';

/** Whether messages of a level are to be shown. @param {string} level */
export const isHeard = (level) => logLevels.indexOf(level) >= logLevels.indexOf(logLevel);

/**
 * @typedef {object} WasmSettings
 * @property {number} [numThreads] threads of a session: 1 if left out; 0 lets the package choose
 * @property {boolean | 'fixed' | 'relaxed'} [simd] false: the module without SIMD; true or 'fixed': no relaxed SIMD
 * @property {string | URL | Record<string, string | URL>} [wasmPaths] the folder of the .wasm files, or the URL of each
 * @property {ArrayBufferLike | Uint8Array | WebAssembly.Module} [wasmBinary] the module itself
 * @property {boolean} [memory64] true: always 64-bit addresses; false: never; left out: where a model needs them
 * @property {boolean} [proxy] sessions run in workers of their own
 */

/**
 * @typedef {object} Choice what module a session runs on
 * @property {string} module the file's name, or '' before the first session
 * @property {number} threads
 * @property {string[]} why sentences for people
 */

export const env = {
  debug: false,
  trace: false,
  versions: { common: version, web: version, weft: version },
  /** @type {WasmSettings} */
  wasm: {},
  /** @type {Record<string, unknown>} */
  webgl: {},
  /** @type {Record<string, unknown>} */
  webgpu: {},
  /** The last session's module, and why that one. @type {Choice} */
  weft: { module: '', threads: 1, why: [] },

  get logLevel() {
    return logLevel;
  },
  set logLevel(level) {
    if (level === undefined) return; // as onnxruntime does
    if (!logLevels.includes(level)) throw argumentError(`log level '${level}': expected one of ${logLevels.join(', ')}`);
    logLevel = level;
  },
};
