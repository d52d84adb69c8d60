/*
 * Which .wasm file a session runs on, and compiling it while it downloads. The choice is made by asking the host to
 * validate a few bytes, and of 64-bit addresses when a model turns out to need them; what was chosen and why is told in
 * sentences. Compiled modules are kept, so a second session starts at once. This file must not know what is inside a module.
 */
import { env, version } from './env.js';
import { argumentError, describe, WeftError } from './error.js';
import { isLocation, policyRule, processors, readFile, resolveLocation, threadsRefused } from './host.js';
import { isBuffer } from './source.js';

/**
 * The literal form is what bundlers know: each file is found, renamed and shipped by them. Tools that gather a server's files
 * (Vercel's, that of Next.js and Nuxt) look into methods, but not into arrow functions.
 */
const files = /** @type {Record<string, () => URL>} */ ({
  'weft.scalar.wasm'() { return new URL('weft.scalar.wasm', import.meta.url); },
  'weft.simd.wasm'() { return new URL('weft.simd.wasm', import.meta.url); },
  'weft.relaxed.wasm'() { return new URL('weft.relaxed.wasm', import.meta.url); },
  'weft.simd.threads.wasm'() { return new URL('weft.simd.threads.wasm', import.meta.url); },
  'weft.relaxed.threads.wasm'() { return new URL('weft.relaxed.threads.wasm', import.meta.url); },
  'weft.simd.threads.64.wasm'() { return new URL('weft.simd.threads.64.wasm', import.meta.url); },
  'weft.relaxed.threads.64.wasm'() { return new URL('weft.relaxed.threads.64.wasm', import.meta.url); },
});

/** @param {string} name */
function besidePackage(name) {
  try {
    return files[name]();
  } catch (cause) { // the package was bundled for a host that does not say where its files are
    throw new WeftError('IO', `${name} is not found beside the package: ${sayWhere}`, { cause });
  }
}

const sayWhere = "copy the package's weft.*.wasm beside the bundle, or let env.wasm.wasmPaths or the option wasm say where they are";

/** A module of one function `f`, whose body is `code` and makes one value of a type. @param {number} type @param {number[]} code */
const moduleOf = (type, ...code) =>
  new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version 1
    ...[1, 5, 1, 0x60, 0, 1, type], // types: () -> type
    ...[3, 2, 1, 0], // functions: one, of type 0
    ...[7, 5, 1, 1, 0x66, 0, 0], // exports: function 0 as 'f'
    ...[10, code.length + 4, 1, code.length + 2, 0, ...code, 0x0b], // code: one body, no locals, end
  ]);

const i32 = 0x7f;
const f32 = 0x7d;
const v128 = 0x7b;
const splat = (/** @type {number} */ x) => [0x41, x, 0xfd, 0x0f]; // i32.const x, i8x16.splat
const swizzle = [...splat(1), ...splat(16), 0xfd, 0x80, 0x02]; // i8x16.relaxed_swizzle, of an index out of range
const hasSimd = () => WebAssembly.validate(moduleOf(v128, ...splat(0)));
const hasRelaxed = () => WebAssembly.validate(moduleOf(v128, ...swizzle));

/** A module of a table and a memory, both of 64-bit addresses. */
const wideModule = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 4, 4, 1, 0x70, 4, 0, 5, 3, 1, 4, 0]);

/** Why there is no module of 64-bit addresses. @param {boolean | undefined} wanted @returns {string} '' if there is */
function wideRefused(wanted = env.wasm.memory64) {
  if (wanted === false) return 'memory64 is false';
  if (env.wasm.simd === false) return 'modules of 64-bit addresses have SIMD, and env.wasm.simd is false';
  if (!WebAssembly.validate(wideModule)) return 'the host has no WebAssembly memory of 64-bit addresses';
  return '';
}

/**
 * V8 before Chromium 130 loads all that a turn of a loop takes before the first instruction on it, so that the relaxed
 * products' sums do not stay in the 16 registers of x86: they take twice as long as those of the module without relaxed
 * instructions. Such engines do not know Float16Array yet, and x86 alone takes a swizzle's index modulo 16.
 */
function spills() {
  if ('Float16Array' in globalThis) return false;
  return valueOf(moduleOf(i32, ...swizzle, 0xfd, 0x16, 0)) === 1; // i8x16.extract_lane_u 0
}

/**
 * What the function of a module gives; undefined where the page's policy forbids it, which loading tells.
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
function valueOf(bytes) {
  try {
    return /** @type {() => number} */ (new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f)();
  } catch {
    return undefined;
  }
}

/** @param {number[]} bits */
const number = (...bits) => [0x43, ...bits, 0xfd, 0x13]; // f32.const, f32x4.splat

