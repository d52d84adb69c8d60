/*
 * Writes small ONNX models for the tests: protobuf's wire format and the few messages that are needed. The field numbers
 * are those of src/onnx/onnx.proto.
 */
import { Buffer } from 'node:buffer';

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** A message from [field number, value] pairs: numbers are varints, {float} is a 32-bit float, all else has a length. */
export function message(fields) {
  const parts = fields.flatMap(([number, value]) => {
    if (value === undefined) return [];
    if (typeof value === 'number' || typeof value === 'bigint') return [varint(number * 8), varint(value)];
    if (typeof value.float === 'number') return [varint(number * 8 + 5), Buffer.from(new Float32Array([value.float]).buffer)];
    const bytes = Buffer.from(value);
    return [varint(number * 8 + 2), varint(bytes.length), bytes];
  });
  return Buffer.concat(parts);
}

const all = (number, values) => values.map((value) => [number, value]);

export const types = {
  float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, string: 8, bool: 9, float16: 10, float64: 11,
  uint32: 12, uint64: 13, complex64: 14, complex128: 15, bfloat16: 16, float8e4m3fn: 17, float8e4m3fnuz: 18,
  float8e5m2: 19, float8e5m2fnuz: 20, uint4: 21, int4: 22, float4e2m1: 23, float8e8m0: 24, uint2: 25, int2: 26,
  float6e2m3: 27, float6e3m2: 28,
};

const dimension = (dim) => message([typeof dim === 'number' ? [1, dim] : [2, dim]]);

/** Types of inputs and outputs. A shape has numbers and names. */
export const tensorType = (type, shape) =>
  message([[1, message([[1, types[type]], [2, shape && message(all(1, shape.map(dimension)))]])]]);
export const sequenceType = (item) => message([[4, message([[1, item]])]]);
export const mapType = (key, value) => message([[5, message([[1, types[key]], [2, value]])]]);
export const optionalType = (item) => message([[9, message([[1, item]])]]);

/** A tensor of the model, its data as raw bytes, strings, or a place in another file: {location, offset, length}. */
export function tensor(name, type, dims, { raw, strings, external }) {
  const entries = Object.entries(external ?? {}).map(([key, value]) => message([[1, key], [2, String(value)]]));
  return message([
    ...all(1, dims), [2, types[type]], ...all(6, strings ?? []), [8, name], [9, raw], ...all(13, entries),
    [14, external ? 1 : undefined],
  ]);
}

function attribute([name, value]) {
  if (Array.isArray(value)) {
    const strings = typeof value[0] === 'string';
    return message([[1, name], ...all(strings ? 9 : 8, value), [20, strings ? 8 : 7]]);
  }
  if (value.floats) return message([[1, name], ...all(7, Array.from(value.floats, (float) => ({ float }))), [20, 6]]);
  if (typeof value === 'number') return message([[1, name], [3, value], [20, 2]]);
  if (typeof value === 'bigint') return message([[1, name], [3, value], [20, 2]]);
  if (typeof value.float === 'number') return message([[1, name], [2, value], [20, 1]]);
  if (typeof value === 'string') return message([[1, name], [4, value], [20, 3]]);
  if (value.graph) return message([[1, name], [6, value.graph], [20, 5]]);
  return message([[1, name], [5, value], [20, 4]]);
}

/** Attributes are integers, {float}, strings, lists of integers or strings, {floats}, {graph}, or tensors. */
export const node = (op, inputs, outputs, { name = '', domain = '', ...attributes } = {}) =>
  message([...all(1, inputs), ...all(2, outputs), [3, name], [4, op], ...all(5, Object.entries(attributes).map(attribute)), [7, domain]]);

const valueInfos = (number, values) => Object.entries(values).map(([name, type]) => [number, message([[1, name], [2, type]])]);

/** A graph, as a model or an attribute has it. `inputs` and `outputs` are types by name. */
export const graphOf = ({ nodes, inputs = {}, outputs, initializers = [] }) =>
  message([...all(1, nodes), [2, 'test'], ...all(5, initializers), ...valueInfos(11, inputs), ...valueInfos(12, outputs)]);

/** The bytes of a model. `domains` are versions by domain. */
export function model({ opset = 21, domains = { 'ai.onnx.ml': 4 }, ...rest }) {
  const graph = graphOf(rest);
  const opsets = Object.entries({ '': opset, ...domains }).map(([domain, version]) => message([[1, domain], [2, version]]));
  return new Uint8Array(message([[1, 10], [7, graph], ...all(8, opsets)]));
}

/** y = x + x */
export const doubling = (type = 'float32', shape = ['N']) =>
  model({
    nodes: [node('Add', ['x', 'x'], ['y'], { name: 'twice' })],
    inputs: { x: tensorType(type, shape) },
    outputs: { y: tensorType(type, shape) },
  });

/** y = x */
export const identity = (type) =>
  model({ nodes: [node('Identity', ['x'], ['y'])], inputs: { x: type }, outputs: { y: type } });

/** y = x + w, where w of 8 floats lies in another file. */
export const external = (location = 'weights.bin', offset = 0) =>
  model({
    nodes: [node('Add', ['x', 'w'], ['y'])],
    inputs: { x: tensorType('float32', [8]) },
    outputs: { y: tensorType('float32', [8]) },
    initializers: [tensor('w', 'float32', [8], { external: { location, offset, length: 32 } })],
  });
