/*
 * InferenceSession: the class of onnxruntime-common. A run is one call into the module on this thread; runs that come while
 * one is at work wait their turn, first come, first served, and between two of them the event loop gets its turn, so that
 * a signal can still cancel those that wait.
 */
import { env } from './env.js';
import { argumentError, cancelledError, describe, throwIfAborted, WeftError } from './error.js';
import { nextTurn } from './host.js';
import { load } from './loading.js';
import { readOptions } from './options.js';
import { isTensor } from './tensor.js';
import { typeNumbered } from './types.js';
import { FeedCache, makeValue, readInto, readValue, Scope } from './values.js';

/** @typedef {import('./wasm.js').Wasm} Wasm */
/** @typedef {import('./wasm.js').Info} Info */
/** @typedef {import('./values.js').Value} Value */
/** @typedef {import('./tensor.js').Tensor} Tensor */

/** Lets one in at a time, in the order of asking. */
class Queue {
  #busy = false;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {AbortSignal} [signal] leaves the queue when aborted @returns {Promise<void> | undefined} undefined: at once */
  enter(signal) {
    if (!this.#busy) {
      this.#busy = true;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(cancelledError(/** @type {AbortSignal} */ (signal)));
      };
      const enter = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }

  async leave() {
    // Calls made together must find the session busy, or those behind could not be cancelled.
    await undefined;
    if (this.#waiting.length > 0) {
      nextTurn().then(() => this.#admit());
    } else {
      this.#busy = false;
    }
  }

  #admit() {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#busy = false;
  }
}

/** What onnxruntime-common tells about an input or output; `optional` and `kind` are ours. @param {Info} info */
function metadataOf({ name, kind, type, shape, optional }) {
  const element = typeNumbered(type)?.name;
  if (kind !== 'tensor' || !element) return { name, isTensor: false, kind, type: element, optional };
  return { name, isTensor: true, type: element, shape: shape ?? [], optional };
}

/** @param {Wasm} wasm @param {number} session @param {'input' | 'output'} side */
function listInfos(wasm, session, side) {
  const count = wasm.get(`weft_session_${side}_count`, session);
  return Array.from({ length: count }, (_, i) => wasm.readInfo(session, side, i));
}

/** The arguments of create: (model, options?) or (buffer, byteOffset, byteLength?, options?). @param {unknown[]} args */
function readCreateArguments([input, second, third, fourth]) {
  if (typeof second !== 'number') return { input, options: readOptionsObject(second) };
  if (input === null || typeof input !== 'object' || !('byteLength' in input) || ArrayBuffer.isView(input)) {
    throw argumentError(`a byte offset belongs to an ArrayBuffer, found ${describe(input)}`);
  }
  const buffer = /** @type {ArrayBuffer} */ (input);
  const given = typeof third === 'number';
  const length = given ? third : buffer.byteLength - second;
  if (!Number.isSafeInteger(second) || !Number.isSafeInteger(length) || second < 0 || length < 0 || second + length > buffer.byteLength) {
    throw argumentError(`bytes ${second} to ${second + length} are not inside the buffer of ${buffer.byteLength} bytes`);
  }
  return { input: new Uint8Array(buffer, second, length), options: readOptionsObject(given || fourth !== undefined ? fourth : third) };
}

/** @param {unknown} options */
function readOptionsObject(options) {
  if (options === undefined) return readOptions({});
  if (options === null || typeof options !== 'object') throw argumentError(`options: expected an object, found ${describe(options)}`);
  return readOptions(options);
}

export class InferenceSession {
  #wasm;
  #session;
  #inputs;
  #outputs;
  #choice;
  #queue = new Queue();
  #feeds = new FeedCache();
  /** Zero-terminated names inside the module. @type {Map<string, number>} */
  #names = new Map();

