/* Where the benchmark measures: Node.js, Chromium, wasmtime, and native ONNX Runtime. Each in a process or page of its own. */
import { spawnSync } from 'node:child_process';
import { basename, dirname, join } from 'node:path';
import { launchChromium } from '../../tools/chromium.mjs';
import { serve } from '../../tools/serve.mjs';
import { inToolchain, programs, root } from '../../tools/setup/paths.mjs';

/** Runs a program that prints JSON on its last line. */
function start(program, args) {
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (error) throw error;
  if (status !== 0 && signal !== 'SIGKILL') throw new Error(stderr.trim().split('\n').slice(-6).join('\n'));
  return JSON.parse(stdout.trim().split('\n').pop());
}

/** What tests/bench/node.mjs does; the last word is an object. */
export function inNode(node, ...words) {
  const spec = JSON.stringify(words.pop());
  return start(node, [join(root, 'tests/bench/node.mjs'), ...words, spec]);
}

/** Milliseconds of a run in native ONNX Runtime. */
export const inNative = (path, spec) =>
  start(inToolchain('native/bin/python'), [join(root, 'tests/bench/native.py'), path, JSON.stringify(spec)]).time;

/** Milliseconds of a run of the command in wasmtime, on inputs that it makes up. */
export function inWasmtime(path, { rounds, ms }) {
  const host = join(root, 'tests/wasi/wasmtime_host.py');
  const seconds = String(Math.max(1, (rounds * ms) / 1000));
  return start(programs.python, [host, join(root, 'dist/weft.wasm'), dirname(path), 'bench', '--json', '--seconds', seconds, basename(path)]).median;
}

/** A page for each measurement, since memory of an earlier one may stay. @param {string} folder of the models */
export async function openPage(folder) {
  const browser = await launchChromium();
  const server = await serve({
    '/': join(root, 'tests/bench'),
    '/dist/': join(root, 'dist'),
    '/models/': folder,
    '/ort/': inToolchain('onnxruntime-web/node_modules/onnxruntime-web/dist'),
  });
  const inPage = async (method, ...args) => {
    const page = await browser.newPage();
    try {
      await page.goto(`${server.url}/page.html`);
      await page.waitForFunction('window.cold');
      return await page.evaluate(([name, list]) => window[name](...list), [method, args]);
    } finally {
      await page.close();
    }
  };
  return {
    compare: (name, spec) => inPage('benchmark', `/models/${name}.onnx`, spec),
    cold: (engine, name, spec) => inPage('cold', engine, `/models/${name}.onnx`, spec),
    async close() {
      await browser.close();
      server.close();
    },
  };
}
