/*
 * Folders of cases that tests make: once, whole or not at all, also when two tests ask at the same time.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../tools/setup/paths.mjs';

/** build/cases/NAME, filled by `make` if it is not there yet. @param {string} name @param {(folder: string) => void} make */
export function makeOnce(name, make) {
  const all = join(root, 'build/cases');
  const folder = join(all, name);
  if (existsSync(folder)) return folder;
  mkdirSync(all, { recursive: true });
  const work = mkdtempSync(join(all, '.'));
  try {
    make(work);
    renameSync(work, folder);
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
