/*
 * Tensor: the class of onnxruntime-common, with every ONNX element type. Its data lies in JavaScript's memory, and what a
 * session needs of it is copied when it runs; only results that were asked to stay, or that nobody has read yet, are left where
 * a session made them. This file must not know wasm.
 */
import { argumentError, describe } from './error.js';
import { registryOf } from './host.js';
import { tensorFromImage, tensorToDataUrl, tensorToImageData } from './image.js';
import { arrayFrom, arrayName, isPacked, lengthOf, typeNamed, typeOfArray } from './types.js';

/** @typedef {import('./types.js').TypedArray} TypedArray */
/** @typedef {{type: string, data: TypedArray | string[]}} TypedData */
/**
 * Data that a session keeps: in whose memory and under which number, how to copy it out and how to give it back. `owner` is
 * the session, which stays as long as this does.
 * @typedef {{home: object, value: number, owner?: object, read: () => any, release: () => void}} Kept
 */

/**
 * Data that nobody has read yet, which lies as number `value` in the module `home`: what copies it and what gives it up, both
 * for good. `feed` says that it is fed, and whether it is what the tensor is, whose type and dims its owner may change.
 * @typedef {{home: object, value: number, feed: (tensor: Tensor) => boolean, read: () => any, release: () => void}} UnreadData
 */

/** @type {WeakMap<object, UnreadData>} */
const unreadData = new WeakMap();
/** @type {WeakMap<object, Kept>} */
const keptData = new WeakMap();
/** Tensors that nobody refers to any more give back what is kept for them. */
const forgotten = registryOf((/** @type {Kept} */ kept) => kept.release());

/** Where a tensor's data is if a session keeps it. @param {any} tensor @returns {Kept | undefined} */
export const keptOf = (tensor) => keptData.get(tensor);

/** The number under which a tensor's data lies in a module that is to be fed it. @param {object} home @param {any} tensor @returns {number | undefined} */
export function valueIn(home, tensor) {
  const unread = unreadData.get(tensor);
  const held = unread ?? keptData.get(tensor);
  return held?.home === home && unread?.feed(tensor) !== false ? held.value : undefined;
}

/** Elements of a shape. @param {readonly number[]} dims */
export function sizeOf(dims) {
  if (!Array.isArray(dims)) throw argumentError(`dims: expected an array of integers, found ${describe(dims)}`);
  let size = 1;
  for (const dim of dims) {
    if (!Number.isSafeInteger(dim) || dim < 0) throw argumentError(`dims [${dims}]: expected integers of at least 0, found ${describe(dim)}`);
    size *= dim;
  }
  if (!Number.isSafeInteger(size)) throw argumentError(`dims [${dims}]: more elements than can be counted`);
  return size;
}

/** @param {string} name @param {unknown} data @returns {TypedData} */
function dataOfType(name, data) {
  if (name === 'string') {
    if (Array.isArray(data)) return { type: name, data };
    throw argumentError(`a string tensor: expected an array of strings, found ${describe(data)}`);
  }
  const type = typeNamed(name);
  if (Array.isArray(data)) return { type: name, data: arrayFrom(type, data) };
  const given = /** @type {any} */ (data);
  const kind = arrayName(data);
  if (kind === type.array.name) return { type: name, data: given };
  if (kind === 'Uint8ClampedArray' && name === 'uint8') return { type: name, data: new Uint8Array(given) };
  const bits16 = name === 'float16' && kind === 'Uint16Array';
  const bits4 = isPacked(type) && (kind === 'Uint8Array' || kind === 'Int8Array');
  if (bits16 || bits4) return { type: name, data: new type.array(given.buffer, given.byteOffset, given.length) };
  throw argumentError(`a tensor of ${name}: expected a ${type.array.name} or an array, as Array.from makes, found ${describe(data)}`);
}

