/*
 * Running other programs, for every script in tools/: one place that decides what is shown, so that set-up and build
 * say one line a step, show progress where a step is long, and print everything only when something failed. It knows
 * nothing of what is run.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/** The full path of a program on PATH, or null. */
export function which(program) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program);
    if (folder && existsSync(path)) return path;
  }
  return null;
}

/**
 * Runs a program and resolves with its output; rejects with everything it printed when it fails.
 * @param {string} program
 * @param {string[]} args
 * @param {{cwd?: string, env?: object, label?: string}} [options] with a `label`, a line says every ten seconds how long
 *   the program took so far and what it said last
 * @returns {Promise<string>} what the program wrote to its standard output
 */
export function run(program, args, { cwd, env, label } = {}) {
  const started = Date.now();
  const out = [];
  const all = [];
  const lastLine = () => Buffer.concat(all.slice(-4)).toString().trim().split('\n').at(-1).slice(0, 80);
  const progress = () => console.log(`  ${label}, ${seconds(started)} so far: ${lastLine()}`);
  const ticker = label && setInterval(progress, 10_000);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (chunk) => (out.push(chunk), all.push(chunk)));
    child.stderr.on('data', (chunk) => all.push(chunk));
    child.on('error', (error) => reject(new Error(`${program}: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(out).toString());
      const said = Buffer.concat(all).toString().trimEnd();
      reject(new Error(`${program} ${args.join(' ')} failed (${signal ?? `exit code ${code}`})${said && `:\n${said}`}`));
    });
  }).finally(() => clearInterval(ticker));
}

/** Announces a step in one line, runs it, and says how long it took when that was noticeable. */
export async function step(what, work) {
  const started = Date.now();
  console.log(what);
  const result = await work();
  if (Date.now() - started > 2000) console.log(`  done in ${seconds(started)}`);
  return result;
}

/** Runs a script's main function: an error becomes one message and exit code 1. */
export function main(body) {
  body().then(
    (code) => {
      process.exitCode = code ?? 0;
    },
    (error) => {
      console.error(`\n${process.env.WEFT_TRACE ? error.stack : error.message}`);
      process.exitCode = 1;
    },
  );
}
