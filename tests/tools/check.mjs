/*
 * `weft check --list FILE` for the JavaScript package: the same lists, the same lines of output.
 *
 *     node check.mjs SETTINGS MODULE FILE BYTES [--deterministic]
 *
 * SETTINGS is JSON for env.wasm; every session must run on MODULE, so that no other one is tested by mistake. It may
 * hold BYTES of memory; 0 stands for as much as there is.
 */
import { readFileSync } from 'node:fs';
import { env, InferenceSession } from '../../dist/weft.mjs';
import { checkFolder } from './folder.mjs';

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

/** No model and no data may lead to a defect of the engine: it ends the program. */
const isDefect = (error) => error.code === 'INTERNAL' || !(error.name === 'WeftError' || error.constructor === Error);

async function main([settings, module, list, maxMemory, deterministic]) {
  Object.assign(env.wasm, JSON.parse(settings));
  env.logLevel = 'error'; // cases in training mode are meant to be
  const create = async (path) => {
    const session = await InferenceSession.create(path, { limits: { maxMemory: Number(maxMemory) }, deterministic: deterministic !== undefined });
    const { module: found, why } = session.weft;
    if (found !== module) throw new Error(`the session runs on ${found}: ${why.join(' ')}`);
    return session;
  };
  let failed = 0;
  const lines = readFileSync(list, 'utf8').split('\n').filter(Boolean).map(parseLine);
  for (const how of lines) {
    try {
      await checkFolder(how, create);
      console.log(`ok ${how.folder}`);
    } catch (error) {
      if (isDefect(error)) throw error;
      failed++;
      console.log(`FAIL ${how.folder}: ${error.message.replaceAll('\n', ' ')}`);
    }
  }
  console.log(`${lines.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

await main(process.argv.slice(2));
