/*
 * One folder as ONNX's tests have them: model.onnx, and test_data_set_K with input_N.pb and output_N.pb. Its model is run by
 * any session that has the package's interface, and its answers are compared.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tensor } from '../../dist/weft.mjs';
import { compare } from './compare.mjs';
import { fileReaders, readFeeds, readFileValue } from './values.mjs';

/** Compares output `name`, the `n`-th, with PREFIX_N.pb or .json; says whether there is such a file. */
function compareFile(folder, prefix, n, name, outputs, readers, how) {
  const stem = join(folder, `${prefix}_${n}`);
  if (existsSync(`${stem}.pb`)) {
    const expected = readFileValue(readFileSync(`${stem}.pb`), readers[n], Tensor);
    const output = expected.name in outputs ? expected.name : name;
    compare(output, expected.value, outputs[output], how);
    return true;
  }
  if (!existsSync(`${stem}.json`)) return false;
  const maps = JSON.parse(readFileSync(`${stem}.json`, 'utf8')).value.map((map) => new Map(Object.entries(map)));
  const texts = (map) => new Map([...map].map(([key, value]) => [String(key), Number(value)]));
  compare(name, maps, outputs[name].map(texts), how);
  return true;
}

/** One of the prefixes' files must agree; where a prefix has no file, output_N stands for it. */
function compareOutput(folder, n, name, outputs, readers, how) {
  let failure;
  for (const prefix of how.expected) {
    try {
      const there = [prefix, 'output'].some((stem) => compareFile(folder, stem, n, name, outputs, readers, how));
      if (!there) throw new Error(`there is no answer to compare '${name}' with`);
      return;
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/**
 * Runs one folder's model on its data sets.
 * @param {{folder: string, rtol: number, atol: number, expected: string[]}} how
 * @param {(path: string) => Promise<any>} create makes a session of the model's file
 */
export async function checkFolder(how, create) {
  const path = join(how.folder, 'model.onnx');
  const session = await create(path);
  try {
    const readers = fileReaders(readFileSync(path));
    let k = 0;
    for (let data; existsSync((data = join(how.folder, `test_data_set_${k}`))); k++) {
      const outputs = await session.run(readFeeds(session, data, readers.input, Tensor));
      session.outputMetadata.forEach(({ name, type }, n) =>
        compareOutput(data, n, name, outputs, readers.output, { ...how, declared: type }));
    }
    if (k === 0) throw new Error('there is no test_data_set_0');
  } finally {
    await session.release();
  }
}
