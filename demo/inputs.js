/*
 * Inputs made up for a model: shapes with every open dimension set, and values of a kind that most models accept. The same
 * every time, so that two hosts can be compared.
 */

const arrays = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, bfloat16: Uint16Array,
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, bool: Uint8Array,
};

/** Numbers in [0, 1) from a 32-bit xorshift generator. */
function generator(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function elements(type, size, value) {
  const Elements = arrays[type];
  if (!Elements) throw new Error(`no values can be made up for ${type}`);
  const big = type === 'int64' || type === 'uint64';
  return Elements.from({ length: size }, big ? () => BigInt(value()) : value);
}

/** The shape with each open dimension replaced: `dims` by its symbol, else 1. */
export function closedShape(shape, dims = {}) {
  return (shape ?? []).map((dim) => (typeof dim === 'number' && dim >= 0 ? dim : (dims[dim] ?? 1)));
}

/**
 * @param {{name: string, type: string, shape: (number | string)[]}} input as `session.inputMetadata` has it
 * @param {'random' | 'zeros' | 'ones'} how
 * @param {Record<string, number>} dims the open dimensions, by their symbol
 * @returns {{type: string, dims: number[], data: any}}
 */
export function makeInput({ type, shape }, how = 'random', dims = {}) {
  const closed = closedShape(shape, dims);
  const size = closed.reduce((a, b) => a * b, 1);
  if (type === 'string') return { type, dims: closed, data: Array(size).fill('') };
  const next = generator(0x2545f491);
  const half = type === 'float16' ? 0x3c00 : 0x3f80; // the bits of 1
  const sixteen = type === 'float16' || type === 'bfloat16';
  const one = sixteen ? half : 1;
  const real = type.startsWith('float') || type.startsWith('bfloat');
  const random = () => (sixteen ? (next() < 0.5 ? 0 : half) : real ? next() * 2 - 1 : Math.floor(next() * 2));
  const value = { random, zeros: () => 0, ones: () => one }[how];
  return { type, dims: closed, data: elements(type, size, value) };
}
