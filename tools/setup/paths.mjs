/*
 * Where things lie. Everything that set-up fetches is in one folder, `.toolchain`, that git ignores; it may be a link to
 * a folder that several checkouts share. A stamp beside each part says which pin it was made from, so a part is made
 * again when its pin changes and never otherwise.
 */
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
mkdirSync(join(root, '.toolchain'), { recursive: true });
export const toolchain = realpathSync(join(root, '.toolchain'));

/** A path inside the toolchain folder. */
export const inToolchain = (...parts) => join(toolchain, ...parts);

export function sha256(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Fails with a clear sentence when a file is not the one that was pinned; the bad file is removed. */
export function checkSha256(path, expected, what) {
  const found = sha256(path);
  if (found === expected) return;
  rmSync(path, { force: true });
  throw new Error(`${what}: the download has SHA256 ${found}, expected ${expected}`);
}

/** An empty scratch folder inside the toolchain. */
export function scratch(name) {
  const folder = inToolchain('tmp', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

const stampOf = (name) => inToolchain('stamps', name);

/** Puts a finished folder in its place, replacing what was there: a half-made part is never seen under its name. */
export function place(from, name) {
  rmSync(stampOf(name), { force: true });
  rmSync(inToolchain(name), { recursive: true, force: true });
  renameSync(from, inToolchain(name));
}

/** Was the part `name` made from exactly this pin? */
export function isDone(name, pin) {
  return existsSync(stampOf(name)) && readFileSync(stampOf(name), 'utf8') === pin;
}

export function setDone(name, pin) {
  mkdirSync(inToolchain('stamps'), { recursive: true });
  writeFileSync(stampOf(name), pin);
}

/** Programs that set-up installs for the tests. */
export const programs = {
  node24: inToolchain(`node24/node_modules/node-linux-${process.arch}/bin/node`),
  python: inToolchain('venv/bin/python'),
  chromium: '/usr/bin/chromium',
};

/**
 * For every Node.js that tests run in: Node.js 20 may wait for ever at the end of a process for a thread that still
 * compiles JavaScript and lacks memory.
 */
export const nodeFlags = ['--no-concurrent-recompilation'];
