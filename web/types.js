/*
 * ONNX's element types as JavaScript sees them: a name (onnxruntime's, where it has one), the typed array that holds the
 * elements, and how they lie in it. Types below 8 bits are packed into bytes here, first element in the lowest bits, as in
 * onnxruntime; inside the wasm module they take a byte each. This file must not know tensors or wasm.
 */
import { argumentError, describe } from './error.js';

/** 16-bit floats get an array type of their own where the host has one; elsewhere their bits are shown. */
const HalfArray = /** @type {any} */ (globalThis).Float16Array ?? Uint16Array;

/**
 * @typedef {Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array
 *   | BigInt64Array | BigUint64Array} TypedArray
 * @typedef {{new (length: number): TypedArray, new (buffer: ArrayBufferLike, offset?: number, length?: number): TypedArray,
 *   readonly BYTES_PER_ELEMENT: number, readonly name: string}} TypedArrayConstructor
 */

/**
 * @typedef {object} ElementType
 * @property {number} id the number of weft_type and TensorProto.DataType
 * @property {string} name
 * @property {TypedArrayConstructor} array
 * @property {number} bits of an element in `array`; 6, 4 and 2 mean packed
 * @property {number} parts array items an element takes: 2 for complex numbers
 * @property {boolean} signed of packed types: whether the top bit is a sign
 */

/** @type {[number, string, any, number?, number?][]} */
const rows = [
  [1, 'float32', Float32Array],
  [2, 'uint8', Uint8Array],
  [3, 'int8', Int8Array],
  [4, 'uint16', Uint16Array],
  [5, 'int16', Int16Array],
  [6, 'int32', Int32Array],
  [7, 'int64', BigInt64Array],
  [8, 'string', Array],
  [9, 'bool', Uint8Array],
  [10, 'float16', HalfArray],
  [11, 'float64', Float64Array],
  [12, 'uint32', Uint32Array],
  [13, 'uint64', BigUint64Array],
  [14, 'complex64', Float32Array, 64, 2],
  [15, 'complex128', Float64Array, 128, 2],
  [16, 'bfloat16', Uint16Array],
  [17, 'float8e4m3fn', Uint8Array],
  [18, 'float8e4m3fnuz', Uint8Array],
  [19, 'float8e5m2', Uint8Array],
  [20, 'float8e5m2fnuz', Uint8Array],
  [21, 'uint4', Uint8Array, 4],
  [22, 'int4', Int8Array, 4],
  [23, 'float4e2m1', Uint8Array, 4],
  [24, 'float8e8m0', Uint8Array],
  [25, 'uint2', Uint8Array, 2],
  [26, 'int2', Int8Array, 2],
  [27, 'float6e2m3', Uint8Array, 6],
  [28, 'float6e3m2', Uint8Array, 6],
];

/** @type {ElementType[]} */
const types = rows.map(([id, name, array, bits = 8 * array.BYTES_PER_ELEMENT, parts = 1]) => ({
  id,
  name,
  array,
  bits,
  parts,
  signed: array === Int8Array,
}));
const byName = new Map(types.map((type) => [type.name, type]));
const byId = new Map(types.map((type) => [type.id, type]));

/** The type that a typed array holds when nothing else is said. */
const byArray = new Map(
  ['float32', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'float64', 'uint32', 'uint64'].map((name) => {
    const type = /** @type {ElementType} */ (byName.get(name));
    return [/** @type {string | undefined} */ (type.array.name), type];
  }),
);
if (HalfArray !== Uint16Array) byArray.set(HalfArray.name, /** @type {ElementType} */ (byName.get('float16')));

/** @param {string} name @returns {ElementType} */
export function typeNamed(name) {
  const type = byName.get(name);
  if (!type) throw argumentError(`'${name}' is not an element type: expected one of ${[...byName.keys()].join(', ')}`);
  return type;
}

/** @param {number} id @returns {ElementType | undefined} */
export const typeNumbered = (id) => byId.get(id);

/**
 * What kind of typed array a value is, also one of a subclass (as Node.js' Buffer) or of another realm (a frame, a test's
 * sandbox); undefined for all else. @param {unknown} value @returns {string | undefined}
 */
export const arrayName = (value) => (ArrayBuffer.isView(value) ? /** @type {any} */ (value)[Symbol.toStringTag] : undefined);

/** @param {unknown} array @returns {ElementType | undefined} */
export const typeOfArray = (array) => byArray.get(arrayName(array));

/** @param {ElementType} type */
export const isPacked = (type) => type.bits < 8;

/** Array items that `count` elements take. @param {ElementType} type @param {number} count */
export const lengthOf = (type, count) => (isPacked(type) ? Math.ceil((count * type.bits) / 8) : count * type.parts);

/**
 * Bytes of packed elements to one element a byte.
 * @param {ElementType} type @param {Int8Array | Uint8Array} packed @param {Int8Array | Uint8Array} out one item an element
 */
