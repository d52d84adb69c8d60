/*
 * npm packages. The project's own (bundler, type checker, browser driver) are its devDependencies; what a compiler or a
 * test run needs beside them has a folder here with a package.json and a lock file, installed into the toolchain. npm
 * itself checks each download against the lock file's hash. No package's install script is run.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDone, place, root, scratch, setDone } from './paths.mjs';
import { run, step } from './run.mjs';

const npmCi = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

/** Installs tools/setup/<name>'s locked packages as .toolchain/<name>. */
export async function installNpm(name, why) {
  const source = join(root, 'tools/setup', name);
  const pin = readFileSync(join(source, 'package-lock.json'), 'utf8');
  if (isDone(name, pin)) return;
  await step(`npm packages "${name}": ${why}`, async () => {
    const folder = scratch(name);
    cpSync(source, folder, { recursive: true });
    await run('npm', npmCi, { cwd: folder, label: 'npm ci' });
    place(folder, name);
    setDone(name, pin);
  });
}

/** Installs the project's devDependencies; their stamp lies in node_modules, which no other checkout shares. */
export async function installDevDependencies() {
  const pin = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const stamp = join(root, 'node_modules/.weft-stamp');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === pin) return;
  await step('npm devDependencies: the bundler, the type checker, the browser driver', async () => {
    await run('npm', [...npmCi, '--include=dev'], { cwd: root, label: 'npm ci' });
    writeFileSync(stamp, pin);
  });
}
