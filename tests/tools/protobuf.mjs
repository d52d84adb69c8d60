/*
 * Reads protobuf's wire format, for files of a few kilobytes that tests trust: a message becomes its fields in order, each
 * a number and a value, and what a value means is the caller's to know.
 */

/** @param {Buffer} bytes @param {number} at @returns {[bigint, number]} the number and where the next one begins */
function readVarint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[at++];
    if (byte === undefined) throw new Error('the message ends inside a number');
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [value, at];
  }
}

const readers = {
  0: readVarint,
  1: (bytes, at) => [bytes.subarray(at, at + 8), at + 8],
  2: (bytes, at) => {
    const [size, begin] = readVarint(bytes, at);
    const end = begin + Number(size);
    if (end > bytes.length) throw new Error(`a field of ${size} bytes goes beyond its message's end`);
    return [bytes.subarray(begin, end), end];
  },
  5: (bytes, at) => [bytes.subarray(at, at + 4), at + 4],
};

/** @param {Buffer} bytes @returns {Generator<[number, bigint | Buffer]>} each field's number and value */
export function* fields(bytes) {
  let value;
  for (let at = 0; at < bytes.length; ) {
    [value, at] = readVarint(bytes, at);
    const read = readers[Number(value & 7n)];
    if (!read) throw new Error(`there is no wire type ${value & 7n}`);
    const number = Number(value >> 3n);
    [value, at] = read(bytes, at);
    yield [number, value];
  }
}

/** All values of one field. */
export const valuesOf = (bytes, number) => [...fields(bytes)].filter(([n]) => n === number).map(([, value]) => value);

/** The last value of a field, which is the one that counts; undefined if it is not there. */
export const valueOf = (bytes, number) => valuesOf(bytes, number).at(-1);

/** Numbers of a repeated field: one value each, or packed into one value with a length. */
export function numbersOf(bytes, number) {
  const numbers = [];
  for (const value of valuesOf(bytes, number)) {
    if (typeof value === 'bigint') numbers.push(value);
    else for (let at = 0, n; at < value.length; numbers.push(n)) [n, at] = readVarint(value, at);
  }
  return numbers;
}
