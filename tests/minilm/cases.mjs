/* The sentence embedding as a folder that every host can run. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { programs, root } from '../../tools/setup/paths.mjs';
import { makeOnce } from '../tools/once.mjs';

export const missing = !existsSync(programs.python) && 'Python is not set up';

/** The answers are of double precision; the embeddings' length is 1. */
export function minilmCase() {
  const make = (folder) => execFileSync(programs.python, [join(root, 'tests/minilm/make.py'), folder], { timeout: 300_000 });
  const folder = makeOnce('minilm', make);
  return { id: 'minilm', folder, rtol: 0, atol: 2e-6, expected: ['output'], settings: ['rtol=0', 'atol=2e-6'] };
}