/** The type is what the data says. @param {unknown} data @returns {TypedData} */
function dataAlone(data) {
  if (Array.isArray(data)) {
    const kind = typeof data[0];
    if (kind === 'string') return { type: 'string', data };
    if (kind === 'boolean') return dataOfType('bool', data);
    const found = data.length === 0 ? 'an empty array' : `an array of ${kind}s`;
    throw argumentError(`the type of ${found} is not clear: give it, as in new Tensor('float32', data, dims)`);
  }
  if (arrayName(data) === 'Uint8ClampedArray') return dataOfType('uint8', data);
  const type = typeOfArray(data);
  if (!type) throw argumentError(`a tensor's data: expected a typed array, strings or booleans, found ${describe(data)}`);
  return { type: type.name, data: /** @type {any} */ (data) };
}

/** Elements of a tensor without dims: an array has one item each, or two of a complex number. @param {TypedData} made @param {unknown} given */
function countOf({ type, data }, given) {
  const { length } = Array.isArray(given) ? given : data;
  return type === 'string' ? length : length / typeNamed(type).parts;
}

/** @param {string} type @param {TypedArray | string[]} data @param {readonly number[]} dims */
function checkLength(type, data, dims) {
  const size = sizeOf(dims);
  const expected = type === 'string' ? size : lengthOf(typeNamed(type), size);
  const onePerByte = type !== 'string' && isPacked(typeNamed(type)) && data.length === size;
  if (data.length === expected || onePerByte) return;
  const items = expected === 1 ? '1 item' : `${expected} items`;
  throw argumentError(`a tensor of ${type} and dims [${dims}]: expected data of ${items}, found ${data.length}`);
}

/** What a tensor to be fed holds: whoever made it may have changed it since, or it may be none of ours. @param {any} tensor */
export function dataOf({ type, data, dims }) {
  const made = dataOfType(type, data);
  checkLength(type, made.data, dims);
  return made.data;
}

/**
 * Its members are plain properties: a tensor can be looked at in a console, and sent to a worker, where what arrives can be
 * fed as it is.
 */
export class Tensor {
  /**
   * new Tensor(type, data, dims?), new Tensor(data, dims?), new Tensor({location: 'cpu-pinned', type, data, dims}), or for
   * sessions new Tensor({location: 'wasm', type, dims, kept}) and new Tensor({location: 'cpu', type, dims, unread}).
   * @param {any} first @param {any} [second] @param {readonly number[]} [third]
   */
  constructor(first, second, third) {
    /** @type {'cpu' | 'cpu-pinned' | 'wasm' | 'none'} */
    let location = 'cpu';
    let made, dims, unread;
    if (typeof first === 'string') {
      made = dataOfType(first, second);
      dims = third;
    } else if (first !== null && typeof first === 'object' && 'location' in first) {
      if (first.location === 'wasm' && first.kept) {
        made = { type: first.type, data: /** @type {any} */ (null) };
        keptData.set(this, first.kept);
        forgotten.register(this, first.kept, this);
      } else if (first.location === 'cpu' && first.unread) {
        ({ unread } = first);
        made = { type: first.type, data: /** @type {any} */ (null) };
      } else if (first.location === 'cpu-pinned' || first.location === 'cpu') {
        made = dataOfType(first.type, first.data);
      } else {
        throw argumentError(`location '${first.location}' is not supported: Weft computes where JavaScript's memory is, 'cpu'`);
      }
      dims = first.dims;
      location = first.location;
    } else {
      made = dataAlone(first);
      dims = second;
    }
    dims ??= [countOf(made, second)];
    if (made.data !== null) checkLength(made.type, made.data, dims);
    /** @type {string} */
    this.type = made.type;
    /** @type {readonly number[]} */
    this.dims = dims;
    /** The number of elements. */
    this.size = sizeOf(dims);
    this.location = location;
    /** @type {TypedArray | string[]} */
    this.data = made.data;
    if (location === 'wasm') this.#hideData("the tensor's data is in its session's memory: await getData() for a copy of it");
    if (unread) this.#deferData(unread);
  }

