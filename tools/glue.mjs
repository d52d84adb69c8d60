/*
 * Emscripten's glue, made ready for the package: what bundlers and other hosts than browsers and Node.js stumble over is
 * replaced, and the glue of modules of 32-bit and of 64-bit addresses becomes one.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** Replaces the one place where `from` occurs; another Emscripten may write its glue otherwise, and then must be looked at. */
function replaceOnce(text, from, to, where) {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${where}: expected "${from}" once, found it ${parts.length - 1} times`);
  return parts.join(to);
}

/** The longest common subsequence of two lists of lines, as pairs of places. */
function commonLines(a, b) {
  const most = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1)); // in common from two places on
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      most[i][j] = a[i] === b[j] ? most[i + 1][j + 1] + 1 : Math.max(most[i + 1][j], most[i][j + 1]);
    }
  }
  const pairs = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (most[i + 1][j] >= most[i][j + 1]) i++;
    else j++;
  }
  return pairs;
}

/**
 * One glue of two, for modules of 32-bit and of 64-bit addresses: where their statements, which have lines of their own,
 * differ, the option `wide` decides. Differences that are not whole statements make glue that cannot be parsed.
 */
function mergeGlues(narrow, wide) {
  const [a, b] = [narrow, wide].map((glue) => glue.split('\n'));
  const merged = [];
  let [i, j] = [0, 0];
  for (const [x, y] of [...commonLines(a, b), [a.length, b.length]]) {
    const [ours, theirs] = [a.slice(i, x), b.slice(j, y)].map((lines) => lines.join('\n'));
    if (ours || theirs) merged.push(`if (moduleArg["wide"]) {${theirs}} else {${ours}}`);
    if (x < a.length) merged.push(a[x]);
    [i, j] = [x + 1, y + 1];
  }
  // Threads begin with nothing but a message.
  const [sent, taken] = ['handlers, wasmMemory, wasmModule', 'wasmMemory = msgData.wasmMemory;'];
  const glue = replaceOnce(merged.join('\n'), taken, `${taken} moduleArg["wide"] = msgData.wide;`, 'the glue');
  return replaceOnce(glue, sent, `${sent}, wide: moduleArg["wide"]`, 'the glue');
}

/** A module's glue, prepared for bundlers; every statement has lines of its own. */
async function readGlue(path) {
  // The loader gives the module; a URL left in the glue would make bundlers ship one variant twice.
  let glue = replaceOnce(readFileSync(path, 'utf8'), `new URL("${basename(path, '.mjs')}.wasm",import.meta.url).href`, '""', path);
  // Bundlers for the browser cannot resolve Node.js' own modules even where they are never reached, and waiting at the top
  // level is not for every host. What runs when the file is loaded must not fail where Node.js is only imitated.
  glue = glue.replace(/\(await import\("(?:node:)?worker_threads"\)\)\./, 'process.getBuiltinModule?.("node:worker_threads")?.');
  glue = glue.replace(/await import\("(?:node:)?(\w+)"\)/g, 'process.getBuiltinModule("node:$1")');
  // Bun has a postMessage in every thread, but gives a thread's messages to its port alone.
  glue = glue.replace('if(!globalThis.postMessage)', 'if(!globalThis.postMessage||process.versions.bun)');
  // Deno has both too, but asks for a permission for the first.
  glue = glue.replace(/ENVIRONMENT_IS_NODE\?(?=require\("(?:node:)?os"\))/, '!globalThis.navigator?.hardwareConcurrency?');
  // Parcel would put a package of its own in the place of a free `process`.
  glue = glue.replace(/(?<![\w.])process(?=[.?])/g, 'globalThis.process');
  // A thread's file may lie on another origin than the page, or nowhere.
  glue = glue.replace('worker=new Worker(', 'worker=Module["workerFromElsewhere"]?.("weft.threads.mjs",{name:"em-pthread"})??new Worker(');
  // Expo takes a worker's file without a dot for a package.
  glue = glue.replace('new URL("weft.threads.mjs"', 'new URL("./weft.threads.mjs"');
  glue = glue.replace(/worker\.onerror=e=>\{.*?;throw e\}/, 'worker.onerror=Module["threadFailed"]');
  // Where glues differ there must be whole statements, and a function that is declared there would be known there alone.
  glue = glue.replaceAll('[b++>>>0]', '[b++]');
  glue = glue.replace('function _emscripten_get_heap_max(){return getHeapMax()}', 'var _emscripten_get_heap_max=()=>getHeapMax();');
  const { transform } = await import('esbuild');
  return (await transform(glue, { format: 'esm', target: 'es2022' })).code;
}

/** The glue that all of `modules`, by name with the paths of theirs, have in common; it is for one width or for both. */
export async function commonGlue(modules) {
  const glues = await Promise.all(modules.map(async ({ path, wide }) => ({ path, wide, text: await readGlue(path) })));
  const [narrow, wide] = [false, true].map((width) => {
    const [first, ...others] = glues.filter((glue) => glue.wide === width);
    const other = others.find(({ text }) => text !== first.text);
    if (other) throw new Error(`${other.path} differs from ${first.path}`);
    return first?.text;
  });
  const { transform } = await import('esbuild');
  const text = wide ? mergeGlues(narrow, wide) : narrow;
  return (await transform(text, { minify: true, format: 'esm', target: 'es2022' })).code;
}
