/*
 * What differs between modules of 32-bit and of 64-bit addresses: where the members of weft.h's structs lie, how an address
 * is kept in memory, and how it is handed over, for which 64-bit ones are bigints. Everywhere else addresses and sizes are
 * numbers. bindings/layout.c checks the places when a module is compiled.
 */

/** A member's bytes, 0 for those of an address or a size; and how many of them there are. @typedef {readonly [number, number?]} Member */
/** @type {Member} */ const address = [0];
/** @type {Member} */ const byte = [1];
/** @type {Member} */ const int = [4];
/** @type {Member} */ const long = [8];

const MAX_RANK = 16;

const structs = {
  error: { code: int, message: [1, 1024], node: [1, 256], op: [1, 128] },
  options: {
    ...{ maxMemory: address, maxElements: long, maxNodes: int, maxDepth: int, threads: int },
    ...{ optimize: int, deterministic: byte, seed: long },
  },
  external: { path: address, offset: long, bytes: long, data: address },
  info: {
    ...{ name: address, kind: int, type: int, keyType: int, optional: byte, unread: byte, rank: int },
    ...{ dims: [8, MAX_RANK], symbols: [0, MAX_RANK] },
  },
  profile: {
    ...{ node: address, domain: address, op: address, parent: int, type: int, begin: long, end: long },
    ...{ operations: long, bytes: long, rank: int, dims: [8, MAX_RANK] },
  },
  limits: { operations: long, bytes: long },
  attribute: { name: address, type: int, list: byte, count: address, data: address },
  string: { data: address, length: address },
};

/**
 * As C lays them out. @template {object} T @param {T} members @param {number} width of an address
 * @returns {Record<keyof T | 'size', number>}
 */
function placesOf(members, width) {
  /** @type {Record<string, number>} */
  const places = {};
  let at = 0;
  let largest = 1;
  for (const [name, [bytes, count = 1]] of Object.entries(members)) {
    const each = bytes || width;
    places[name] = Math.ceil(at / each) * each;
    at = places[name] + each * count;
    largest = Math.max(largest, each);
  }
  return /** @type {any} */ ({ ...places, size: Math.ceil(at / largest) * largest });
}

/** @typedef {{[name in keyof typeof structs]: Record<keyof typeof structs[name] | 'size', number>}} Layout */
/** @param {number} width @returns {Layout} */
function layoutOf(width) {
  const entries = Object.entries(structs).map(([name, members]) => [name, placesOf(members, width)]);
  return /** @type {any} */ (Object.fromEntries(entries));
}

/**
 * @typedef {object} Addresses
 * @property {number} width in bytes
 * @property {number} most the largest
 * @property {Layout} layout
 * @property {(view: DataView, at: number) => number} read
 * @property {(view: DataView, at: number, value: number) => void} write
 * @property {(given: any) => number} take what a module hands over
 * @property {(glue: any) => any} callable its functions, which are handed numbers
 */

/** @type {Addresses} */
export const narrow = {
  width: 4,
  most: 2 ** 32 - 1,
  layout: layoutOf(4),
  read: (view, at) => view.getUint32(at, true),
  write: (view, at, value) => view.setUint32(at, value, true),
  take: (given) => given >>> 0,
  callable: (glue) => glue,
};

/** Parameters that are C's int, enum or bool, by function: all others are addresses, sizes or int64_t. @type {Record<string, number[]>} */
const ints = {
  _weft_host_add_operator: [4],
  _weft_host_profile: [1],
  _weft_value_create_tensor: [0, 1],
  _weft_value_create_sequence: [0],
};

/** @type {Addresses} */
export const wide = {
  width: 8,
  most: Number.MAX_SAFE_INTEGER,
  layout: layoutOf(8),
  read: (view, at) => Number(view.getBigUint64(at, true)),
  write: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
  take: Number,
  callable(glue) {
    const names = Object.keys(glue).filter((name) => name.startsWith('_'));
    return Object.fromEntries(names.map((name) => {
      const given = (/** @type {any} */ arg, /** @type {number} */ i) => (ints[name]?.includes(i) ? arg : BigInt(arg));
      return [name, (/** @type {any[]} */ ...args) => glue[name](...args.map(given))];
    }));
  },
};