/**
 * Whether a relaxed multiply-add rounds once: x * x + y of an x whose square has one bit too many. Elsewhere (x86 without AVX2)
 * it gains nothing, and V8 makes x y + x y of x y + y.
 */
function isFused() {
  const x = number(0, 8, 0x80, 0x3f); // 1 + 2^-12
  const y = number(0, 0x10, 0x80, 0xbf); // -(1 + 2^-11)
  return valueOf(moduleOf(f32, ...x, ...x, ...y, 0xfd, 0x85, 0x02, 0xfd, 0x1f, 0)) !== 0; // f32x4.relaxed_madd, extract_lane 0
}

/** @param {boolean} deterministic @param {string[]} why @returns {'scalar' | 'simd' | 'relaxed'} */
function chooseSimd(deterministic, why) {
  const wanted = env.wasm.simd;
  if (wanted === false || !hasSimd()) {
    why.push(wanted === false ? 'No SIMD: env.wasm.simd is false.' : 'No SIMD: the host does not have it.');
    return 'scalar';
  }
  if (deterministic) {
    why.push('SIMD without relaxed instructions: the session is to be deterministic.');
  } else if (wanted === true || wanted === 'fixed') {
    why.push(`SIMD without relaxed instructions: env.wasm.simd is ${wanted}.`);
  } else if (!hasRelaxed()) {
    why.push('SIMD without relaxed instructions: the host does not have them.');
  } else if (!isFused()) {
    why.push('SIMD without relaxed instructions: the host has them, but its processor has no fused multiply-adds.');
  } else if (wanted !== 'relaxed' && spills()) {
    why.push('SIMD without relaxed instructions: the host has them, but its compiler is too old to make them faster.');
  } else {
    why.push('Relaxed SIMD: the host has it.');
    return 'relaxed';
  }
  return 'simd';
}

/** @param {number | undefined} asked @param {string} simd @param {string[]} why */
function chooseThreads(asked, simd, why) {
  const wanted = asked ?? env.wasm.numThreads ?? 1;
  if (!Number.isInteger(wanted) || wanted < 0) throw argumentError(`threads: expected a whole number, found ${describe(wanted)}`);
  const threads = Math.min(wanted === 0 ? Math.min(4, Math.ceil(processors() / 2)) : wanted, 64);
  if (threads === 1) {
    why.push(wanted === 1 && asked === undefined ? 'One thread: env.wasm.numThreads does not ask for more.' : 'One thread.');
    return 1;
  }
  const refused = simd === 'scalar' ? 'the module without SIMD has none' : threadsRefused();
  if (refused) {
    why.push(`One thread instead of ${threads}: ${refused}.`);
    return 1;
  }
  why.push(`${threads} threads.`);
  return threads;
}

/**
 * Whether `wasmPaths` was set for a package that this one replaces: it names a file of another engine, or a glue, which ours has not.
 * @param {any} paths @param {string} url
 */
const isForeign = (paths, url) => paths.mjs !== undefined || /ort-wasm|onnxruntime|@huggingface\/transformers/.test(url);

/** Where the file lies by `env.wasm.wasmPaths`; undefined: beside this package. @param {string} name @param {string[]} why */
function placeOf(name, why) {
  const paths = env.wasm.wasmPaths;
  if (paths === undefined || paths === null) return undefined;
  const whole = isLocation(paths);
  const place = whole ? `${paths}${name}` : (paths[name] ?? paths.wasm);
  if (place === undefined) return undefined;
  if (!isForeign(paths, `${place}`)) return resolveLocation(place);
  why.push('env.wasm.wasmPaths is ignored: it leads to another engine.');
  return undefined;
}

