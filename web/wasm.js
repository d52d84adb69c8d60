/*
 * One running wasm module: its memory, calls into it, and what goes wrong there. Every session has a module of its own, so
 * that letting go of it gives all memory back and no session can harm another. This is the only file that knows the names
 * of Emscripten's glue.
 */
import createModule from './weft.glue.mjs';
import createThreads from './weft.threads.mjs';
import { version } from './env.js';
import { argumentError, codes, WeftError } from './error.js';
import { policyRule, workerError, workerFromElsewhere } from './host.js';
import { narrow, wide } from './layout.js';
import { decoder, encoder } from './text.js';

/** The names of weft_kind, in its order. */
const kinds = /** @type {const} */ (['none', 'tensor', 'sequence', 'map']);

/**
 * @typedef {{name: string, kind: 'none' | 'tensor' | 'sequence' | 'map', type: number, keyType: number, optional: boolean,
 *   unread: boolean, shape: (number | string)[] | null}} Info
 * @typedef {{maxMemory: number, maxElements: number, maxNodes: number, maxDepth: number, threads: number,
 *   optimize: boolean, deterministic: boolean, seed: number}} CoreOptions
 * @typedef {{path: string, offset: number, size: number, data: number}} External
 * @typedef {{name: string, type: number, list: boolean, count: number, data: number}} Attribute
 * @typedef {{at: number, count: number, bytes: number, apart: number}} Pieces so many, of so many bytes, one so far from the next
 * @typedef {(number: number, inputCount: number, inputs: number, outputCount: number, outputs: number, call: number,
 *   infers: number) => number} RunOperator
 */

/** @param {unknown} cause */
function startError(cause) {
  if (cause instanceof WeftError) return cause;
  const message = `${cause}`.replace(/\s+/g, ' ');
  const rule = policyRule(message);
  if (rule) return new WeftError('IO', `the WebAssembly module could not be loaded: ${message}; ${rule}`, { cause });
  const code = cause instanceof RangeError ? 'OUT_OF_MEMORY' : 'INTERNAL';
  return new WeftError(code, `the WebAssembly module could not be started: ${message}`, { cause });
}

/** Shared memory reserves its maximum of addresses at once: hosts that refuse it may grant less. @param {boolean} isWide */
function makeSharedMemory(isWide) {
  for (let maximum = isWide ? 262144 : 65536; ; maximum /= 2) {
    try {
      const limits = isWide ? { initial: 64n, maximum: BigInt(maximum), address: 'i64' } : { initial: 64, maximum };
      return new WebAssembly.Memory(/** @type {any} */ ({ ...limits, shared: true }));
    } catch (error) {
      if (maximum < 8192) throw error;
    }
  }
}

/**
 * Starts the module. The glue never settles when its `instantiateWasm` or one of its threads fails, hence the promise around it.
 * @param {(options: object) => Promise<any>} create @param {WebAssembly.Module} module
 * @param {{threads: number, wide: boolean, wasmMemory?: WebAssembly.Memory, runOperator: RunOperator}} options threads beside the caller's
 */
const startGlue = (create, module, options) =>
  new Promise((resolve, reject) => {
    const instantiateWasm = (/** @type {WebAssembly.Imports} */ imports, /** @type {Function} */ done) => {
      WebAssembly.instantiate(module, imports).then((instance) => done(instance, module), reject);
      return {};
    };
    let isStarted = false;
    const threadFailed = (/** @type {object} */ cause) => {
      if (isStarted) throw cause; // a defect, which the host tells of
      glue.PThread?.terminateAllThreads();
      reject(workerError('weft.threads.mjs', cause));
    };
    /** @type {any} */
    const glue = { instantiateWasm, workerFromElsewhere, threadFailed, ...options };
    create(glue).then((started) => ((isStarted = true), resolve(started)), reject);
  });

/** Unlike slice, this does not fill the new array with zeros first. @param {Uint8Array} bytes */
const copyOf = (bytes) => new Uint8Array(bytes);

/**
 * A copy of pieces, one after another.
 * @param {Uint8Array} memory @param {Pieces} pieces
 */
export function copyPieces(memory, { at, count, bytes, apart }) {
  if (count === 1) return copyOf(memory.subarray(at, at + bytes));
  const all = new Uint8Array(count * bytes);
  for (let i = 0; i < count; i++) all.set(memory.subarray(at + i * apart, at + i * apart + bytes), i * bytes);
  return all;
}

export class Wasm {
  #glue;
  #addresses;
  /** What the module exports. @type {any} */
  #functions;
  /** @type {WeftError | null} */
  #broken = null;
  /** Out parameters are written here. */
  #cell;
  #error;
  /** What the module calls for a node of a caller's operator, to run it or to tell its outputs ahead. @type {RunOperator} */
  runOperator = () => 0;
  /** What such an operator threw, the cause of the error to come. @type {unknown} */
  thrown;

