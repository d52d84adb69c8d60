/*
 * The cases of the PyPI package onnx, which are its operators' specification in numbers. They are written once into
 * build/onnx-cases and again when the package or the script that writes them changes.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { programs, root } from '../../tools/setup/paths.mjs';

const folder = join(root, 'build/onnx-cases');
const script = join(root, 'tests/onnx/generate.py');

/** How many the package has of each kind; a case that is lost must be noticed. */
export const counts = { node: 1884, simple: 23, 'pytorch-converted': 82, 'pytorch-operator': 35, light: 9 };

/** What this build does not do, and why; which answers are random, and what may be in them. */
export const known = JSON.parse(readFileSync(join(root, 'tests/onnx/known.json'), 'utf8'));

function generate() {
  const stamp = join(folder, 'made-from');
  const inputs = [script, join(root, 'tests/requirements.txt')].map((path) => readFileSync(path, 'utf8')).join('');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) return;
  execFileSync(programs.python, [script, folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  writeFileSync(stamp, inputs);
}

/** All cases by kind, each with the folder and the settings that `weft check --list` takes. */
export function loadCases() {
  generate();
  const { cases } = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
  const load = (kind, name) => {
    const id = `${kind}/${name}`;
    const { rtol, atol } = JSON.parse(readFileSync(join(folder, id, 'data.json'), 'utf8'));
    const settings = [`rtol=${rtol}`, `atol=${id in known.random ? 'Infinity' : atol}`];
    return { id, folder: join(folder, id), settings };
  };
  return Object.fromEntries(Object.entries(cases).map(([kind, names]) => [kind, names.map((name) => load(kind, name))]));
}

/** Why a case may fail in a host; undefined if it must pass. */
export function reasonFor(id, failure, host) {
  const operator = /^node '.*?' \((\w+)\)/.exec(failure)?.[1];
  const decoded = operator === 'ImageDecoder' && host.decodesImages;
  return known.cases[id] ?? (decoded ? undefined : known.operators[operator]);
}
