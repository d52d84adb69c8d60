/*
 * Cases of single operators: those of the PyPI package onnx, which are its operators' specification in numbers, and our own,
 * which scripts beside this file make. All are written once into build/ and again when the packages or the script that
 * writes them changes.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { programs, root } from '../../tools/setup/paths.mjs';

/** The scripts that make our own cases, each of a kind of its name. */
export const scripts = ['edges', 'formulas', 'gradient', 'microsoft', 'ml', 'neural', 'search', 'upgrade', 'values', 'variants', 'versions'];

/** How many the package has of each kind; a case that is lost must be noticed. */
export const counts = { node: 1884, simple: 23, 'pytorch-converted': 82, 'pytorch-operator': 35, light: 9 };

/** What this build does not do, and why; which answers are random, and what may be in them. */
export const known = JSON.parse(readFileSync(join(root, 'tests/onnx/known.json'), 'utf8'));

const isMadeFrom = (folder, inputs) => existsSync(join(folder, 'made-from')) && readFileSync(join(folder, 'made-from'), 'utf8') === inputs;

/** Lets `script`.py fill build/`name`, unless it has; the folder. Test files run side by side: each fills one of its own, the first is kept. */
function generate(script, name) {
  const folder = join(root, 'build', name);
  const path = join(root, 'tests/onnx', `${script}.py`);
  const inputs = [path, join(root, 'tests/requirements.txt')].map((file) => readFileSync(file, 'utf8')).join('');
  if (isMadeFrom(folder, inputs)) return folder;
  const own = `${folder}.${process.pid}`;
  execFileSync(programs.python, [path, own], { stdio: ['ignore', 'ignore', 'inherit'] });
  writeFileSync(join(own, 'made-from'), inputs);
  if (isMadeFrom(folder, inputs)) {
    rmSync(own, { recursive: true });
  } else {
    rmSync(folder, { recursive: true, force: true });
    renameSync(own, folder);
  }
  return folder;
}

/** One case of `folder`, with the settings that `weft check --list` takes. */
function load(folder, id) {
  const told = join(folder, id, 'data.json');
  const { rtol, atol } = existsSync(told) ? JSON.parse(readFileSync(told, 'utf8')) : { rtol: 1e-4, atol: 1e-5 };
  const settings = [`rtol=${rtol}`, `atol=${id in known.random ? 'Infinity' : atol}`];
  return { id, folder: join(folder, id), settings };
}

/** The package's cases by kind. */
export function loadCases() {
  const folder = generate('generate', 'onnx-cases');
  const { cases } = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
  return Object.fromEntries(Object.entries(cases).map(([kind, names]) => [kind, names.map((name) => load(folder, `${kind}/${name}`))]));
}

/** Our own cases by kind. */
export function loadMadeCases() {
  return Object.fromEntries(scripts.map((kind) => {
    const folder = generate(kind, `${kind}-cases`);
    return [kind, readdirSync(join(folder, kind)).map((name) => load(folder, `${kind}/${name}`))];
  }));
}

/** Why a case may fail in a host; undefined if it must pass. */
export function reasonFor(id, failure, host) {
  const operator = /^node '.*?' \((\w+)\)/.exec(failure)?.[1];
  const decoded = operator === 'ImageDecoder' && host.decodesImages;
  return known.cases[id] ?? (decoded ? undefined : known.operators[operator]);
}
