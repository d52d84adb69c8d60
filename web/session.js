/*
 * InferenceSession: the class of onnxruntime-common, on an engine of this thread or of a worker. Runs that come while one
 * is at work wait their turn, first come, first served, and between two of them the event loop gets its turn, so that a
 * signal can still cancel those that wait.
 */
import { env, isHeard } from './env.js';
import { Engine } from './engine.js';
import { argumentError, cancelledError, describe, onAbort, throwIfAborted, unlessAborted } from './error.js';
import { nextTurn, registryOf } from './host.js';
import { chooseModule } from './module.js';
import { readOptions, readSignal } from './options.js';
import { Profile } from './profile.js';
import { ProxyEngine } from './proxy.js';
import { isTensor, keptOf, Tensor } from './tensor.js';
import { arrayName, isPacked, typeNamed, typeNumbered, unpack } from './types.js';

/** @typedef {import('./wasm.js').Info} Info */
/** @typedef {import('./values.js').Value} Value */

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
      const stay = onAbort(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(cancelledError(/** @type {AbortSignal} */ (signal)));
      });
      const enter = () => {
        stay();
        resolve();
      };
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

/**
 * What onnxruntime-common tells about inputs or outputs; `kind` is ours.
 * @param {Info[]} infos @param {Record<string, number>} sizes of dimensions by their names
 */
const metadataOf = (infos, sizes) =>
  infos.map(({ name, kind, type, shape }) => {
    const element = typeNumbered(type)?.name;
    if (kind !== 'tensor' || !element) return { name, isTensor: false, kind, type: element };
    return { name, isTensor: true, type: element, shape: shape?.map((dim) => sizes[dim] ?? dim) ?? [] };
  });

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

/** What is to stay must be there. @param {Engine | ProxyEngine} engine @param {string | Record<string, string>} locations */
function checkLocations(engine, locations) {
  const names = engine.outputs.map(({ name }) => name);
  const wanted = typeof locations === 'string' ? [] : Object.entries(locations).filter(([, location]) => location === 'wasm');
  const unknown = wanted.map(([name]) => name).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  engine.stop();
  throw argumentError(`preferredOutputLocation: the model has no output '${unknown}': its outputs are ${names.map((name) => `'${name}'`).join(', ')}`);
}

/**
 * Puts a result into a tensor that the caller has made for it.
 * @param {string} name @param {Value} made @param {Tensor} tensor
 */
function fill(name, made, tensor) {
  if (!isTensor(made) || made.type !== tensor.type || String(made.dims) !== String(tensor.dims)) {
    const found = isTensor(made) ? `${made.type} [${made.dims}]` : 'no tensor';
    throw argumentError(`output '${name}' is ${found}: the tensor given for it is ${tensor.type} [${tensor.dims}]`);
  }
  const [from, to] = /** @type {any[]} */ ([made.data, tensor.data]);
  const type = typeNamed(made.type);
  const onePerByte = isPacked(type) && to?.length !== from.length && to?.length === made.size;
  if (arrayName(from) !== arrayName(to) || (from.length !== to.length && !onePerByte)) {
    throw argumentError(`output '${name}': the data of the tensor given for it is not ${from.length} items of ${made.type}`);
  }
  if (onePerByte) unpack(type, from, to);
  else if (Array.isArray(from)) from.forEach((text, i) => (to[i] = text));
  else to.set(from);
}

const DEEPEST = 32;

/** Whether arrays are nested deeper, or in themselves. @param {any} value @param {number} most @returns {boolean} */
const isDeep = (value, most) => Array.isArray(value) && (most === 0 || value.some((item) => isDeep(item, most - 1)));

export class InferenceSession {
  #engine;
  #choice;
  #outputLocation;
  #defaults;
  #queue = new Queue();

  /**
   * Use InferenceSession.create.
   * @param {Engine | ProxyEngine} engine @param {import('./env.js').Choice} choice @param {import('./options.js').LoadOptions} options
   */
  constructor(engine, choice, options) {
    if (!Array.isArray(engine?.inputs)) throw argumentError('a session is made by InferenceSession.create, which gives a promise of it');
    const { outputLocation, sizes } = options;
    // Programs feed all that is listed, as onnxruntime lists them: without initializers that are inputs too.
    const [defaults, inputs] = [true, false].map((has) => engine.inputs.filter(({ optional }) => optional === has));
    this.#engine = engine;
    this.#choice = choice;
    this.#outputLocation = outputLocation;
    this.#defaults = metadataOf(defaults, sizes);
    this.inputNames = inputs.map(({ name }) => name);
    this.outputNames = engine.outputs.map(({ name }) => name);
    this.inputMetadata = metadataOf(inputs, sizes);
    this.outputMetadata = metadataOf(engine.outputs, sizes);
    forgotten.register(this, engine, this);
  }

  /**
   * @param {...any} args (URL, path, bytes, Blob, Response or stream, options?) or (buffer, byteOffset, byteLength?, options?)
   * @returns {Promise<InferenceSession>}
   */
  static async create(...args) {
    const { input, options } = readCreateArguments(args);
    throwIfAborted(options.signal);
    let { weft: choice } = env;
    const engine = await (options.worker ? ProxyEngine : Engine).load(input, options, async (wider) => {
      const chosen = await unlessAborted(chooseModule(options, wider), options.signal);
      choice = chosen.choice;
      return chosen;
    });
    checkLocations(engine, options.outputLocation);
    env.weft = choice;
    if (isHeard('warning')) engine.warnings.forEach((warning) => console.warn(`weft: ${warning}`));
    if (options.profiling) engine.record(true);
    return new InferenceSession(engine, choice, options);
  }