export function unpack(type, packed, out) {
  const mask = (1 << type.bits) - 1;
  const unused = 32 - type.bits;
  for (let i = 0; i < out.length; i++) {
    const at = i * type.bits;
    const byte = Math.floor(at / 8);
    const value = (((packed[byte] & 0xff) | (packed[byte + 1] << 8)) >> at % 8) & mask;
    out[i] = type.signed ? (value << unused) >> unused : value;
  }
}

/**
 * The way back.
 * @param {ElementType} type @param {Int8Array | Uint8Array} elements @param {Int8Array | Uint8Array} out zeroed
 */
export function pack(type, elements, out) {
  const mask = (1 << type.bits) - 1;
  for (let i = 0; i < elements.length; i++) {
    const at = i * type.bits;
    const byte = Math.floor(at / 8);
    const value = (elements[i] & mask) << at % 8;
    out[byte] |= value;
    if (value > 0xff) out[byte + 1] |= value >> 8;
  }
}

/** @param {number} x half goes to even */
function round(x) {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** The exponent of a positive double, exactly. @param {number} x */
function exponentOf(x) {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  return ((view.getUint16(0) >> 4) & 0x7ff) - 1023;
}

/**
 * The 16 bits of an IEEE-like float nearest to `x`, rounded once.
 * @param {number} x @param {number} bias of the exponent @param {number} digits bits of the mantissa
 */
function floatBits(x, bias, digits) {
  const infinity = (2 * bias + 1) << digits;
  if (Number.isNaN(x)) return infinity | (1 << (digits - 1));
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  const exponent = Math.max(size === 0 ? 1 - bias : exponentOf(size), 1 - bias);
  const bits = (exponent + bias - 1) * 2 ** digits + round(size * 2 ** (digits - exponent));
  return sign | Math.min(bits, infinity);
}

/** @param {ElementType} type @param {unknown} item @param {number} i */
function toBigInt(type, item, i) {
  const lossless = typeof item === 'bigint' || typeof item === 'boolean' || Number.isSafeInteger(item);
  const value = lossless ? BigInt(/** @type {any} */ (item)) : 0n;
  const fits = type.name === 'uint64' ? BigInt.asUintN(64, value) === value : BigInt.asIntN(64, value) === value;
  if (lossless && fits) return value;
  throw argumentError(`item ${i}, ${String(item)}, cannot become ${type.name} without loss: expected an integer or a bigint`);
}

/** @param {ElementType} type @param {readonly unknown[]} list */
function packList(type, list) {
  const low = type.signed ? -(1 << (type.bits - 1)) : 0;
  const high = low + (1 << type.bits) - 1;
  const bad = list.findIndex((item) => !Number.isInteger(item) || Number(item) < low || Number(item) > high);
  if (bad >= 0) throw argumentError(`item ${bad}, ${String(list[bad])}, is not an ${type.name}: expected ${low} to ${high}`);
  const out = /** @type {Int8Array | Uint8Array} */ (new type.array(lengthOf(type, list.length)));
  pack(type, Int8Array.from(/** @type {number[]} */ (list)), out);
  return out;
}

/** The list: what is not a number in it would become NaN or 0 unheard, such as a row of rows. @param {ElementType} type @param {readonly unknown[]} list */
function numbersOf(type, list) {
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    if (typeof item !== 'number' && typeof item !== 'bigint' && typeof item !== 'boolean') {
      throw argumentError(`item ${i} of a tensor of ${type.name}: expected a number, found ${describe(item)}`);
    }
  }
  return list;
}

/**
 * An ordinary array of numbers, bigints or booleans as the type's typed array.
 * @param {ElementType} type @param {readonly unknown[]} list @returns {TypedArray}
 */
export function arrayFrom(type, list) {
  switch (type.name) {
    case 'int64':
    case 'uint64': {
      const out = /** @type {BigInt64Array} */ (new type.array(list.length));
      list.forEach((item, i) => (out[i] = toBigInt(type, item, i)));
      return out;
    }
    case 'bfloat16':
      return Uint16Array.from(numbersOf(type, list), (item) => floatBits(Number(item), 127, 7));
    case 'float16': {
      const bits = Uint16Array.from(numbersOf(type, list), (item) => floatBits(Number(item), 15, 10));
      return new type.array(bits.buffer);
    }
    case 'bool':
      return Uint8Array.from(numbersOf(type, list), (item) => (item ? 1 : 0));
    case 'uint4':
    case 'int4':
    case 'uint2':
    case 'int2':
      return packList(type, list);
    case 'float4e2m1':
    case 'float6e2m3':
    case 'float6e3m2':
    case 'float8e4m3fn':
    case 'float8e4m3fnuz':
    case 'float8e5m2':
    case 'float8e5m2fnuz':
    case 'float8e8m0':
      throw argumentError(`a ${type.name} tensor is made of its bits: expected a ${type.array.name}, found an array`);
    default:
      return /** @type {any} */ (type.array).from(numbersOf(type, list), Number);
  }
}