  /** @param {import('./module.js').Chosen} chosen @returns {Promise<Wasm>} */
  static async start({ module, threaded, wide: isWide, choice }) {
    const addresses = isWide ? wide : narrow;
    /** @type {Wasm} */
    let wasm;
    const runOperator = (/** @type {number[]} */ ...args) =>
      wasm.runOperator(.../** @type {Parameters<RunOperator>} */ (args.map(addresses.take)));
    try {
      const wasmMemory = threaded ? makeSharedMemory(isWide) : undefined;
      const options = { threads: choice.threads - 1, wide: isWide, wasmMemory, runOperator };
      return (wasm = new Wasm(await startGlue(threaded ? createThreads : createModule, module, options), addresses));
    } catch (cause) {
      throw startError(cause);
    }
  }

  /** @param {any} glue @param {import('./layout.js').Addresses} addresses */
  constructor(glue, addresses) {
    this.#glue = glue;
    this.#addresses = addresses;
    this.#functions = addresses.callable(glue);
    this.#view = new DataView(glue.wasmMemory.buffer);
    this.#bytes = new Uint8Array(glue.wasmMemory.buffer);
    this.#cell = this.allocate(4 * addresses.width);
    this.#error = this.allocate(this.layout.error.size);
    const found = this.readText(this.get('weft_version'));
    if (found === version) return;
    throw argumentError(`the WebAssembly module is of Weft ${found}, the package of ${version}: a cache, env.wasm or the option wasm holds another`);
  }