  /** Use InferenceSession.create. @param {{wasm: Wasm, session: number, choice: import('./env.js').Choice}} loaded */
  constructor({ wasm, session, choice }) {
    this.#wasm = wasm;
    this.#session = session;
    this.#choice = choice;
    this.#inputs = listInfos(wasm, session, 'input');
    this.#outputs = listInfos(wasm, session, 'output');
    for (const { name } of [...this.#inputs, ...this.#outputs]) this.#names.set(name, wasm.writeText(name));
    this.inputNames = this.#inputs.map(({ name }) => name);
    this.outputNames = this.#outputs.map(({ name }) => name);
    this.inputMetadata = this.#inputs.map(metadataOf);
    this.outputMetadata = this.#outputs.map(metadataOf);
    forgotten.register(this, wasm, this);
  }

  /**
   * @param {...any} args (URL, path, bytes, Blob, Response or stream, options?) or (buffer, byteOffset, byteLength?, options?)
   * @returns {Promise<InferenceSession>}
   */
  static async create(...args) {
    const { input, options } = readCreateArguments(args);
    const loaded = await load(input, options);
    env.weft = loaded.choice;
    return new InferenceSession(loaded);
  }

  /** The module this session runs on, why that one, and the bytes its core and its module hold. */
  get weft() {
    return { ...this.#choice, memory: this.#wasm.readMemory(this.#session) };
  }

  /**
   * @param {Record<string, any>} feeds a value for every input that has no default
   * @param {any} [second] names of outputs, an object of outputs (a tensor to fill, or null), or options
   * @param {any} [third] options
   * @returns {Promise<Record<string, any>>}
   */
  async run(feeds, second, third) {
    const { fetches, options } = this.#readRunArguments(feeds, second, third);
    throwIfAborted(options.signal);
    const turn = this.#queue.enter(options.signal);
    if (turn) await turn;
    try {
      return this.#runNow(feeds, fetches);
    } catch (error) {
      throw error instanceof RangeError ? new WeftError('OUT_OF_MEMORY', `the results do not fit: ${error.message}`) : error;
    } finally {
      await this.#queue.leave();
    }
  }

  /** Profiles are not taken; the methods exist so that code that calls them runs. */
  startProfiling() {}

  endProfiling() {}

  /** Ends the session once the runs before it are done. All its memory goes with it. */
  async release() {
    const turn = this.#queue.enter();
    if (turn) await turn;
    forgotten.unregister(this);
    this.#wasm.stop();
    await this.#queue.leave();
  }

  /* ---- a run ---------------------------------------------------------------------------------------------------------- */
  /** @param {unknown} feeds @param {any} second @param {any} third */
  #readRunArguments(feeds, second, third) {
    if (feeds === null || typeof feeds !== 'object' || isTensor(feeds) || Array.isArray(feeds)) {
      throw argumentError(`feeds: expected an object of input names and values, found ${describe(feeds)}`);
    }
    if (second === null || (second !== undefined && typeof second !== 'object') || isTensor(second)) {
      throw argumentError(`fetches: expected output names, or an object by output name, found ${describe(second)}`);
    }
    const isFetches = Array.isArray(second) || this.outputNames.some((name) => second && name in second);
    const options = (isFetches || second === undefined ? third : second) ?? {};
    if (typeof options !== 'object') throw argumentError(`run options: expected an object, found ${describe(options)}`);
    return { fetches: this.#readFetches(isFetches ? second : this.outputNames), options };
  }

  /** @param {any} fetches @returns {Map<string, Tensor | null>} */
  #readFetches(fetches) {
    /** @type {[any, any][]} */
    const entries = Array.isArray(fetches) ? fetches.map((name) => [name, null]) : Object.entries(fetches);
    for (const [name, target] of entries) {
      if (typeof name !== 'string') throw argumentError(`fetches: expected output names, found ${describe(name)}`);
      if (target !== null && !isTensor(target)) throw argumentError(`output '${name}': expected a Tensor to fill, or null`);
    }
    return new Map(entries);
  }

  /** @param {any} feeds @param {Map<string, Tensor | null>} fetches */
  #runNow(feeds, fetches) {
    const wasm = this.#wasm;
    wasm.checkUsable();
    const scope = new Scope(wasm);
    try {
      const given = Object.entries(feeds).filter(([, value]) => value !== undefined);
      const names = scope.block(wasm.writePointers(given.map(([name]) => this.#nameOf(name, scope))));
      const values = scope.block(wasm.writePointers(given.map(([name, value]) => this.#feed(name, value, scope))));
      const wanted = scope.block(wasm.writePointers([...fetches.keys()].map((name) => this.#nameOf(name, scope))));
      const results = scope.block(wasm.writePointers([...fetches.keys()].map(() => 0)));
      wasm.run('weft_session_run', this.#session, given.length, names, values, fetches.size, wanted, results);
      return this.#takeResults(fetches, results, scope);
    } finally {
      scope.end();
    }
  }

  /** @param {Map<string, Tensor | null>} fetches @param {number} results @param {Scope} scope */
  #takeResults(fetches, results, scope) {
    const wasm = this.#wasm;
    const values = Array.from(fetches, (_, i) => scope.value(wasm.readPointer(results + 4 * i)));
    /** @type {Record<string, Value>} */
    const outputs = {};
    [...fetches].forEach(([name, target], i) => {
      if (target) readInto(wasm, name, values[i], target);
      outputs[name] = target ?? readValue(wasm, values[i]);
    });
    return outputs;
  }

  /** @param {string} name @param {Scope} scope */
  #nameOf(name, scope) {
    return this.#names.get(name) ?? scope.block(this.#wasm.writeText(name));
  }

  /** @param {string} name @param {unknown} value @param {Scope} scope */
  #feed(name, value, scope) {
    const info = this.#inputs.find((input) => input.name === name);
    if (info && isTensor(value) && value.type !== 'string') return this.#feeds.write(this.#wasm, name, value);
    return makeValue(this.#wasm, scope, info ?? { name, type: 1, keyType: 7 }, value);
  }
}

/** Threads of a session that was forgotten, not released, end when it is collected. @type {FinalizationRegistry<Wasm>} */
const forgotten = new FinalizationRegistry((wasm) => wasm.stop());

// Where the host has `using`, leaving its block releases the session.
for (const symbol of [Symbol.dispose, Symbol.asyncDispose]) {
  if (symbol) Object.defineProperty(InferenceSession.prototype, symbol, { value: InferenceSession.prototype.release });
}
