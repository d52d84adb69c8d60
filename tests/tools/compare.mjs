/*
 * Compares values of the JavaScript package as `weft check` compares its own: a number is right when it is at most
 * atol + rtol * |expected| away. The first difference is thrown as one sentence.
 */
import { lengthOf, typeNamed, unpack } from '../../web/types.js';

/** Small floats: bits of exponent and mantissa, the exponent's bias, and how infinity and NaN are written. */
const floats = {
  float16: [5, 10, 15, 'ieee'],
  bfloat16: [8, 7, 127, 'ieee'],
  float8e4m3fn: [4, 3, 7, 'fn'],
  float8e4m3fnuz: [4, 3, 8, 'uz'],
  float8e5m2: [5, 2, 15, 'ieee'],
  float8e5m2fnuz: [5, 2, 16, 'uz'],
  float4e2m1: [2, 1, 1, 'none'],
  float6e2m3: [2, 3, 1, 'none'],
  float6e3m2: [3, 2, 3, 'none'],
};

function decode(bits, [exponentBits, mantissaBits, bias, special]) {
  const ones = (1 << exponentBits) - 1;
  const sign = (bits >> (exponentBits + mantissaBits)) & 1 ? -1 : 1;
  const exponent = (bits >> mantissaBits) & ones;
  const mantissa = bits & ((1 << mantissaBits) - 1);
  if (special === 'uz' && sign < 0 && exponent === 0 && mantissa === 0) return NaN;
  if (special === 'fn' && exponent === ones && mantissa === (1 << mantissaBits) - 1) return NaN;
  if (special === 'ieee' && exponent === ones) return mantissa === 0 ? sign * Infinity : NaN;
  const fraction = mantissa / (1 << mantissaBits);
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

/** A tensor's elements as numbers (64-bit integers as bigints); complex ones are two each. */
export function numbersIn({ type: name, data, dims }) {
  const type = typeNamed(name);
  if (type.bits < 8) {
    const size = dims.reduce((a, b) => a * b, 1);
    const each = new type.array(size);
    if (data.length === lengthOf(type, size)) unpack(type, data, each);
    else each.set(data);
    data = each;
  }
  if (name === 'float8e8m0') return Array.from(data, (bits) => (bits === 255 ? NaN : 2 ** (bits - 127)));
  if (!floats[name] || data.constructor.name === 'Float16Array') return data;
  return Array.from(data, (bits) => decode(bits & (2 ** type.bits - 1), floats[name]));
}

function isClose(expected, found, rtol, atol) {
  if (Object.is(expected, found) || expected === found) return true;
  const [e, f] = [Number(expected), Number(found)];
  return Number.isFinite(e) && Number.isFinite(f) && Math.abs(f - e) <= atol + rtol * Math.abs(e);
}

/** A framework may have answered in another floating type than the one its exporter declared. */
const isTypeRight = (expected, found, declared) =>
  expected.type === found.type || (found.type === declared && [expected, found].every(({ type }) => /^b?float/.test(type)));

const typeOf = ({ type, dims }) => `${type} [${dims}]`;

function compareTensors(name, expected, found, { rtol, atol, declared }) {
  const same = isTypeRight(expected, found, declared) && String(expected.dims) === String(found.dims);
  if (!same) throw new Error(`'${name}' is ${typeOf(found)}, expected ${typeOf(expected)}`);
  const strings = expected.type === 'string';
  const [e, f] = strings ? [expected.data, found.data] : [numbersIn(expected), numbersIn(found)];
  if (expected.type === 'bfloat16') rtol = Math.max(rtol, 2 ** -6); // two units in the last place, as onnx's own runner allows
  const wrong = Array.from(e, (_, i) => i).filter((i) => !(strings ? e[i] === f[i] : isClose(e[i], f[i], rtol, atol)));
  if (wrong.length === 0) return;
  const [i] = wrong;
  throw new Error(`${wrong.length} of ${e.length} elements of '${name}' differ; the first, ${i}, is ${f[i]}, expected ${e[i]}`);
}

const kindOf = (value) =>
  value === null ? 'absent' : value instanceof Map ? 'a map' : Array.isArray(value) ? 'a sequence' : 'a tensor';

/**
 * Throws when `found` is not `expected`.
 * @param {string} name @param {any} expected @param {any} found @param {{rtol: number, atol: number, declared?: string}} how the type the model declares, if any
 */
export function compare(name, expected, found, how) {
  if (kindOf(expected) !== kindOf(found)) throw new Error(`'${name}' is ${kindOf(found)}, expected ${kindOf(expected)}`);
  if (expected === null) return;
  if (expected instanceof Map || Array.isArray(expected)) {
    const [e, f] = [[...expected.entries()], [...found.entries()]];
    if (e.length !== f.length) throw new Error(`'${name}' has ${f.length} items, expected ${e.length}`);
    for (const [key, value] of e) {
      if (found instanceof Map && !found.has(key)) throw new Error(`'${name}' has nothing for the key '${key}'`);
      compare(`${name}[${key}]`, value, found instanceof Map ? found.get(key) : found[key], how);
    }
    return;
  }
  if (typeof expected === 'object') return compareTensors(name, expected, found, how);
  if (expected !== found && !isClose(expected, found, how.rtol, how.atol)) throw new Error(`'${name}' is ${found}, expected ${expected}`);
}
