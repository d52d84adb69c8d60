/*
 * Values between JavaScript and a wasm module: tensors, sequences (arrays), maps (Map) and absent optionals (null). Feeds
 * are copied into the module, results out of it into arrays of their own, so nothing outside ever points into the module's
 * memory. A result may also stay inside, with a Tensor that stands for it: because it was asked to, or until it is read. This
 * file must not know sessions.
 */
import { argumentError, describe } from './error.js';
import { dataOf, isTensor, Tensor, valueIn } from './tensor.js';
import { encoder } from './text.js';
import { arrayFrom, isPacked, lengthOf, pack, typeNamed, typeNumbered, unpack } from './types.js';
import { copyPieces } from './wasm.js';

/** @typedef {import('./wasm.js').Wasm} Wasm */
/** What is known of the input that a value is for. @typedef {Pick<import('./wasm.js').Info, 'name' | 'type' | 'keyType'>} Info */
/** @typedef {Tensor | null | Map<any, any> | readonly any[]} Value */

/** Blocks and values of a module that are given back together. */
export class Scope {
  #wasm;
  /** @type {[string, number][]} */
  #held = [];

  /** @param {Wasm} wasm */
  constructor(wasm) {
    this.#wasm = wasm;
  }

  /** @param {number} block @returns {number} */
  block(block) {
    this.#held.push(['free', block]);
    return block;
  }

  /** @param {number} value a new reference @returns {number} */
  value(value) {
    this.#held.push(['weft_value_release', value]);
    return value;
  }

  /** A value that lies in the module, and is to be there to the end. @param {number} value @returns {number} */
  share(value) {
    this.#wasm.call('weft_value_retain', value);
    return this.value(value);
  }

