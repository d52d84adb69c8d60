/*
 * An engine: one model in one WebAssembly module, on this thread. Everything it does is one call into the module. Who may
 * call when is not its matter, nor how its answers are shown.
 */
import { Keeper } from './cache.js';
import { about, WeftError } from './error.js';
import { load, Wider } from './loading.js';
import { openSource } from './source.js';
import { isTensor, valueIn } from './tensor.js';
import { Unread } from './unread.js';
import { FeedCache, keepValue, makeValue, Scope } from './values.js';
import { Wasm } from './wasm.js';

/** @typedef {import('./wasm.js').Info} Info */
/** @typedef {import('./values.js').Value} Value */
/** @typedef {{used: number, peak: number, reserved: number}} Memory */
/**
 * The module to run on; once more, with a reason, if its addresses must have 64 bits.
 * @typedef {(wider?: string) => Promise<import('./module.js').Chosen>} Choose
 */
/** @typedef {import('./options.js').LoadOptions} LoadOptions */

/** Of a session that was released, or that broke. @type {Memory} */
export const noMemory = { used: 0, peak: 0, reserved: 0 };

export class Engine {
  #wasm;
  #session;
  #feeds = new FeedCache();
  #unread;
  /** @type {import('./profile.js').Limits | undefined} */
  #limits;
  /** What is known of an input, by name. @type {Map<string, Info>} */
  #infos;
  /** Zero-terminated names inside the module. @type {Map<string, number>} */
  #names = new Map();

  /**
   * The module starts while the model begins to arrive.
   * @param {unknown} input what openSource takes @param {LoadOptions} options @param {Choose} choose
   */
  static async load(input, options, choose) {
    const ways = { ...options, keeper: new Keeper(options.cache) };
    const chosen = choose();
    let source = openSource(input, ways);
    // Whichever of the two fails first is told; the other one's failure must not go unheard.
    source.catch(() => {});
    let module = await chosen;
    for (;;) {
      const wasm = await Wasm.start(module);
      try {
        return new Engine(wasm, await load(wasm, source, { ...ways, chosen: module }));
      } catch (error) {
        if (!(error instanceof Wider)) throw error; // of which a wider module throws none
        module = await choose(error.why);
        if (error.isRead) source = openSource(input, ways);
      }
    }
  }

  /** @param {Wasm} wasm @param {number} session */
  constructor(wasm, session) {
    this.#wasm = wasm;
    this.#session = session;
    this.#unread = new Unread(wasm);
    this.inputs = this.#list('input');
    this.outputs = this.#list('output');
    this.#infos = new Map(this.inputs.map((input) => [input.name, input]));
    this.warnings = wasm.readWarnings(session);
    for (const { name } of [...this.inputs, ...this.outputs]) this.#names.set(name, wasm.writeText(name));
  }

  /** @param {'input' | 'output'} side @returns {Info[]} */
  #list(side) {
    const count = this.#wasm.get(`weft_session_${side}_count`, this.#session);
    return Array.from({ length: count }, (_, i) => this.#wasm.readInfo(this.#session, side, i));
  }

  /** Whose memory its results stay in, if they stay. */
  get home() {
    return this.#wasm;
  }

  /** @returns {Memory} */
  get memory() {
    return this.#wasm.isUsable ? this.#wasm.readMemory(this.#session) : noMemory;
  }

  /** Whether the event loop should have its turn after the last run. */
  get needsTurn() {
    return this.#unread.needsTurn;
  }

  get cancelFlag() {
    return this.#wasm.cancelFlag(this.#session);
  }

  stop() {
    this.#unread.readAll();
    this.#wasm.stop();
  }

  /** Begins to record runs, or ends it. @param {boolean} on */
  record(on) {
    this.#wasm.call('weft_host_profile', this.#session, on ? 1 : 0);
  }

  /** What was recorded, and what it is to be compared with. @returns {import('./profile.js').Recorded} */
  profile() {
    this.#limits ??= this.#withRoom(() => this.#wasm.measure(this.#session));
    const entries = this.#wasm.readProfile(this.#session);
    return { entries, dropped: this.#wasm.get('weft_session_profile_dropped', this.#session), limits: this.#limits };
  }

  /**
   * The wanted outputs, in their order. Tensors among them stay in the module where `stays` says so, and others until they
   * are read.
   * @param {[string, unknown][]} feeds what is kept in them is this engine's @param {string[]} wanted @param {boolean[]} stays
   * @returns {Value[]}
   */
  run(feeds, wanted, stays) {
    try {
      return this.#withRoom(() => this.#run(feeds, wanted, stays));
    } catch (error) {
      throw error instanceof RangeError ? new WeftError('OUT_OF_MEMORY', `the results do not fit: ${error.message}`) : error;
    }
  }

  /** What fails for want of memory is done again if unread results take some. @template T @param {() => T} act @returns {T} */
  #withRoom(act) {
    try {
      return act();
    } catch (error) {
      const { code, cause } = /** @type {any} */ (error);
      if ((code !== 'OUT_OF_MEMORY' && cause?.code !== 'OUT_OF_MEMORY') || !this.#unread.readAll()) throw error;
      return act();
    }
  }

  /** @type {Engine['run']} */
  #run(feeds, wanted, stays) {
    const wasm = this.#wasm;
    wasm.checkUsable();
    const scope = new Scope(wasm);
    this.#unread.beginRun();
    try {
      const names = scope.block(wasm.writePointers(feeds.map(([name]) => this.#nameOf(name, scope))));
      const values = scope.block(wasm.writePointers(feeds.map(([name, value]) => about(`input '${name}'`, () => this.#feed(name, value, scope)))));
      const outputs = scope.block(wasm.writePointers(wanted.map((name) => this.#nameOf(name, scope))));
      const results = scope.block(wasm.writePointers(wanted.map(() => 0)));
      this.#unread.limit();
      wasm.run('weft_session_run', this.#session, feeds.length, names, values, wanted.length, outputs, results);
      const made = wanted.map((_, i) => scope.value(wasm.readPointer(results, i)));
      return made.map((value, i) => (stays[i] ? keepValue(wasm, value) : this.#unread.add(value)));
    } finally {
      scope.end();
    }
  }

  /** @param {string} name @param {Scope} scope */
  #nameOf(name, scope) {
    return this.#names.get(name) ?? scope.block(this.#wasm.writeText(name));
  }

  /** @param {string} name @param {unknown} value @param {Scope} scope */
  #feed(name, value, scope) {
    const there = valueIn(this.home, value);
    if (there !== undefined) {
      this.#feeds.drop(this.#wasm, name);
      return scope.share(there);
    }
    const info = this.#infos.get(name);
    if (info && isTensor(value) && value.type !== 'string') return this.#feeds.write(this.#wasm, info, value);
    return makeValue(this.#wasm, scope, info ?? { name, type: 1, keyType: 7 }, value);
  }
}
