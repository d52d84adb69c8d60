/* The page: loads a model, shows what it takes, runs it, shows what it gives. Uses nothing but the package's public API. */
import { InferenceSession, Tensor, env } from './dist/weft.mjs';
import { parseNpy } from './npy.js';
import { makePad, paintPicture } from './pad.js';
import { element, inputView, outputView, profileView } from './views.js';

const digits = './models/digits/';
const at = (id) => document.getElementById(id);

/** What is loaded now, and what it ran on last. @type {{session: any, views: {name: string, read: Function}[], feeds?: object} | null} */
let current = null;
/** The last profile. */
let recorded = null;

function showError(error) {
  at('error').hidden = !error;
  at('error').textContent = error ? error.message : '';
}

function showFacts(name, session, ms) {
  const facts = {
    model: name,
    'loaded in': `${ms.toFixed(0)} ms`,
    module: `${env.weft.module}, ${env.weft.threads} thread${env.weft.threads > 1 ? 's' : ''}`,
    because: env.weft.why.join(' '),
  };
  at('facts').replaceChildren(...Object.entries(facts).flatMap(([term, text]) => [element('dt', {}, term), element('dd', {}, text)]));
}

function showProgress({ loaded, total }) {
  const bar = at('progress');
  if (total) Object.assign(bar, { max: total, value: loaded });
  else bar.removeAttribute('value');
}

/** Loads a model; on failure the one before stays. */
async function load(name, source, options = {}) {
  showError(null);
  at('progress').hidden = false;
  const begin = performance.now();
  try {
    const session = await InferenceSession.create(source, { ...options, onProgress: showProgress });
    await current?.session.release();
    showFacts(name, session, performance.now() - begin);
    const views = session.inputMetadata.map((input) => ({ name: input.name, ...inputView(input) }));
    current = { session, views };
    at('inputs').replaceChildren(...views.map(({ view }) => view));
    at('inputs-section').hidden = false;
    at('pad-section').hidden = true;
    at('outputs-section').hidden = true;
    at('profile-section').hidden = true;
    at('operators').replaceChildren();
    at('trace').hidden = true;
    return true;
  } catch (error) {
    showError(error);
    return false;
  } finally {
    at('progress').hidden = true;
  }
}

function showOutputs(outputs, times) {
  const sorted = [...times].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1];
  at('timing').textContent = times.length > 1
    ? `${median.toFixed(2)} ms, the median of ${times.length} runs (${sorted[0].toFixed(2)} to ${sorted.at(-1).toFixed(2)})`
    : `${median.toFixed(2)} ms`;
  at('outputs').replaceChildren(...Object.entries(outputs).map(([name, value]) => outputView(name, value)));
  at('outputs-section').hidden = false;
}

async function runTimes(feeds, count) {
  const { session } = current;
  current.feeds = feeds;
  const times = [];
  let outputs;
  for (let i = 0; i < count; i++) {
    const begin = performance.now();
    outputs = await session.run(feeds);
    times.push(performance.now() - begin);
  }
  showOutputs(outputs, times);
  at('profile-section').hidden = false;
}

/** Records runs on the last feeds: at least three, and as many as fit into half a second. */
async function profile() {
  const { session, feeds } = current;
  at('profile').disabled = true;
  try {
    session.startProfiling();
    const begin = performance.now();
    for (let i = 0; i < 3 || performance.now() - begin < 500; i++) await session.run(feeds);
    session.endProfiling();
    recorded = await session.profile();
    at('operators').replaceChildren(profileView(recorded));
    at('trace').hidden = false;
  } catch (error) {
    showError(error);
  } finally {
    at('profile').disabled = false;
  }
}

function saveTrace() {
  const url = URL.createObjectURL(new Blob([JSON.stringify(recorded.toTrace())], { type: 'application/json' }));
  element('a', { href: url, download: 'trace.json' }).click();
  URL.revokeObjectURL(url);
}

async function runInputs() {
  showError(null);
  at('run').disabled = true;
  try {
    const feeds = {};
    for (const { name, read } of current.views) {
      const { type, data, dims } = await read();
      feeds[name] = new Tensor(type, data, dims);
    }
    await runTimes(feeds, Math.max(1, Number(at('times').value)));
  } catch (error) {
    showError(error);
  } finally {
    at('run').disabled = false;
  }
}

/** Files together: one model, and the data files it refers to. */
async function loadFiles(files) {
  const list = [...files];
  const model = list.find(({ name }) => name.endsWith('.onnx')) ?? list[0];
  if (!model) return;
  const others = list.filter((file) => file !== model);
  const externalData = await Promise.all(others.map(async (file) => ({ path: file.name, data: new Uint8Array(await file.arrayBuffer()) })));
  await load(model.name, model, { externalData });
}

/* ---- the digit classifier ------------------------------------------------------------------------------------------ */
let waiting = null;
let busy = false;

/** Classifies the newest drawing; those that came while one was at work are skipped. */
async function classify(ink) {
  waiting = ink;
  if (busy) return;
  busy = true;
  try {
    while (waiting) {
      const image = new Tensor('float32', waiting, [1, 1, 28, 28]);
      waiting = null;
      await runTimes({ image }, 1);
    }
  } catch (error) {
    showError(error);
  } finally {
    busy = false;
  }
}

const pad = makePad(at('pad'), classify);

async function readSample(digit) {
  const response = await fetch(`${digits}sample_${digit}.npy`);
  return parseNpy(new Uint8Array(await response.arrayBuffer())).data;
}

async function showSamples() {
  const samples = await Promise.all(Array.from({ length: 10 }, (_, digit) => readSample(digit)));
  at('samples').replaceChildren(...samples.map((ink, digit) => {
    const canvas = element('canvas', { width: 40, height: 40 });
    paintPicture(canvas, ink);
    return element('button', { type: 'button', 'aria-label': `Sample ${digit}`, click: () => pad.show(ink) }, canvas);
  }));
  return samples;
}

async function loadDigits() {
  if (!(await load('digit classifier', `${digits}digits.onnx`))) return;
  at('inputs-section').hidden = true;
  at('pad-section').hidden = false;
  const samples = await showSamples();
  pad.show(samples[7]);
}

/* ---- wiring ---------------------------------------------------------------------------------------------------------- */
at('run').addEventListener('click', runInputs);
at('profile').addEventListener('click', profile);
at('trace').addEventListener('click', saveTrace);
at('clear').addEventListener('click', () => pad.clear());
at('digits').addEventListener('click', loadDigits);
at('files').addEventListener('change', (event) => loadFiles(event.target.files));
for (const name of ['dragenter', 'dragover', 'dragleave', 'drop']) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at('drop').classList.toggle('over', name === 'dragenter' || name === 'dragover');
  });
}
document.addEventListener('drop', (event) => loadFiles(event.dataTransfer.files));
loadDigits();
