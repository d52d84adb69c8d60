/*
 * Writes small ONNX files by hand: protobuf is a list of fields, each a number, a wire type and a value.
 */
function varint(value) {
  const bytes = [];
  for (value = BigInt(value); value > 127n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  return Buffer.from([...bytes, Number(value)]);
}

/** A field: an integer, or a length and text or bytes. */
export function field(id, value) {
  if (typeof value === 'number') return Buffer.concat([varint(id << 3), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint((id << 3) | 2), varint(bytes.length), bytes]);
}

export const message = (...fields) => Buffer.concat(fields);

const floats = (values) => Buffer.from(new Float32Array(values).buffer);

/** A TensorProto of float32. */
export function tensor(name, dims, values) {
  return message(...dims.map((dim) => field(1, dim)), field(2, 1), field(8, name), field(9, floats(values)));
}

/** A float32 TensorProto whose elements are external; `entries` are its keys and values. */
export function externalTensor(name, dims, entries) {
  const list = Object.entries(entries).map(([key, value]) => field(13, message(field(1, key), field(2, value))));
  return message(...dims.map((dim) => field(1, dim)), field(2, 1), field(8, name), ...list, field(14, 1));
}

function valueInfo(name, dims) {
  const shape = message(...dims.map((dim) => field(1, message(field(1, dim)))));
  return message(field(1, name), field(2, message(field(1, message(field(1, 1), field(2, shape))))));
}

/** y = x + W for float32 tensors of one shape. */
export function additionModel(weight, dims) {
  const node = message(field(1, 'x'), field(1, 'W'), field(2, 'y'), field(4, 'Add'));
  const graph = message(
    field(1, node),
    field(2, 'addition'),
    field(5, weight),
    field(11, valueInfo('x', dims)),
    field(12, valueInfo('y', dims)),
  );
  return message(field(1, 10), field(7, graph), field(8, message(field(2, 21))));
}
