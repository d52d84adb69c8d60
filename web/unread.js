/*
 * Results that nobody has read yet. Their elements stay where a run made them and are copied when `data` is first asked for;
 * what is fed to the same session before that, as a language model's cache is, or forgotten, is never copied. A tensor
 * does not show which of the two it is. This file must not know sessions.
 */
import { WeftError } from './error.js';
import { registryOf } from './host.js';
import { Tensor } from './tensor.js';
import { findElements, readElements, readValue } from './values.js';

/** @typedef {import('./wasm.js').Wasm} Wasm */
/** `run` is the last that made it or was fed it. @typedef {{value: number, place: import('./values.js').Place, run: number, tensor: WeakRef<Tensor>}} Result */

/** Bytes of a result that is copied at once: that takes less than to remember it. */
const SMALL = 32 * 1024;
/** Bytes that may wait without being fed, beside as many as are. */
const SPARE = 64 * 1024 * 1024;

/** @param {readonly Result[]} results */
const sizeOf = (results) => results.reduce((bytes, { place }) => bytes + place.bytes, 0);

const canForget = typeof WeakRef !== 'undefined' && typeof FinalizationRegistry !== 'undefined';

export class Unread {
  #wasm;
  /** Oldest first. @type {Set<Result>} */
  #results = new Set();
  #forgotten = registryOf((/** @type {Result} */ result) => this.#drop(result));
  #run = 0;
  /** Bytes that began to wait without being fed since the host was last reminded of them. */
  #idled = 0;
  /** The same since the event loop had its turn, without which nothing is collected; and whether it should have one. */
  #unseen = 0;
  needsTurn = false;

  /** @param {Wasm} wasm */
  constructor(wasm) {
    this.#wasm = wasm;
  }

  /** @param {number} value borrowed @returns {import('./values.js').Value} */
  add(value) {
    const wasm = this.#wasm;
    const found = canForget ? findElements(wasm, value) : undefined;
    if (!found || found.place.bytes < SMALL) return readValue(wasm, value);
    wasm.call('weft_value_retain', value);
    const { place, dims } = found;
    const shape = String(dims);
    const result = /** @type {Result} */ ({ value, place, run: this.#run });
    const unread = {
      home: wasm,
      value,
      feed: (/** @type {Tensor} */ tensor) => {
        result.run = this.#run;
        return this.#results.has(result) && tensor.type === place.type.name && String(tensor.dims) === shape;
      },
      read: () => this.#read(result),
      release: () => this.#drop(result),
    };
    const tensor = new Tensor({ location: 'cpu', type: place.type.name, dims, unread });
    result.tensor = new WeakRef(tensor);
    this.#results.add(result);
    this.#forgotten.register(tensor, result, result);
    return tensor;
  }

  beginRun() {
    this.#run++;
  }

  /** What the run that has begun is not fed, and is too much, comes out: oldest first. */
  limit() {
    const fed = sizeOf([...this.#results].filter(({ run }) => run === this.#run));
    const idle = [...this.#results].filter(({ run }) => run !== this.#run);
    const idled = sizeOf(idle.filter(({ run }) => run === this.#run - 1));
    this.#idled += idled;
    this.#unseen += idled;
    this.needsTurn = this.#unseen > SPARE / 16;
    if (this.needsTurn) this.#unseen = 0;
    if (this.#idled > (SPARE + fed) / 2) this.#remind();
    let bytes = sizeOf(idle);
    for (const result of idle) {
      if (bytes <= SPARE + fed) return;
      bytes -= result.place.bytes;
      this.#takeOut(result);
    }
  }

  /** Lets the host collect what was forgotten: it counts the bytes of its own arrays, and not those in a module. */
  #remind() {
    this.#idled = 0;
    try {
      void new ArrayBuffer(SPARE); // never touched: addresses, not memory
    } catch {
      // There is no room for more.
    }
  }

  /** Nothing waits any more. @returns {boolean} whether something did */
  readAll() {
    const waiting = [...this.#results];
    waiting.forEach((result) => this.#takeOut(result));
    return waiting.length > 0;
  }

  /** Its tensor gets the data, if somebody still has it. @param {Result} result */
  #takeOut(result) {
    try {
      void result.tensor.deref()?.data;
    } catch {
      // Who asks for it is told then.
    }
    this.#drop(result);
  }

  /** @param {Result} result */
  #read(result) {
    if (!this.#results.has(result)) throw new WeftError('OUT_OF_MEMORY', 'there was no memory for the result when its session had to give it up');
    try {
      return readElements(this.#wasm, result.place);
    } catch (error) {
      throw error instanceof RangeError ? new WeftError('OUT_OF_MEMORY', `the result does not fit: ${error.message}`) : error;
    }
  }

  /** @param {Result} result */
  #drop(result) {
    if (!this.#results.delete(result)) return;
    this.#forgotten.unregister(result);
    if (this.#wasm.isUsable) this.#wasm.call('weft_value_release', result.value);
  }
}