  end() {
    for (const [how, what] of this.#held) if (this.#wasm.isUsable) this.#wasm.call(how, what);
    this.#held = [];
  }
}

/** @param {Wasm} wasm @param {number} value @param {readonly string[]} texts */
function writeStrings(wasm, value, texts) {
  const short = new Uint8Array(1024);
  let block = 0;
  let room = -1;
  try {
    texts.forEach((text, i) => {
      if (typeof text !== 'string') throw argumentError(`item ${i} of a string tensor: expected a string, found ${describe(text)}`);
      const isShort = 3 * text.length <= short.length;
      const bytes = isShort ? short.subarray(0, encoder.encodeInto(text, short).written) : encoder.encode(text);
      if (bytes.length > room) {
        wasm.free(block);
        block = 0;
        room = Math.max(bytes.length, short.length);
        block = wasm.allocate(room);
      }
      wasm.bytes.set(bytes, block);
      wasm.run('weft_value_set_string', value, i, block, bytes.length);
    });
  } finally {
    wasm.free(block);
  }
}

/** Writes a tensor's elements into a value of its type and size. @param {Wasm} wasm @param {number} value @param {string} name of the type @param {any} data */
function writeElements(wasm, value, name, data) {
  if (name === 'string') return writeStrings(wasm, value, data);
  const type = typeNamed(name);
  const count = wasm.get('weft_value_count', value);
  const size = wasm.get('weft_value_bytes', value);
  const at = wasm.get('weft_value_data', value);
  const into = wasm.bytes.subarray(at, at + size);
  if (isPacked(type)) {
    unpack(type, data.length === lengthOf(type, count) ? data : packed(type, data), type.signed ? new Int8Array(into.buffer, at, size) : into);
  } else {
    into.set(new Uint8Array(data.buffer, data.byteOffset, size));
    if (name === 'bool') wasm.call('weft_host_make_bools', size, at);
  }
}

/** Elements that a caller gave one a byte. @param {import('./types.js').ElementType} type @param {Uint8Array} elements */
function packed(type, elements) {
  const out = new Uint8Array(lengthOf(type, elements.length));
  pack(type, elements, out);
  return out;
}

/** A new value of the tensor's type and dims, its elements not written. @param {Wasm} wasm @param {Pick<Tensor, 'type' | 'dims'>} tensor */
function createTensor(wasm, tensor) {
  const { dims } = tensor;
  const block = wasm.allocate(8 * dims.length);
  try {
    dims.forEach((dim, i) => wasm.view.setBigInt64(block + 8 * i, BigInt(dim), true));
    return wasm.make('weft_value_create_tensor', typeNamed(tensor.type).id, dims.length, block);
  } finally {
    wasm.free(block);
  }
}

/** @param {Wasm} wasm @param {Scope} scope @param {Tensor} tensor */
function makeTensor(wasm, scope, tensor) {
  const there = valueIn(wasm, tensor);
  if (there !== undefined) return scope.share(there);
  const data = dataOf(tensor);
  const value = scope.value(createTensor(wasm, tensor));
  writeElements(wasm, value, tensor.type, data);
  return value;
}

/** The tensor of a map's keys or values: plain items of a type that the model names. @param {number} id @param {unknown[]} items */
function tensorOf(id, items) {
  const type = typeNumbered(id);
  if (!type) throw argumentError('a map of a type that the model does not name: its values must be tensors');
  return new Tensor(type.name, type.name === 'string' ? items : arrayFrom(type, items), [items.length]);
}

/** Types whose elements JavaScript has no numbers for: in maps they are scalar tensors. @param {string} name */
const isOpaque = (name) => /^(complex|b?float)/.test(name) && name !== 'float32' && name !== 'float64';

/** The values of a map, one tensor in the core. @param {Tensor} tensor @returns {ArrayLike<any>} */
function splitTensor({ type: name, data, size }) {
  if (name === 'string') return data;
  const type = typeNamed(name);
  if (isPacked(type)) {
    const each = /** @type {Uint8Array} */ (new type.array(size));
    unpack(type, /** @type {Uint8Array} */ (data), each);
    data = each;
  }
  if (!isOpaque(name)) return data;
  return Array.from({ length: size }, (_, i) => new Tensor(name, data.slice(i * type.parts, (i + 1) * type.parts), []));
}

/** The way back: one tensor of scalars of one type; null where they are not. @param {any[]} items */
function joinTensors(items) {
  const name = items[0]?.type;
  if (name === 'string' || !items.every((item) => isTensor(item) && item.type === name && item.dims.length === 0)) return null;
  const type = typeNamed(name);
  const data = new type.array(items.length * type.parts);
  items.forEach((item, i) => /** @type {any} */ (data).set(item.data, i * type.parts));
  return new Tensor(name, isPacked(type) ? packed(type, /** @type {Uint8Array} */ (data)) : data, [items.length]);
}

const INT64 = 7;
const STRING = 8;

/** The core has all integer keys as int64. @param {Wasm} wasm @param {Scope} scope @param {Info} info @param {Map<any, any>} map */
function makeMap(wasm, scope, info, map) {
  const items = [...map.values()];
  const keys = makeTensor(wasm, scope, tensorOf(info.keyType === STRING ? STRING : INT64, [...map.keys()]));
  const values = items.some(isTensor) ? joinTensors(items) ?? items : tensorOf(info.type, items);
  return scope.value(wasm.make('weft_value_create_map', keys, makeValue(wasm, scope, info, values)));
}

/**
 * A new value, owned by `scope`, or one that is kept.
 * @param {Wasm} wasm @param {Scope} scope @param {Info} info of the input it is for @param {unknown} value
 * @returns {number}
 */
export function makeValue(wasm, scope, info, value) {
  if (isTensor(value)) return makeTensor(wasm, scope, value);
  if (value === null) return scope.value(wasm.make('weft_value_create_none'));
  if (value instanceof Map) return makeMap(wasm, scope, info, value);
  const name = typeNumbered(info.type)?.name;
  if (!Array.isArray(value)) {
    const expected = `a Tensor, as new Tensor('${name}', data, dims) makes, an array of them, a Map or null`;
    throw argumentError(`input '${info.name}': expected ${expected}, found ${describe(value)}`);
  }
  const other = name && value.find((item) => isTensor(item) && item.type !== name);
  if (other) throw argumentError(`input '${info.name}': expected a sequence of ${name}, found ${other.type} in it`);
  const items = value.map((item) => makeValue(wasm, scope, info, item));
  const block = scope.block(wasm.writePointers(items));
  return scope.value(wasm.make('weft_value_create_sequence', info.type, items.length, block));
}

/** Values that are kept for the next run with tensors of the same type and dims. */
export class FeedCache {
  /** @type {Map<string, {key: string, value: number}>} */
  #kept = new Map();

  /**
   * @param {Wasm} wasm @param {Pick<import('./wasm.js').Info, 'name' | 'unread' | 'shape'>} info of the input @param {Tensor} tensor not of strings
   * @returns {number} borrowed
   */
  write(wasm, { name, unread, shape }, tensor) {
    const { type } = tensor;
    const data = dataOf(tensor);
    // onnxruntime takes what has one element for a scalar, and its users give [1].
    const dims = shape?.length === 0 && data.length === 1 ? [] : tensor.dims;
    const key = `${type}[${dims}]`;
    let kept = this.#kept.get(name);
    if (kept?.key !== key) {
      this.drop(wasm, name);
      kept = { key, value: createTensor(wasm, { type, dims }) };
      this.#kept.set(name, kept);
    }
    if (!unread) writeElements(wasm, kept.value, type, data);
    return kept.value;
  }

