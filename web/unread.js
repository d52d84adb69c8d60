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
/**
 * Memory that results lie in: a cache that grows shares it with what it was before. `run` is the last that made one or was fed
 * one; `copy` is all of it, once it is no longer in the module.
 * @typedef {{at: number, bytes: number, run: number, results: Set<Result>, copy?: Uint8Array}} Block
 * @typedef {{value: number, place: import('./values.js').Place, block: Block, tensor: WeakRef<Tensor>}} Result
 */

/** Bytes of a result that is copied at once: that takes less than to remember it. */
const SMALL = 32 * 1024;
/** Bytes that may wait without being fed, beside as many as are. */
const SPARE = 64 * 1024 * 1024;

/** @param {readonly Block[]} blocks */
const sizeOf = (blocks) => blocks.reduce((sum, { bytes }) => sum + bytes, 0);

const canForget = typeof WeakRef !== 'undefined' && typeof FinalizationRegistry !== 'undefined';

export class Unread {
  #wasm;
  /** By address, oldest first. @type {Map<number, Block>} */
  #blocks = new Map();
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
    if (!found || found.place.pieces.count * found.place.pieces.bytes < SMALL) return readValue(wasm, value);
    wasm.call('weft_value_retain', value);
    const { place, dims } = found;
    const shape = String(dims);
    const result = /** @type {Result} */ ({ value, place, block: this.#blockOf(place) });
    const unread = {
      home: wasm,
      value,
      feed: (/** @type {Tensor} */ tensor) => {
        if (result.block.copy || tensor.type !== place.type.name || String(tensor.dims) !== shape) return false;
        result.block.run = this.#run;
        return true;
      },
      read: () => this.#read(result),
      release: () => this.#drop(result),
    };
    const tensor = new Tensor({ location: 'cpu', type: place.type.name, dims, unread });
    result.tensor = new WeakRef(tensor);
    result.block.results.add(result);
    this.#forgotten.register(tensor, result, result);
    return tensor;
  }

  /** @param {import('./values.js').Place} place of a result of this run @returns {Block} */
  #blockOf({ pieces: { at, count, bytes, apart } }) {
    const block = this.#blocks.get(at) ?? { at, bytes: 0, run: 0, results: new Set() };
    block.bytes = Math.max(block.bytes, (count - 1) * apart + bytes);
    block.run = this.#run;
    this.#blocks.set(at, block);
    return block;
  }

  beginRun() {
    this.#run++;
  }

  /** What the run that has begun is not fed, and is too much, comes out: oldest first. */
  limit() {
    const all = [...this.#blocks.values()];
    const idle = all.filter(({ run }) => run !== this.#run);
    let bytes = sizeOf(idle);
    const most = SPARE + sizeOf(all) - bytes;
    const idled = sizeOf(idle.filter(({ run }) => run === this.#run - 1));
    this.#idled += idled;
    this.#unseen += idled;
    this.needsTurn = this.#unseen > SPARE / 16;
    if (this.needsTurn) this.#unseen = 0;
    if (this.#idled > most / 2) this.#remind();
    for (const block of idle) {
      if (bytes <= most) return;
      bytes -= block.bytes;
      this.#takeOut(block);
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

  /** Nothing waits in the module any more. @returns {boolean} whether something did */
  readAll() {
    const waiting = [...this.#blocks.values()];
    waiting.forEach((block) => this.#takeOut(block));
    return waiting.length > 0;
  }

  /** All results in a block get one copy of it to read from, if somebody still has them. @param {Block} block */
  #takeOut(block) {
    const results = [...block.results].filter((result) => result.tensor.deref() || this.#drop(result));
    if (results.length === 0) return;
    try {
      block.copy = this.#wasm.copyOut(block.at, block.bytes);
    } catch {
      block.copy = new Uint8Array(); // Who asks for it is told then.
    }
    this.#blocks.delete(block.at);
    for (const result of results) {
      const { place } = result;
      result.place = { ...place, pieces: { ...place.pieces, at: 0 } };
      this.#forgotten.unregister(result);
      this.#release(result);
    }
  }

  /** @param {Result} result */
  #read({ place, block: { copy, bytes } }) {
    if (copy && copy.length < bytes) throw new WeftError('OUT_OF_MEMORY', 'there was no memory for the result when its session had to give it up');
    try {
      return readElements(copy ?? this.#wasm.bytes, place);
    } catch (error) {
      throw error instanceof RangeError ? new WeftError('OUT_OF_MEMORY', `the result does not fit: ${error.message}`) : error;
    }
  }

  /** Its tensor has other data, or is gone. @param {Result} result */
  #drop(result) {
    const { block } = result;
    if (!block.results.delete(result)) return;
    this.#forgotten.unregister(result);
    if (block.copy) return;
    if (block.results.size === 0) this.#blocks.delete(block.at);
    this.#release(result);
  }

  /** @param {Result} result */
  #release({ value }) {
    if (this.#wasm.isUsable) this.#wasm.call('weft_value_release', value);
  }
}
