/*
 * Operators that are functions of the caller: the core calls the one function that its module imports, with the number of
 * the operator; inputs and attributes are copied out for the function, its results are copied in. Nothing may be thrown
 * through the module, so what a function throws becomes the core's error, and its cause.
 */
import { argumentError, describe, WeftError } from './error.js';
import { isTensor } from './tensor.js';
import { typeNamed } from './types.js';
import { makeValue, readKnown, readValue, Scope } from './values.js';

/** @typedef {import('./wasm.js').Wasm} Wasm */
/** @typedef {import('./values.js').Value} Value */
/** @typedef {number | bigint | string | import('./tensor.js').Tensor} Attribute */
/** @typedef {(inputs: any[], attributes: Record<string, Attribute | Attribute[]>) => any} Run */
/** @typedef {Run | {run: Run, infer?: Run}} Operator */

/** Integers that a number cannot hold stay bigints. @param {bigint} value */
const integer = (value) => (BigInt.asIntN(53, value) === value ? Number(value) : value);

/** Reads item `i` of an attribute, by the element type. @type {Record<number, (wasm: Wasm, at: number, i: number) => any>} */
const readers = {
  0: (wasm, at, i) => readValue(wasm, wasm.readPointer(at, i)),
  1: (wasm, at, i) => wasm.view.getFloat32(at + 4 * i, true),
  7: (wasm, at, i) => integer(wasm.view.getBigInt64(at + 8 * i, true)),
  8: (wasm, at, i) => wasm.readString(at, i),
};

/** @param {Wasm} wasm @param {number} call */
function readAttributes(wasm, call) {
  const entries = wasm.readAttributes(call).map(({ name, type, list, count, data }) => {
    const items = Array.from({ length: count }, (_, i) => readers[type](wasm, data, i));
    return [name, list ? items : items[0]];
  });
  return Object.fromEntries(entries);
}

/** Absent ones are null. @param {Wasm} wasm @param {number} count @param {number} inputs @param {(wasm: Wasm, value: number) => any} read */
const readInputs = (wasm, count, inputs, read) =>
  Array.from({ length: count }, (_, i) => wasm.readPointer(inputs, i)).map((value) => (value ? read(wasm, value) : null));

/** The results as a list, one for each output of the node. @param {any} result */
function listResults(result) {
  if (isTensor(result)) return [result];
  if (Array.isArray(result)) return result;
  throw argumentError(`its function returned ${describe(result)}: expected a Tensor or an array of outputs`);
}

/** @param {Wasm} wasm @param {any[]} results @param {number} count @param {number} outputs */
function writeOutputs(wasm, results, count, outputs) {
  const scope = new Scope(wasm);
  try {
    results.slice(0, count).forEach((result, i) => {
      if (result === undefined) return;
      const type = isTensor(result?.[0]) ? typeNamed(result[0].type).id : 1; // of a sequence
      const value = makeValue(wasm, scope, { name: `output ${i}`, type, keyType: 7 }, result);
      wasm.call('weft_value_retain', value);
      wasm.writePointer(outputs, i, value);
    });
  } finally {
    scope.end();
  }
}

/** What infer says of the outputs; what it leaves out is known when the operator has run. @param {Wasm} wasm @param {any} told @param {number} count @param {number} outputs */
function writeInfos(wasm, told, count, outputs) {
  const list = Array.isArray(told) ? told : [told];
  list.slice(0, count).forEach((info, i) => {
    if (info === undefined || info === null) return;
    const type = typeNamed(info.type);
    const whole = Array.isArray(info.dims) && info.dims.length <= 16 && info.dims.every((/** @type {any} */ dim) => Number.isSafeInteger(dim) && dim >= 0);
    if (!whole) throw argumentError(`output ${i}: expected infer to return {type, dims}, found ${describe(info.dims)} as dims`);
    wasm.writeInfo(outputs + wasm.layout.info.size * i, type.id, info.dims);
  });
}

/** The outputs that a function makes. @param {Operator} operator @param {Value[]} inputs @param {any} attributes @returns {any[]} */
export const callOperator = (operator, inputs, attributes) =>
  listResults(typeof operator === 'function' ? operator(inputs, attributes) : operator.run(inputs, attributes));

/** What is told of an error that a function threw. @param {unknown} error */
export const sentenceOf = (error) => (error instanceof WeftError ? error.message : `its function threw ${error}`);

/** Tells the core what a function threw. @param {Wasm} wasm @param {number} call @param {unknown} error */
function fail(wasm, call, error) {
  const text = wasm.writeText(sentenceOf(error));
  try {
    return wasm.call('weft_custom_fail', call, text);
  } finally {
    wasm.free(text);
  }
}

/**
 * Registers operators with a loader whose session is to call them.
 * @param {Wasm} wasm @param {number} loader @param {readonly [string, Operator][]} operators by 'domain:Name'
 */
export function addOperators(wasm, loader, operators) {
  operators.forEach(([key, operator], number) => {
    const colon = key.lastIndexOf(':');
    const domain = wasm.writeText(key.slice(0, Math.max(colon, 0)));
    const name = wasm.writeText(key.slice(colon + 1));
    const infers = typeof operator !== 'function' && operator.infer !== undefined;
    wasm.run('weft_host_add_operator', loader, domain, name, number, infers ? 1 : 0);
    wasm.free(domain);
    wasm.free(name);
  });
  wasm.runOperator = (number, inputCount, inputs, outputCount, outputs, call, infers) => {
    const operator = /** @type {any} */ (operators[number][1]);
    try {
      const given = readInputs(wasm, inputCount, inputs, infers ? readKnown : readValue);
      const attributes = readAttributes(wasm, call);
      if (infers) writeInfos(wasm, operator.infer(given, attributes), outputCount, outputs);
      else writeOutputs(wasm, callOperator(operator, given, attributes), outputCount, outputs);
      return 0;
    } catch (error) {
      wasm.thrown = error;
      return fail(wasm, call, error);
    }
  };
}