/** @param {URL} url */
async function compileFrom(url) {
  if (url.protocol === 'file:') return WebAssembly.compile(await readFile(url));
  const response = await fetch(url, { credentials: 'same-origin' });
  if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`);
  const type = response.headers.get('content-type');
  if (type?.startsWith('text/html')) throw new Error('the server answered with a web page');
  return type?.startsWith('application/wasm') && WebAssembly.compileStreaming ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

/** @type {Map<string, Promise<WebAssembly.Module>>} */
const compiled = new Map();

/** @param {URL} url @returns {Promise<WebAssembly.Module>} */
function compileOnce(url) {
  const known = compiled.get(url.href);
  if (known) return known;
  const module = compileFrom(url).catch((cause) => {
    compiled.delete(url.href);
    const say = policyRule(cause.message) ?? sayWhere;
    throw new WeftError('IO', `${url.href}: the WebAssembly module could not be loaded: ${cause.message}; ${say}`, { cause });
  });
  compiled.set(url.href, module);
  return module;
}

/** Also of another realm, such as a frame or a test's sandbox. @param {unknown} wasm */
const isModule = (wasm) => Object.prototype.toString.call(wasm) === '[object WebAssembly.Module]';

/** @param {unknown} wasm @returns {Promise<WebAssembly.Module>} */
async function compileGiven(wasm) {
  if (isModule(wasm)) return /** @type {WebAssembly.Module} */ (wasm);
  if (isLocation(wasm)) return compileOnce(resolveLocation(wasm));
  if (isBuffer(wasm) || ArrayBuffer.isView(wasm)) {
    return WebAssembly.compile(/** @type {BufferSource} */ (wasm)).catch((cause) => {
      throw argumentError(`the given WebAssembly module is not valid: ${cause.message}`);
    });
  }
  throw argumentError('wasm: expected a WebAssembly.Module, its bytes or its URL');
}

/** A module with threads imports its memory. @param {WebAssembly.Module} module */
const hasThreads = (module) => WebAssembly.Module.imports(module).some(({ kind }) => kind === 'memory');

/** @param {WebAssembly.Module} module @param {string} wanted */
const doesExport = (module, wanted) => WebAssembly.Module.exports(module).some(({ name }) => name === wanted);

/** @param {WebAssembly.Module} module */
function checkIsWeft(module) {
  if (doesExport(module, 'weft_host_measure')) return; // which the reactor has not
  throw argumentError(`the given WebAssembly module is not one of Weft ${version} for JavaScript`);
}

/**
 * @typedef {object} Chosen
 * @property {WebAssembly.Module} module
 * @property {import('./env.js').Choice} choice
 * @property {boolean} threaded
 * @property {boolean} wide whether its addresses have 64 bits
 * @property {string} wideRefused why none whose addresses have 64 bits can take its place; '' if one can
 *
 * @typedef {{wasm?: unknown, threads?: number, deterministic?: boolean, memory64?: boolean}} Wanted
 */

/** @param {Wanted} options @param {string} [needed] why addresses must have 64 bits @returns {Promise<Chosen>} */
export async function chooseModule(options, needed) {
  if (typeof WebAssembly === 'undefined') throw new WeftError('UNSUPPORTED', 'the host has no WebAssembly, or it is switched off');
  const given = options.wasm ?? env.wasm.wasmBinary;
  if (given !== undefined) return chooseGiven(given, options);
  const wanted = (options.memory64 ?? env.wasm.memory64) === true ? 'memory64 is true' : needed;
  return wanted ? chooseWide(wanted, options) : chooseFile(options);
}

/** @param {unknown} given @param {Wanted} options @returns {Promise<Chosen>} */
async function chooseGiven(given, options) {
  const module = await compileGiven(given);
  checkIsWeft(module);
  const threaded = hasThreads(module);
  const wide = doesExport(module, 'weft_host_wide');
  const refused = threaded && !wide && threadsRefused();
  if (refused) throw new WeftError('UNSUPPORTED', `the given WebAssembly module has threads, but ${refused}`);
  const why = ['The module was given.'];
  const threads = chooseThreads(options.threads, 'given', why);
  if (!threaded && threads > 1) why.push('The given module has no threads.');
  const choice = { module: 'given', threads: threaded ? threads : 1, why };
  return { module, threaded, wide, wideRefused: 'the module was given', choice };
}

/** @param {string} name @param {string[]} why */
async function compileFile(name, why) {
  const module = await compileOnce(placeOf(name, why) ?? besidePackage(name));
  checkIsWeft(module);
  return module;
}

/** @param {Wanted} options @returns {Promise<Chosen>} */
async function chooseFile(options) {
  /** @type {string[]} */
  const why = [];
  const simd = chooseSimd(options.deterministic ?? false, why);
  const threads = chooseThreads(options.threads, simd, why);
  const name = `weft.${simd}${threads > 1 ? '.threads' : ''}.wasm`;
  const module = await compileFile(name, why);
  const choice = { module: name, threads, why };
  return { module, threaded: threads > 1, wide: false, wideRefused: wideRefused(options.memory64), choice };
}

/**
 * Such modules have threads, and run without them too: their memory may be shared with nobody.
 * @param {string} needed @param {Wanted} options @returns {Promise<Chosen>}
 */
async function chooseWide(needed, options) {
  const refused = wideRefused(options.memory64);
  if (refused) throw new WeftError('UNSUPPORTED', `${needed}, but ${refused}`);
  const why = [`64-bit addresses: ${needed}.`];
  const simd = chooseSimd(options.deterministic ?? false, why);
  const threads = chooseThreads(options.threads, simd, why);
  const name = `weft.${simd}.threads.64.wasm`;
  const module = await compileFile(name, why);
  return { module, threaded: true, wide: true, wideRefused: '', choice: { module: name, threads, why } };
}
