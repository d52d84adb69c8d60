/*
 * Values as they go between a session's worker and the thread that made it: as plain objects in messages, and as bytes where
 * one side waits and cannot take messages. This file must not know workers.
 */
import { isTensor, keptOf, Tensor } from './tensor.js';
import { typeNamed } from './types.js';

const { slice } = Object.getPrototypeOf(Uint8Array.prototype); // Node.js' Buffer has another one, which copies nothing

/** A view that is sent takes its whole buffer along: parts are copied first. @param {any} data */
export function compact(data) {
  if (!ArrayBuffer.isView(data) || data.byteLength === data.buffer.byteLength) return data;
  return slice.call(data instanceof DataView ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data);
}

/** A value with `change` made of each of its tensors. @param {any} value @param {(tensor: any) => any} change @returns {any} */
export function mapTensors(value, change) {
  if (isTensor(value)) return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, change));
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [key, mapTensors(item, change)]));
  return value;
}

/** A value as plain objects; what a session keeps is only named. @param {any} value @returns {any} */
export const toMessage = (value) =>
  mapTensors(value, (tensor) => {
    const { type, dims } = tensor;
    const kept = keptOf(tensor)?.value;
    return kept === undefined ? { type, dims, data: compact(tensor.data) } : { type, dims, data: null, kept };
  });

/** @param {any} value @param {(name: number) => import('./tensor.js').Kept} [keep] where what is only named is @returns {any} */
export const fromMessage = (value, keep) =>
  mapTensors(value, ({ type, dims, data, kept }) =>
    kept === undefined || !keep ? new Tensor(type, data, dims) : new Tensor({ location: 'wasm', type, dims, kept: keep(kept) }),
  );

/* ---- bytes -------------------------------------------------------------------------------------------------------------- */
const ALIGNMENT = 16;
const aligned = (/** @type {number} */ size) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/** What JSON lacks becomes an object with the name of its kind. @param {any} value @param {(data: ArrayBufferView) => number} put @returns {any} */
function toJson(value, put) {
  if (value === undefined) return { none: true };
  if (typeof value === 'bigint') return { bigint: String(value) };
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => toJson(item, put));
  if (value instanceof Map) return { map: Array.from(value, ([key, item]) => [toJson(key, put), toJson(item, put)]) };
  if (!isTensor(value)) return { object: Object.entries(value).map(([key, item]) => [key, toJson(item, put)]) };
  const { type, dims, data } = value;
  return { tensor: ArrayBuffer.isView(data) ? { type, dims, at: put(data), length: data.length } : { type, dims, data } };
}

/** @param {any} value @param {(at: number, type: string, length: number) => any} take @returns {any} */
function fromJson(value, take) {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => fromJson(item, take));
  const { none, bigint, map, object, tensor } = value;
  if (none) return undefined;
  if (bigint) return BigInt(bigint);
  if (map) return new Map(fromJson(map, take));
  if (object) return Object.fromEntries(fromJson(object, take));
  return new Tensor(tensor.type, tensor.data ?? take(tensor.at, tensor.type, tensor.length), tensor.dims);
}

/** @param {any} value @returns {Uint8Array} */
export function toBytes(value) {
  /** @type {[number, Uint8Array][]} */
  const parts = [];
  let size = 0;
  const text = new TextEncoder().encode(JSON.stringify(toJson(value, ({ buffer, byteOffset, byteLength }) => {
    const at = size;
    parts.push([at, new Uint8Array(buffer, byteOffset, byteLength)]);
    size += aligned(byteLength);
    return at;
  })));
  const base = ALIGNMENT + aligned(text.length);
  const bytes = new Uint8Array(base + size);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, ALIGNMENT);
  for (const [at, part] of parts) bytes.set(part, base + at);
  return bytes;
}

/** @param {Uint8Array<ArrayBuffer>} bytes a whole buffer @returns {any} */
export function fromBytes({ buffer }) {
  const size = new DataView(buffer).getUint32(0, true);
  const base = ALIGNMENT + aligned(size);
  const text = new TextDecoder().decode(new Uint8Array(buffer, ALIGNMENT, size));
  return fromJson(JSON.parse(text), (at, type, length) => new (typeNamed(type).array)(buffer, base + at, length));
}
