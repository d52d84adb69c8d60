/*
 * `weft check --list FILE` for the JavaScript package: the same lists, the same lines of output.
 *
 *     node check.mjs SETTINGS MODULE FILE
 *
 * SETTINGS is JSON for env.wasm; every session must run on MODULE, so that no other one is tested by mistake.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { env, InferenceSession, Tensor } from '../../dist/weft.mjs';
import { compare } from './compare.mjs';
import { fileReaders, readFeeds, readFileValue } from './values.mjs';


/** A line of a list: the folder, then settings between tabs. */
function parseLine(line) {
  const [folder, ...words] = line.split('\t');
  const settings = { folder, rtol: 1e-3, atol: 1e-7, expected: [] };
  for (const word of words) {
    const [key, value] = word.split('=');
    if (key === 'expected') settings.expected.push(value);
    else settings[key] = Number(value);
  }
  if (settings.expected.length === 0) settings.expected.push('output');
  return settings;
}

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

async function checkFolder(how, module) {
  const path = join(how.folder, 'model.onnx');
  const readers = fileReaders(readFileSync(path));
  const session = await InferenceSession.create(path);
  try {
    if (session.weft.module !== module) throw new Error(`the session runs on ${session.weft.module}: ${session.weft.why.join(' ')}`);
    let k = 0;
    for (let data; existsSync((data = join(how.folder, `test_data_set_${k}`))); k++) {
      const outputs = await session.run(readFeeds(session, data, readers.input, Tensor));
      session.outputNames.forEach((name, n) => compareOutput(data, n, name, outputs, readers.output, how));
    }
    if (k === 0) throw new Error('there is no test_data_set_0');
  } finally {
    await session.release();
  }
}

async function main([settings, module, list]) {
  Object.assign(env.wasm, JSON.parse(settings));
  let failed = 0;
  const lines = readFileSync(list, 'utf8').split('\n').filter(Boolean).map(parseLine);
  for (const how of lines) {
    try {
      await checkFolder(how, module);
      console.log(`ok ${how.folder}`);
    } catch (error) {
      failed++;
      console.log(`FAIL ${how.folder}: ${error.message}`);
    }
  }
  console.log(`${lines.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

await main(process.argv.slice(2));