  /**
   * The module this session runs on, why that one, what is to be said about its model, its inputs that have a default, and the
   * bytes its core and its module hold.
   */
  get weft() {
    return { ...this.#choice, warnings: this.#engine.warnings, defaults: this.#defaults, memory: this.#engine.memory };
  }

  /**
   * @param {Record<string, any>} feeds a value for every input that has no default
   * @param {any} [second] names of outputs, an object of outputs (a tensor to fill, or null), or options
   * @param {any} [third] options
   * @returns {Promise<Record<string, any>>}
   */
  async run(feeds, second, third) {
    const { fetches, signal } = this.#readRunArguments(feeds, second, third);
    const given = Object.entries(feeds).filter(([, value]) => value !== undefined);
    const endless = given.find(([, value]) => isDeep(value, DEEPEST));
    if (endless) throw argumentError(`input '${endless[0]}': its arrays are nested more than ${DEEPEST} deep`);
    throwIfAborted(signal);
    const turn = this.#queue.enter(signal);
    if (turn) await turn;
    try {
      for (const feed of given) {
        const [name, value] = feed;
        if (value?.location === 'none') throw argumentError(`input '${name}': the tensor was disposed of`);
        if (this.#isElsewhere(value)) feed[1] = await this.#fetch(value);
      }
      const stays = Array.from(fetches, ([name, target]) => !target && this.#stays(name));
      const values = await this.#engine.run(given, [...fetches.keys()], stays, signal);
      if (this.#engine.needsTurn) await nextTurn(); // in a loop that never waits nothing would be collected
      return Object.fromEntries(Array.from(fetches, ([name, target], i) => {
        if (target) fill(name, values[i], target);
        const kept = keptOf(values[i]);
        if (kept) kept.owner = this;
        return [name, target ?? values[i]];
      }));
    } finally {
      await this.#queue.leave();
    }
  }

  /** Whether an output stays where it is made. @param {string} name */
  #stays(name) {
    return (typeof this.#outputLocation === 'string' ? this.#outputLocation : this.#outputLocation[name]) === 'wasm';
  }

  /** Whether another session keeps a feed, or a part of it. @param {any} value @returns {boolean} */
  #isElsewhere(value) {
    if (Array.isArray(value)) return value.some((item) => this.#isElsewhere(item));
    return (keptOf(value)?.home ?? this.#engine.home) !== this.#engine.home;
  }

  /** The same feed in JavaScript's memory. @param {any} value @returns {Promise<any>} */
  async #fetch(value) {
    if (Array.isArray(value)) return Promise.all(value.map((item) => this.#fetch(item)));
    return this.#isElsewhere(value) ? new Tensor(value.type, await value.getData(), value.dims) : value;
  }

  /** Begins to record where the time of runs goes; what was recorded before is dropped. */
  startProfiling() {
    this.#engine.record(true);
  }

  /** Ends recording. What was recorded stays, for `profile`, and is told to the console where `env.logLevel` is 'info'. */
  endProfiling() {
    this.#engine.record(false);
    if (isHeard('info')) this.profile().then((profile) => console.info(`${profile}`), () => {});
  }

  /** What was recorded. The first call also measures the machine's limits, which takes a quarter of a second. */
  async profile() {
    const turn = this.#queue.enter();
    if (turn) await turn;
    try {
      return new Profile(await this.#engine.profile());
    } finally {
      await this.#queue.leave();
    }
  }

  /** Ends the session once the runs before it are done. All its memory goes with it. */
  async release() {
    const turn = this.#queue.enter();
    if (turn) await turn;
    forgotten.unregister(this);
    this.#engine.stop();
    await this.#queue.leave();
  }

  /** @param {unknown} feeds @param {any} second @param {any} third */
  #readRunArguments(feeds, second, third) {
    if (feeds === null || typeof feeds !== 'object' || isTensor(feeds) || Array.isArray(feeds) || feeds instanceof Map) {
      throw argumentError(`feeds: expected an object of input names and values, found ${describe(feeds)}`);
    }
    if (second === null || (second !== undefined && typeof second !== 'object') || isTensor(second)) {
      throw argumentError(`fetches: expected output names, or an object by output name, found ${describe(second)}`);
    }
    const isFetches = Array.isArray(second) || this.outputNames.some((name) => second && name in second);
    const options = (isFetches || second === undefined ? third : second) ?? {};
    if (typeof options !== 'object') throw argumentError(`run options: expected an object, found ${describe(options)}`);
    const signal = readSignal(options.signal);
    return { fetches: this.#readFetches(isFetches ? second : this.outputNames), signal };
  }

  /** @param {any} fetches @returns {Map<string, Tensor | null>} */
  #readFetches(fetches) {
    /** @type {[any, any][]} */
    const entries = Array.isArray(fetches) ? fetches.map((name) => [name, null]) : Object.entries(fetches);
    for (const [name, target] of entries) {
      if (typeof name !== 'string') throw argumentError(`fetches: expected output names, found ${describe(name)}`);
      const fits = target === null || target === undefined || (isTensor(target) && !keptOf(target));
      if (!fits) throw argumentError(`output '${name}': expected a Tensor to fill, in JavaScript's memory, or null`);
    }
    return new Map(entries);
  }
}

/** Threads and workers of a session that was forgotten, not released, end when it is collected. */
const forgotten = registryOf((/** @type {Engine | ProxyEngine} */ engine) => engine.stop());

// Where the host has `using`, leaving its block releases the session.
for (const symbol of [Symbol.dispose, Symbol.asyncDispose]) {
  if (symbol) Object.defineProperty(InferenceSession.prototype, symbol, { value: InferenceSession.prototype.release });
}
