/*
 * The models of real exporters with their frameworks' answers. They are not part of the project: they lie beside it, in
 * ../shared/corpus, or there is nothing to test.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../tools/setup/paths.mjs';

const beside = join(root, '../shared/corpus');
export const missing = existsSync(beside) ? false : 'there is no ../shared/corpus';
/** Without links on the way: WASI hosts do not follow those that are absolute. */
export const corpus = missing ? beside : realpathSync(beside);

/** The answers that count, by the kind of a case; where there are two, either does. */
const answers = {
  model: ['output'],
  'ort-refuses': ['output'],
  'converter-mismatch': ['ort_output'],
  'quantized-loose': ['output', 'ort_output'],
};

function readCase(id) {
  const folder = join(corpus, id);
  const { kind, tolerance_suggested: tolerance } = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8'));
  const { rtol, atol } = tolerance ?? { rtol: 1e-3, atol: 1e-5 };
  return { id, folder, kind, rtol, atol, expected: answers[kind] ?? [] };
}

const all = missing ? [] : readdirSync(corpus).filter((id) => existsSync(join(corpus, id, 'meta.json'))).map(readCase);

/** Every case that has answers to agree with: {id, folder, kind, rtol, atol, expected}, expected naming the files' prefixes. */
export const listCases = () => all.filter(({ expected }) => expected.length > 0);

/** The names of the cases with a mistake that a user should hear about. */
export const listMistakes = () => all.filter(({ kind }) => kind === 'diagnose').map(({ id }) => id);
