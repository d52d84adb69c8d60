/*
 * Reads ONNX's files of values (TensorProto, SequenceProto, MapProto, OptionalProto) into the values of the JavaScript package:
 * tensors, arrays, Maps and null. Nothing in such a file tells which message it holds; the model's declared types do.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lengthOf, typeNumbered } from '../../web/types.js';
import { numbersIn } from './compare.mjs';
import { fields, numbersOf, valueOf, valuesOf } from './protobuf.mjs';

const text = (bytes) => bytes?.toString() ?? '';

/** A typed array over bytes that may lie unaligned. */
const arrayOver = (type, bytes) => new type.array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));

/** The fields that hold elements by number; each entry: the array of its items, for those that are not varints. */
const itemArrays = { 4: Float32Array, 10: Float64Array };

/** Elements that are not in raw_data: floats as they are, everything else as varints of its bits. */
function typedData(bytes, type) {
  for (const [number, Items] of Object.entries(itemArrays)) {
    const parts = valuesOf(bytes, Number(number));
    if (parts.length > 0) return new type.array(Items.from(arrayOver({ array: Items }, Buffer.concat(parts))));
  }
  const bits = [5, 7, 11].flatMap((number) => numbersOf(bytes, number));
  if (type.array === BigInt64Array || type.array === BigUint64Array) return type.array.from(bits);
  if (type.bits === 16) return arrayOver(type, Buffer.from(Uint16Array.from(bits, (value) => Number(value & 0xffffn)).buffer));
  return type.array.from(bits, (value) => Number(BigInt.asIntN(64, value)));
}

function readTensor(bytes, Tensor) {
  const dims = numbersOf(bytes, 1).map(Number);
  const type = typeNumbered(Number(valueOf(bytes, 2) ?? 0n));
  if (!type) throw new Error(`there is no element type ${valueOf(bytes, 2)}`);
  if (type.name === 'string') return new Tensor('string', valuesOf(bytes, 6).map(text), dims);
  const raw = valueOf(bytes, 9);
  const data = raw ? arrayOver(type, raw) : typedData(bytes, type);
  const size = dims.reduce((a, b) => a * b, 1);
  return new Tensor(type.name, data.subarray(0, lengthOf(type, size)), dims);
}

/** SequenceProto and OptionalProto hold their items in one field for each kind. */
const itemReaders = { 3: readTensor, 5: readSequence, 6: readMap, 7: readOptional };

const items = (bytes, Tensor) =>
  [...fields(bytes)].filter(([number]) => itemReaders[number]).map(([number, value]) => itemReaders[number](value, Tensor));

function readSequence(bytes, Tensor) {
  return items(bytes, Tensor);
}

function readOptional(bytes, Tensor) {
  return items(bytes, Tensor)[0] ?? null;
}

/** Every key has a scalar tensor; where JavaScript has numbers for its element, a map has those. */
function readMap(bytes, Tensor) {
  const strings = valuesOf(bytes, 4).map(text);
  const keys = strings.length > 0 ? strings : numbersOf(bytes, 3).map((key) => BigInt.asIntN(64, key));
  const values = readSequence(valueOf(bytes, 5) ?? Buffer.alloc(0), Tensor);
  const itemOf = (tensor) => (/^(complex|b?float(?!32|64))/.test(tensor.type) ? tensor : numbersIn(tensor)[0]);
  return new Map(keys.map((key, i) => [key, itemOf(values[i])]));
}

/** The message a file holds, by the field of TypeProto that its type is in. */
const readers = { 1: readTensor, 4: readSequence, 5: readMap, 9: readOptional };

/** The readers of a model's inputs or outputs, in order, from the types that its graph declares. */
function declared(graph, number) {
  return valuesOf(graph, number).map((info) => {
    const type = valueOf(info, 2);
    const [kind] = type ? [...fields(type)].map(([n]) => n).filter((n) => readers[n]) : [];
    return readers[kind] ?? readTensor;
  });
}

/** What each input and output file of a model holds. @param {Buffer} model */
export function fileReaders(model) {
  const graph = valueOf(model, 7);
  return { input: declared(graph, 11), output: declared(graph, 12) };
}

/**
 * The value in a file and the name that it carries ('' for none).
 * @param {Buffer} bytes @param {(bytes: Buffer, Tensor: any) => any} reader one of fileReaders
 */
export function readFileValue(bytes, reader, Tensor) {
  return { name: text(valueOf(bytes, reader === readTensor ? 8 : 1)), value: reader(bytes, Tensor) };
}

/** PREFIX_0.pb, PREFIX_1.pb, ... as far as they go, as {name, value}. */
function readFiles(folder, prefix, readers, Tensor) {
  const files = [];
  for (let path; existsSync((path = join(folder, `${prefix}_${files.length}.pb`))); ) {
    const reader = readers[files.length];
    if (!reader) throw new Error(`${path} has no ${prefix}: the model has ${readers.length}`);
    files.push(readFileValue(readFileSync(path), reader, Tensor));
  }
  return files;
}

/** Inputs by name; a file without a known name is for the input at its place, not counting those with a default. */
export function readFeeds(session, folder, readers, Tensor) {
  const files = readFiles(folder, 'input', readers, Tensor);
  const known = [...session.inputMetadata, ...session.weft.defaults].map((input) => input.name);
  return Object.fromEntries(
    files.map(({ name, value }, i) => [known.includes(name) ? name : session.inputNames[i], value]),
  );
}
