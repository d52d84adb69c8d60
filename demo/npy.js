/*
 * NumPy's .npy files (version 1 to 3 of the format, numpy.lib.format): reading what a model can be fed with, and writing
 * tensors so that numpy reads them. Little-endian numbers in C order.
 */

/** npy's letters and sizes, ONNX's names, and the arrays that hold them. */
const kinds = [
  ['f4', 'float32', Float32Array],
  ['f8', 'float64', Float64Array],
  ['f2', 'float16', Uint16Array],
  ['i1', 'int8', Int8Array],
  ['u1', 'uint8', Uint8Array],
  ['i2', 'int16', Int16Array],
  ['u2', 'uint16', Uint16Array],
  ['i4', 'int32', Int32Array],
  ['u4', 'uint32', Uint32Array],
  ['i8', 'int64', BigInt64Array],
  ['u8', 'uint64', BigUint64Array],
  ['b1', 'bool', Uint8Array],
];

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

function readStrings(bytes, width, count) {
  const characters = new Uint32Array(bytes.slice(0, width * 4 * count).buffer);
  return Array.from({ length: count }, (_, i) => {
    const one = characters.subarray(i * width, (i + 1) * width);
    const end = one.indexOf(0);
    return String.fromCodePoint(...(end < 0 ? one : one.subarray(0, end)));
  });
}

/**
 * @param {Uint8Array} bytes
 * @returns {{type: string, dims: number[], data: ArrayLike<number | bigint | string>}}
 */
export function parseNpy(bytes) {
  if (!magic.every((byte, i) => bytes[i] === byte)) throw new Error('This is no .npy file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] > 1;
  const begin = long ? 12 : 10;
  const end = begin + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(bytes.subarray(begin, end));
  const [, order, letters] = /'descr':\s*'([<>|=]?)(\w+)'/.exec(header) ?? [];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (letters === undefined || shape === undefined) throw new Error('The .npy file has a header that is not understood');
  if (order === '>' || /'fortran_order':\s*True/.test(header)) {
    throw new Error('The .npy file is big-endian or in Fortran order: save it with numpy.ascontiguousarray first');
  }
  const dims = (shape.match(/\d+/g) ?? []).map(Number);
  const count = dims.reduce((a, b) => a * b, 1);
  const body = new Uint8Array(bytes.buffer, bytes.byteOffset + end, bytes.length - end); // Node's Buffer slices otherwise
  if (letters.startsWith('U')) {
    return { type: 'string', dims, data: readStrings(body, Number(letters.slice(1)), count) };
  }
  const kind = kinds.find(([name]) => name === letters);
  if (!kind) throw new Error(`The .npy file holds '${letters}', which no tensor type matches`);
  const [, type, Elements] = kind;
  if (body.length < count * Elements.BYTES_PER_ELEMENT) throw new Error('The .npy file is cut short');
  return { type, dims, data: new Elements(body.slice(0, count * Elements.BYTES_PER_ELEMENT).buffer) };
}

/**
 * @param {{type: string, dims: readonly number[], data: ArrayBufferView}} tensor of a type that numpy has
 * @returns {Uint8Array}
 */
export function writeNpy({ type, dims, data }) {
  const kind = kinds.find(([, name]) => name === type);
  if (!kind) throw new Error(`numpy has no type for ${type}`);
  const order = kind[0].endsWith('1') ? '|' : '<';
  const shape = `(${dims.join(', ')}${dims.length === 1 ? ',' : ''})`;
  const text = `{'descr': '${order}${kind[0]}', 'fortran_order': False, 'shape': ${shape}, }`;
  const size = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(size + data.byteLength);
  bytes.set([...magic, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, size - 10, true);
  bytes.set(new TextEncoder().encode(`${text.padEnd(size - 11)}\n`), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), size);
  return bytes;
}