  /** Ends its threads and lets go of its memory, also when something still refers to this object. */
  stop() {
    // The runtime's own end: with the threads goes what this thread awaits of them, which would keep the memory in WebKit.
    this.#glue?.PThread?.terminateRuntime();
    this.#broken ??= new WeftError('INVALID_ARGUMENT', 'the session was released');
    this.#glue = this.#functions = null;
    this.#bytes = new Uint8Array();
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Where the members of structs lie in this module. */
  get layout() {
    return this.#addresses.layout;
  }

  get isUsable() {
    return this.#broken === null;
  }

  /** Throws when the module can no longer be called: it was stopped, or trapped. */
  checkUsable() {
    if (this.#broken) throw this.#broken;
  }

  /* ---- calls ---------------------------------------------------------------------------------------------------------- */
  /**
   * Calls an exported function. A trap, which no input may cause, leaves the module in an unknown state: it is never
   * called again.
   * @param {string} name @param {...(number | bigint)} args @returns {number}
   */
  call(name, ...args) {
    this.checkUsable();
    try {
      return this.#functions[`_${name}`](...args);
    } catch (cause) {
      const what = `the engine stopped in ${name} (${cause}); this session cannot be used any more, others can`;
      this.#broken = new WeftError('INTERNAL', what, { cause });
      throw this.#broken;
    }
  }

  /** Calls a function that returns a pointer or a size. @param {string} name @param {...(number | bigint)} args */
  get(name, ...args) {
    return this.#addresses.take(this.call(name, ...args));
  }

  /** Calls a function that returns a status and takes a weft_error last. @param {string} name @param {...(number | bigint)} args */
  run(name, ...args) {
    const status = this.call(name, ...args, this.#error);
    if (status !== 0) throw this.#takeError(status);
  }

  /** The same for one whose last parameter before the error is an out pointer. @param {string} name @param {...(number | bigint)} args */
  make(name, ...args) {
    this.run(name, ...args, this.#cell);
    return this.readPointer(this.#cell);
  }

  /** @param {number} status */
  #takeError(status) {
    const { message, node, op } = this.layout.error;
    const cause = this.thrown;
    this.thrown = undefined;
    return new WeftError(codes[status] ?? 'INTERNAL', this.readText(this.#error + message), {
      node: this.readText(this.#error + node),
      op: this.readText(this.#error + op),
      cause,
    });
  }

  /* ---- memory --------------------------------------------------------------------------------------------------------- */
  /** @type {DataView} */
  #view;
  /** @type {Uint8Array} */
  #bytes;

  /** The memory as it is now: growing replaces the buffer. */
  get bytes() {
    const { buffer } = this.#glue.wasmMemory;
    if (this.#bytes.buffer !== buffer) {
      this.#bytes = new Uint8Array(buffer);
      this.#view = new DataView(buffer);
    }
    return this.#bytes;
  }

  get view() {
    return this.bytes && this.#view;
  }

  /** @param {number} size @returns {number} */
  allocate(size) {
    const block = this.get('malloc', Math.max(size, 1));
    if (block === 0) throw new WeftError('OUT_OF_MEMORY', `out of memory: ${size} bytes were asked for`);
    return block;
  }

  /** @param {number} block */
  free(block) {
    this.call('free', block);
  }

  /** An address or a size, or the one of index `i` in a list. @param {number} at @param {number} [i] */
  readPointer(at, i = 0) {
    return this.#addresses.read(this.view, at + i * this.#addresses.width);
  }

  /** @param {number} at @param {number} i @param {number} pointer */
  writePointer(at, i, pointer) {
    this.#addresses.write(this.view, at + i * this.#addresses.width, pointer);
  }

  /** @param {number} at */
  readUint32(at) {
    return this.view.getUint32(at, true);
  }

  /** Sizes and dims stay below 2^53. @param {number} at */
  readInt64(at) {
    return Number(this.view.getBigInt64(at, true));
  }

  /** The text of index `i` in a list of weft_string. @param {number} at @param {number} i */
  readString(at, i) {
    const { data, length, size } = this.layout.string;
    return this.readText(this.readPointer(at + size * i + data), this.readPointer(at + size * i + length));
  }

  /** A copy of what is at an address, as it must leave the module. @param {number} at @param {number} size */
  copyOut(at, size) {
    return copyOf(this.bytes.subarray(at, at + size));
  }

  /** Where a tensor's elements lie. @param {number} value @returns {Pieces} */
  readPlace(value) {
    this.call('weft_host_place', value, this.#cell);
    const [at, count, bytes, apart] = [0, 1, 2, 3].map((i) => this.readPointer(this.#cell, i));
    return { at, count, bytes, apart };
  }

  /** The text of a zero-terminated string, or of `size` bytes. @param {number} at @param {number} [size] */
  readText(at, size) {
    const end = size === undefined ? this.bytes.indexOf(0, at) : at + size;
    return decoder.decode(this.copyOut(at, end - at));
  }

  /** A new zero-terminated block. @param {string} text */
  writeText(text) {
    const bytes = encoder.encode(text);
    const block = this.allocate(bytes.length + 1);
    this.bytes.set(bytes, block);
    this.bytes[block + bytes.length] = 0;
    return block;
  }

  /** A new block of pointers. @param {readonly number[]} pointers */
  writePointers(pointers) {
    const block = this.allocate(this.#addresses.width * pointers.length);
    pointers.forEach((pointer, i) => this.writePointer(block, i, pointer));
    return block;
  }

  /** A block of options; 0 means the core's default. @param {CoreOptions} options */
  writeOptions(options) {
    const at = this.layout.options;
    const block = this.allocate(at.size);
    const view = this.view;
    this.writePointer(block + at.maxMemory, 0, Math.min(options.maxMemory, this.#addresses.most));
    view.setBigUint64(block + at.maxElements, BigInt(options.maxElements), true);
    view.setUint32(block + at.maxNodes, options.maxNodes, true);
    view.setUint32(block + at.maxDepth, options.maxDepth, true);
    view.setUint32(block + at.threads, options.threads, true);
    view.setUint32(block + at.optimize, options.optimize ? 0 : 1, true);
    view.setUint32(block + at.deterministic, options.deterministic ? 1 : 0, true);
    view.setBigUint64(block + at.seed, BigInt(options.seed), true);
    return block;
  }

  /** Fills a weft_info in the module's memory. @param {number} at @param {number} type @param {readonly number[]} dims */
  writeInfo(at, type, dims) {
    const { type: typeAt, rank, dims: dimsAt } = this.layout.info;
    this.view.setInt32(at + typeAt, type, true);
    this.view.setInt32(at + rank, dims.length, true);
    dims.forEach((dim, i) => this.view.setBigInt64(at + dimsAt + 8 * i, BigInt(dim), true));
  }

  /* ---- structs that the core fills -------------------------------------------------------------------------------------- */
  /** @param {number} loader @param {number} index @returns {External} */
  readExternal(loader, index) {
    const at = this.layout.external;
    const block = this.allocate(at.size);
    try {
      this.run('weft_loader_external', loader, index, block);
      return {
        path: this.readText(this.readPointer(block + at.path)),
        offset: this.readInt64(block + at.offset),
        size: this.readInt64(block + at.bytes),
        data: this.readPointer(block + at.data),
      };
    } finally {
      this.free(block);
    }
  }

  /** @param {number} session @param {'input' | 'output'} side @param {number} index @returns {Info} */
  readInfo(session, side, index) {
    const at = this.layout.info;
    const block = this.allocate(at.size);
    try {
      this.run(`weft_session_${side}_info`, session, index, block);
      const rank = this.view.getInt32(block + at.rank, true);
      return {
        name: this.readText(this.readPointer(block + at.name)),
        kind: kinds[this.readUint32(block + at.kind)],
        type: this.readUint32(block + at.type),
        keyType: this.readUint32(block + at.keyType),
        optional: this.bytes[block + at.optional] !== 0,
        unread: this.bytes[block + at.unread] !== 0,
        shape: rank < 0 ? null : Array.from({ length: rank }, (_, i) => this.#readDim(block, i)),
      };
    } finally {
      this.free(block);
    }
  }

  /** A size, the name of a symbol, or '?' where nothing is known. @param {number} info @param {number} i */
  #readDim(info, i) {
    const size = this.readInt64(info + this.layout.info.dims + 8 * i);
    if (size >= 0) return size;
    const symbol = this.readPointer(info + this.layout.info.symbols, i);
    return symbol === 0 ? '?' : this.readText(symbol);
  }

  /** What is to be said about a model that runs all the same. @param {number} session */
  readWarnings(session) {
    const count = this.get('weft_session_warning_count', session);
    return Array.from({ length: count }, (_, i) => this.readText(this.get('weft_session_warning', session, i)));
  }

  /** The attributes of the node that a caller's operator is called for. @param {number} call @returns {Attribute[]} */
  readAttributes(call) {
    const at = this.layout.attribute;
    const block = this.allocate(at.size);
    const read = (/** @type {number} */ i) =>
      this.call('weft_custom_attribute_at', call, i, block) !== 0 && {
        name: this.readText(this.readPointer(block + at.name)),
        type: this.readUint32(block + at.type),
        list: this.bytes[block + at.list] !== 0,
        count: this.readPointer(block + at.count),
        data: this.readPointer(block + at.data),
      };
    try {
      return Array.from({ length: this.get('weft_custom_attribute_count', call) }, (_, i) => read(i)).filter((found) => found !== false);
    } finally {
      this.free(block);
    }
  }

  /** Bytes that the session's core holds now and has held at most, and that the module has of the host. @param {number} session */
  readMemory(session) {
    this.call('weft_session_memory', session, this.#cell, this.#cell + this.#addresses.width);
    const reserved = this.bytes.length;
    return { used: this.readPointer(this.#cell), peak: this.readPointer(this.#cell, 1), reserved };
  }

  /** What a session has recorded. @param {number} session @returns {import('./profile.js').Entry[]} */
  readProfile(session) {
    const at = this.layout.profile;
    const block = this.allocate(at.size);
    /** @type {Map<number, string>} */
    const texts = new Map();
    const text = (/** @type {number} */ pointer) => {
      const found = texts.get(pointer) ?? this.readText(pointer);
      texts.set(pointer, found);
      return found;
    };
    const read = (/** @type {number} */ i) => {
      this.call('weft_session_profile_at', session, i, block);
      const number = (/** @type {number} */ place) => this.view.getFloat64(block + place, true);
      const domain = text(this.readPointer(block + at.domain));
      return {
        node: text(this.readPointer(block + at.node)),
        op: (domain && `${domain}:`) + text(this.readPointer(block + at.op)),
        parent: this.view.getInt32(block + at.parent, true),
        type: this.readUint32(block + at.type),
        dims: Array.from({ length: this.readUint32(block + at.rank) }, (_, d) => this.readInt64(block + at.dims + 8 * d)),
        begin: number(at.begin),
        end: number(at.end),
        operations: number(at.operations),
        bytes: number(at.bytes),
      };
    };
    try {
      return Array.from({ length: this.get('weft_session_profile_count', session) }, (_, i) => read(i));
    } finally {
      this.free(block);
    }
  }

  /** What this module can do at best here. Takes a quarter of a second. @param {number} session @returns {import('./profile.js').Limits} */
  measure(session) {
    const at = this.layout.limits;
    const block = this.allocate(at.size);
    try {
      this.run('weft_host_measure', session, block);
      return { operations: this.view.getFloat64(block + at.operations, true), bytes: this.view.getFloat64(block + at.bytes, true) };
    } finally {
      this.free(block);
    }
  }

  /**
   * What another thread sets to 1 to end a run; undefined where no other thread sees the memory.
   * @param {number} session @returns {Int32Array | undefined}
   */
  cancelFlag(session) {
    const at = this.get('weft_session_cancel_flag', session);
    const { buffer } = this.bytes;
    return buffer instanceof ArrayBuffer ? undefined : new Int32Array(buffer, at, 1);
  }

  /** @param {number} value */
  kindOf(value) {
    return kinds[this.call('weft_value_kind', value)];
  }
}