  /** What onnxruntime's tensors show in a console, and programs therefore read. */
  get cpuData() {
    return this.data;
  }

  get texture() {
    return this.#refuse('WebGL texture');
  }

  get gpuBuffer() {
    return this.#refuse('WebGPU buffer');
  }

  get mlTensor() {
    return this.#refuse('WebNN tensor');
  }

  /** What a session keeps is copied; with `releaseData` it moves here for good. @param {boolean} [releaseData] */
  async getData(releaseData = false) {
    const kept = keptData.get(this);
    if (!kept) return this.data;
    const data = await kept.read();
    if (releaseData) {
      this.dispose();
      this.location = 'cpu';
      this.#setData(data);
    }
    return data;
  }

  /** The same data under other dims. @param {readonly number[]} dims */
  reshape(dims) {
    return new Tensor(this.type, this.data, dims);
  }

  dispose() {
    keptData.get(this)?.release();
    keptData.delete(this);
    unreadData.get(this)?.release();
    unreadData.delete(this);
    forgotten.unregister(this);
    this.location = 'none';
    this.#hideData('the tensor was disposed of: its data is gone');
  }

  /** @param {import('./image.js').ImageOptions} [options] @returns {ImageData} */
  toImageData(options) {
    return tensorToImageData(this, options);
  }

  /** @param {import('./image.js').ImageOptions} [options] @returns {string} */
  toDataURL(options) {
    return tensorToDataUrl(this, options);
  }

  /** @param {any} image an ImageData, ImageBitmap, HTML image element or URL @param {any} [options] */
  static async fromImage(image, options) {
    const { type, data, dims } = await tensorFromImage(image, options);
    return new Tensor(type, data, dims);
  }

  /** @param {string} type @param {TypedArray} data @param {readonly number[]} [dims] */
  static fromPinnedBuffer(type, data, dims = [data.length]) {
    return new Tensor({ location: 'cpu-pinned', type, data, dims });
  }

  static fromTexture() {
    return new Tensor({ location: 'texture' });
  }

  static fromGpuBuffer() {
    return new Tensor({ location: 'gpu-buffer' });
  }

  static fromMLTensor() {
    return new Tensor({ location: 'ml-tensor' });
  }

  /** A property like the others. @param {any} value */
  #setData(value) {
    Reflect.defineProperty(this, 'data', { value, writable: true, enumerable: true, configurable: true }); // not if it is frozen
  }

  /** Data that is read when it is asked for, and not at all if other data is set. @param {UnreadData} unread */
  #deferData(unread) {
    /** @type {any} */
    let data;
    const set = (/** @type {any} */ value) => {
      data = value;
      unread.release();
      unreadData.delete(this);
      this.#setData(value);
    };
    const get = () => {
      if (data === undefined) set(unread.read());
      return data;
    };
    unreadData.set(this, unread);
    Object.defineProperty(this, 'data', { get, set, configurable: true, enumerable: true });
  }

  /** Node.js prints what a property holds, not what it would give. */
  [Symbol.for('nodejs.util.inspect.custom')]() {
    if (unreadData.has(this)) void this.data;
    return this;
  }

  /** @param {string} why */
  #hideData(why) {
    const get = () => {
      throw argumentError(why);
    };
    Object.defineProperty(this, 'data', { get, configurable: true, enumerable: false });
  }

  /** @param {string} what @returns {never} */
  #refuse(what) {
    throw argumentError(`the data is in JavaScript's memory ('cpu'), not in a ${what}`);
  }
}

/**
 * Whether a value can be fed as a tensor: ours, or that of another copy of this package or of onnxruntime-common.
 * @param {any} value @returns {value is Tensor}
 */
export const isTensor = (value) =>
  value instanceof Tensor ||
  (value !== null && typeof value === 'object' && typeof value.type === 'string' && Array.isArray(value.dims) && 'data' in value);