  /** An input that is fed what stays in the module has no use for this. @param {Wasm} wasm @param {string} name of the input */
  drop(wasm, name) {
    const kept = this.#kept.get(name);
    if (kept) wasm.call('weft_value_release', kept.value);
    this.#kept.delete(name);
  }
}

/* ---- results ------------------------------------------------------------------------------------------------------------ */
/** @param {Wasm} wasm @param {number} at @param {number} count */
function readStrings(wasm, at, count) {
  return Array.from({ length: count }, (_, i) => wasm.readString(at, i));
}

/** @param {Wasm} wasm @param {number} value */
function readDims(wasm, value) {
  const rank = wasm.call('weft_value_rank', value);
  const at = wasm.get('weft_value_dims', value);
  return Array.from({ length: rank }, (_, i) => wasm.readInt64(at + 8 * i));
}

/** A tensor's elements in a memory. @typedef {{type: import('./types.js').ElementType, size: number, pieces: import('./wasm.js').Pieces}} Place */

/** @param {Wasm} wasm @param {number} value a tensor @returns {Place} */
const placeOf = (wasm, value) => ({
  type: /** @type {import('./types.js').ElementType} */ (typeNumbered(wasm.call('weft_value_type', value))),
  size: wasm.get('weft_value_count', value),
  pieces: wasm.readPlace(value),
});

/** A typed array of elements that are no strings. @param {Uint8Array} memory @param {Place} place */
export function readElements(memory, { type, size, pieces }) {
  const copy = copyPieces(memory, pieces);
  if (!isPacked(type)) return new type.array(copy.buffer);
  const out = /** @type {Uint8Array} */ (new type.array(lengthOf(type, size)));
  pack(type, copy, out);
  return out;
}

/** @param {Wasm} wasm @param {number} value */
function readTensor(wasm, value) {
  const place = placeOf(wasm, value);
  const isText = place.type.name === 'string';
  const data = isText ? readStrings(wasm, place.pieces.at, place.size) : readElements(wasm.bytes, place);
  return new Tensor(place.type.name, data, readDims(wasm, value));
}

/**
 * What can be left in the module, if it is a tensor of what JavaScript has numbers for: where it lies, and its dims.
 * @param {Wasm} wasm @param {number} value
 */
export function findElements(wasm, value) {
  const place = wasm.kindOf(value) === 'tensor' ? placeOf(wasm, value) : undefined;
  return place && place.type.name !== 'string' ? { place, dims: readDims(wasm, value) } : undefined;
}

/** A result that stays in the module while there is a Tensor of it, if it can. @param {Wasm} wasm @param {number} value borrowed @returns {Value} */
export function keepValue(wasm, value) {
  const found = findElements(wasm, value);
  if (!found) return readValue(wasm, value);
  const { place, dims } = found;
  wasm.call('weft_value_retain', value);
  const read = () => {
    wasm.checkUsable();
    return readElements(wasm.bytes, place);
  };
  const release = () => wasm.isUsable && wasm.call('weft_value_release', value);
  return new Tensor({ location: 'wasm', type: place.type.name, dims, kept: { home: wasm, value, read, release } });
}

/** A value as far as it is known: a tensor's elements, or only its type and shape. @param {Wasm} wasm @param {number} value */
export function readKnown(wasm, value) {
  if (wasm.kindOf(value) !== 'tensor' || wasm.get('weft_value_data', value) !== 0) return readValue(wasm, value);
  const type = /** @type {import('./types.js').ElementType} */ (typeNumbered(wasm.call('weft_value_type', value)));
  return { type: type.name, dims: readDims(wasm, value) };
}

/** @param {Wasm} wasm @param {number} value @returns {Value} */
export function readValue(wasm, value) {
  const item = (/** @type {number} */ i) => readValue(wasm, wasm.get('weft_value_item', value, i));
  switch (wasm.kindOf(value)) {
    case 'tensor':
      return readTensor(wasm, value);
    case 'sequence':
      return Array.from({ length: wasm.get('weft_value_count', value) }, (_, i) => item(i));
    case 'map': {
      const keys = /** @type {any} */ (item(0)).data;
      const values = /** @type {any} */ (item(1));
      const items = isTensor(values) ? splitTensor(values) : values;
      return new Map(Array.from(keys, (key, i) => [key, items[i]]));
    }
    default:
      return null;
  }
}
