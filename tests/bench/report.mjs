/* What the benchmark prints: tables for people, and geometric means. */

/** What a model is, by its name, where models.json does not say. */
const groups = [
  [/int8|qdq/, 'int8'],
  [/4bit|nbits|int4|q4/, '4-bit'],
  [/lstm|gru|gtcrn|vad|audio|speech|kokoro|vits/, 'recurrent and audio'],
  [/bert|gpt|llm|minilm|vit_|whisper|qwen|llama|clip/, 'float transformers'],
  [/./, 'convolutional'],
];

const groupOf = ({ name, group }) => group ?? groups.find(([pattern]) => pattern.test(name))[1];

export const ms = (value) => (value < 1 ? value.toFixed(4) : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));

/** What a model adds to the memory before it: loaded and run, as multiples of its file. */
const memory = ({ peak, size }, i) => {
  const [before, loaded, run] = peak[i];
  return `${((loaded - before) / size).toFixed(1)}, ${((run - before) / size).toFixed(1)}`;
};

const both = (cell) => (row) => `${cell(row, 0)} | ${cell(row, 1)}`;
const ratio = (row) => (row.times[1] / row.times[0]).toFixed(2);

/** The rate of the work, and the time it needs at least as a share of what it took: of nodes, without copying feeds and results. */
function rate({ work: { operations, bytes, time, limits } }) {
  const [gflops, gbps] = [operations / time / 1e6, bytes / time / 1e6];
  const limit = 100 * Math.max(gflops / limits.gflops, gbps / limits.gbps);
  return `${operations > 0 ? `${gflops.toFixed(1)} GFLOP/s` : `${gbps.toFixed(1)} GB/s`}, ${limit.toFixed(0)} %`;
}

const against = [
  ['model', (row) => row.name, 26],
  ['threads', (row) => row.threads, 7],
  ['weft ms', (row) => ms(row.times[0]), 9],
  ['ort-web ms', (row) => ms(row.times[1]), 10],
  ['ratio', ratio, 6],
  ['differ by', (row) => row.difference.toExponential(0), 9],
];

const native = [
  ['native ms', (row) => ms(row.native), 9],
  ['weft/native', (row) => (row.times[0] / row.native).toFixed(2), 11],
];

/** Columns by kind of table: a head, what a row shows there, a width. */
export const tables = {
  models: (options) => [
    ...against,
    ...(options.native ? native : []),
    ...(options.cold
      ? [
          ['load ms', both((row, i) => ms(row.load[i])), 15],
          ['first result ms', both((row, i) => ms(row.first[i])), 15],
          ['memory of loading, running / file', both(memory), 24],
        ]
      : []),
  ],
  operators: (options) => [...against, ['node ms', (row) => ms(row.work.time), 8], ['rate, of limit', rate, 20], ...(options.native ? native : [])],
  wasi: () => [against[0], ['wasmtime ms', (row) => ms(row.times[0]), 11], ['node ms', (row) => ms(row.times[1]), 10], ['ratio', ratio, 6]],
};

const print = (columns, cell) => console.log(columns.map((column) => String(cell(column)).padEnd(column[2])).join('  ').trimEnd());

export const printHead = (columns) => print(columns, ([head]) => head);
export const printRow = (columns, row) => print(columns, ([, cell]) => cell(row));

const mean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Geometric means of the ratios, by group and of all. */
export function printMeans(rows, threads) {
  if (rows.length === 0) return;
  const ratios = (list) => list.map((row) => row.times[1] / row.times[0]);
  const names = [...new Set(rows.map(groupOf))];
  const lists = names.map((name) => [name, rows.filter((row) => groupOf(row) === name)]);
  console.log(`\ngeometric means of ratios, ${threads} thread${threads > 1 ? 's' : ''}:`);
  for (const [name, list] of [...lists, ['all', rows]]) {
    console.log(`  ${name.padEnd(24)} ${mean(ratios(list)).toFixed(2)} of ${list.length}, the least ${Math.min(...ratios(list)).toFixed(2)}`);
  }
  const gemm = rows.find((row) => row.name === 'gemm_512' && row.work);
  if (gemm) {
    const found = gemm.work.operations / gemm.work.time / 1e6;
    const { gflops } = gemm.work.limits;
    console.log(`  GEMM of 512: ${found.toFixed(1)} GFLOP/s, ${((100 * found) / gflops).toFixed(0)} % of the multiply-add rate of ${gflops.toFixed(1)}`);
  }
}
