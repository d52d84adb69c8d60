/* What the page shows of a model: its inputs with ways to fill them, and its outputs. */
import { closedShape, makeInput } from './inputs.js';
import { parseNpy } from './npy.js';

/** An element with attributes (functions become listeners) and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(key, value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** A picture file as float values in [0, 1], in the layout [1, channels, height, width]. */
async function readImage(file, [, channels, height, width]) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  context.drawImage(await createImageBitmap(file), 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const plane = width * height;
  const values = new Float32Array(channels * plane);
  for (let i = 0; i < plane; i++) {
    const [red, green, blue] = data.subarray(i * 4, i * 4 + 3);
    if (channels === 1) values[i] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    else [red, green, blue].forEach((value, c) => (values[c * plane + i] = value / 255));
  }
  return values;
}

/**
 * One input: its name and type, a number for each open dimension, and what to fill it with.
 * @returns {{view: HTMLElement, read: () => Promise<{type: string, dims: number[], data: any}>}}
 */
export function inputView(input) {
  const dims = {};
  const isText = input.type === 'string';
  let how = isText ? 'text' : 'random';
  let file = null;
  const shape = input.shape ?? [];
  const open = [...new Set(shape.filter((dim) => typeof dim === 'string' && dim !== ''))];
  const chooser = element('input', { type: 'file', hidden: '', 'aria-label': `File for ${input.name}`, change: () => (file = chooser.files[0]) });
  const words = element('input', { type: 'text', 'aria-label': `Text of ${input.name}` });
  words.hidden = !isText;
  const choices = [...(isText ? ['text'] : ['random', 'zeros', 'ones']), '.npy file'];
  if (input.type === 'float32' && shape.length === 4) choices.push('picture');
  const fromFile = () => how === '.npy file' || how === 'picture';
  const select = element('select', {
    'aria-label': `Values of ${input.name}`,
    change() {
      how = select.value;
      chooser.hidden = !fromFile();
      words.hidden = how !== 'text';
      chooser.accept = how === 'picture' ? 'image/*' : '.npy';
    },
  }, ...choices.map((choice) => element('option', {}, choice)));
  const numbers = open.map((symbol) =>
    element('label', {}, `${symbol} `, element('input', {
      type: 'number', min: '0', value: '1', change: (event) => (dims[symbol] = Number(event.target.value)),
    })));
  const view = element('div', { class: 'value' },
    element('h3', {}, input.name),
    element('span', { class: 'kind' }, `${input.type} [${shape.join(', ')}]`),
    element('div', { class: 'row' }, select, words, chooser, ...numbers));

  async function read() {
    if (how === 'text') {
      const made = makeInput(input, 'zeros', dims);
      return { ...made, data: made.data.fill(words.value) };
    }
    if (!fromFile()) return makeInput(input, how, dims);
    if (!file) throw new Error(`Choose a file for the input '${input.name}'`);
    if (how === '.npy file') return parseNpy(new Uint8Array(await file.arrayBuffer()));
    const closed = closedShape(shape, dims);
    return { type: 'float32', dims: closed, data: await readImage(file, closed) };
  }
  return { view, read };
}

const show = (value) => (typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value));

/** The largest elements as bars, for a row of shares. */
export function barsView(data, names) {
  const order = Array.from(data.keys());
  if (data.length > 10) order.sort((a, b) => data[b] - data[a]).splice(10);
  const best = order.reduce((a, b) => (data[b] > data[a] ? b : a), order[0]);
  return element('div', { class: 'bars' }, ...order.flatMap((i) => [
    element('span', i === best ? { class: 'best' } : {}, names?.[i] ?? String(i)),
    element('span', { class: 'bar', style: `width: ${Math.max(0, Math.min(1, data[i])) * 100}%` }),
    element('span', { class: 'share' }, `${(data[i] * 100).toFixed(1)} %`),
  ]));
}

/** Whether these look like shares of one: what a classifier gives. */
function areShares(value) {
  if (value.type !== 'float32' || value.size < 2 || value.size > 100000 || value.dims.slice(0, -1).some((dim) => dim !== 1)) return false;
  const sum = value.data.reduce((a, b) => a + b, 0);
  return Math.abs(sum - 1) < 1e-3 && value.data.every((share) => share >= 0);
}

function statistics({ data, type }) {
  if (!type.startsWith('float') || data.length === 0) return '';
  let [least, most, sum] = [Infinity, -Infinity, 0];
  for (const value of data) {
    least = Math.min(least, value);
    most = Math.max(most, value);
    sum += value;
  }
  return `, ${show(least)} to ${show(most)}, mean ${show(sum / data.length)}`;
}

/** One output: a tensor, a list of values, a Map, or null. */
export function outputView(name, value) {
  const title = element('h3', {}, name);
  if (value === null) return element('div', { class: 'value' }, title, element('span', { class: 'kind' }, 'nothing'));
  if (Array.isArray(value)) {
    const few = value.slice(0, 8).map((item, i) => outputView(`${name}[${i}]`, item));
    return element('div', { class: 'value' }, title, element('span', { class: 'kind' }, `a sequence of ${value.length}`), ...few);
  }
  if (value instanceof Map) {
    const text = [...value].map(([key, item]) => `${key}: ${show(item)}`).join('\n');
    return element('div', { class: 'value' }, title, element('span', { class: 'kind' }, `a map of ${value.size}`), element('p', { class: 'numbers' }, text));
  }
  const kind = `${value.type} [${value.dims.join(', ')}]${statistics(value)}`;
  const view = element('div', { class: 'value' }, title, element('span', { class: 'kind' }, kind));
  if (areShares(value)) return view.append(barsView(value.data)), view;
  const few = Array.from(value.data.slice(0, 200), show);
  view.append(element('p', { class: 'numbers' }, few.join('  ') + (value.size > few.length ? '  ...' : '')));
  return view;
}

/** Where the time goes: operators as bars, and the longest nodes. */
export function profileView({ operators, nodes, runs, total, limits }) {
  const rate = ({ gflops, gbps }) => (gflops > 0 ? `${gflops.toFixed(1)} GFLOP/s` : `${gbps.toFixed(1)} GB/s`);
  const bars = (rows, name) => element('div', { class: 'bars' }, ...rows.flatMap((row, i) => [
    element('span', i === 0 ? { class: 'best' } : {}, name(row)),
    element('span', { class: 'bar', style: `width: ${Math.min(1, row.share) * 100}%`, title: rate(row) }),
    element('span', { class: 'share' }, `${(row.time / runs).toFixed(3)} ms, ${rate(row)}, ${(100 * row.limit).toFixed(0)} % of the limit`),
  ]));
  return element('div', {},
    element('p', { class: 'kind' }, `${runs} runs of ${(total / runs).toFixed(3)} ms; this machine's limits: `
      + `${limits.gflops.toFixed(1)} GFLOP/s, ${limits.gbps.toFixed(1)} GB/s`),
    element('h3', {}, 'Operators'), bars(operators.slice(0, 12), (row) => `${row.op} (${Math.round(row.calls / runs)})`),
    element('h3', {}, 'Nodes'), bars(nodes.slice(0, 12), (row) => `${row.node} (${row.op})`));
}
