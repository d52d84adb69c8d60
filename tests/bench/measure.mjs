/*
 * One model on two engines in one process, in alternating rounds, so that whatever else the machine does hits both alike.
 * Runs in Node.js and in pages: everything comes in as arguments. An engine is onnxruntime-common's API and a name.
 */

/** Numbers in [-1, 1) that are the same everywhere. */
function generator(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) / 2 ** 31) - 1;
  };
}

const arrays = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array, int32: Int32Array,
  uint32: Uint32Array, int64: BigInt64Array, int16: Int16Array,
};

/**
 * The elements of one input: floats up to `scale` around 0 (from `above` on), all that bytes can be, token numbers, masks of
 * ones. With `below`, whole numbers from 0.
 */
export function fill({ name, dtype, shape, below, above, scale = 1 }, index) {
  const size = shape.reduce((a, b) => a * b, 1);
  const next = generator(index + 1);
  const whole = (/** @type {number} */ end) => Math.floor(((next() + 1) / 2) * end);
  const made = (/** @type {() => any} */ value) => arrays[dtype].from({ length: size }, value);
  if (dtype === 'int64') {
    const value = /mask/.test(name) ? () => 1 : /position|type/.test(name) ? () => 0 : () => whole(below ?? 1000);
    return made(() => BigInt(value()));
  }
  if (below !== undefined) return made(() => whole(below));
  if (dtype === 'bool') return made(() => whole(2));
  if (dtype === 'int16') return made(() => whole(65536) - 32768);
  if (dtype === 'uint8' || dtype === 'int8') return made(() => whole(256) - (dtype === 'int8' ? 128 : 0));
  return made(above === undefined ? () => scale * next() : () => above + Math.abs(next()));
}

/** The feeds that `inputs` (a list of {name, dtype, shape}) ask for. */
export function makeFeeds(engine, inputs) {
  return Object.fromEntries(
    inputs.map((input, i) => [input.name, new engine.Tensor(input.dtype, fill(input, i), input.shape)]),
  );
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The largest difference of two answers, relative to the largest element. */
function difference(a, b) {
  let largest = 0;
  let scale = 1e-6;
  for (const name of Object.keys(a)) {
    const [x, y] = [a[name].data, b[name].data];
    for (let i = 0; i < x.length; i++) {
      largest = Math.max(largest, Math.abs(Number(x[i]) - Number(y[i])));
      scale = Math.max(scale, Math.abs(Number(x[i])));
    }
  }
  return largest / scale;
}

/** Threads look for work for a while after a run, and caches hold the other engine's weights: no round is to pay for that. */
async function settle(run) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  await run();
}

/** What a run gives is read, as users do: until then an engine may leave it where it was made. */
function read(results) {
  for (const { data } of Object.values(results)) if (data === undefined) throw new Error('a result without data');
  return results;
}

/**
 * A run, or a step of a loop: what `loop` says (outputs by inputs) is fed to the next one unread, which begins anew after
 * STEPS. It is not disposed of, which libraries do not do either.
 * @returns {() => Promise<Record<string, any>>}
 */
function stepper(session, feeds, loop) {
  if (!loop) return async () => read(await session.run(feeds));
  const STEPS = 200;
  const carried = Object.values(loop);
  let fed = feeds;
  let steps = 0;
  return async () => {
    const results = await session.run(fed);
    read(Object.fromEntries(Object.entries(results).filter(([name]) => !carried.includes(name))));
    fed = { ...feeds };
    if (steps < STEPS) for (const [input, output] of Object.entries(loop)) fed[input] = results[output];
    steps = steps < STEPS ? steps + 1 : 0;
    return results;
  };
}

/** Runs until `ms` have passed, at least once; the mean time of a run. */
async function round(run, ms) {
  const begin = performance.now();
  let runs = 0;
  let now = begin;
  do {
    await run();
    runs++;
    now = performance.now();
  } while (now - begin < ms);
  return (now - begin) / runs;
}

/** @typedef {{operations: number, bytes: number, time: number, limits: {gflops: number, gbps: number}}} Work of one run */

/** What Weft counts in one run, how long its nodes take, and what the machine can do at best. @returns {Promise<Work | undefined>} */
async function workOf(session, run, ms) {
  if (!session.profile) return undefined;
  session.startProfiling();
  await round(run, ms);
  session.endProfiling();
  const { operators, runs, limits } = await session.profile();
  const sum = (key) => operators.reduce((all, row) => all + row[key], 0) / runs;
  return { operations: sum('operations'), bytes: sum('bytes'), time: sum('time'), limits };
}

/**
 * Measures `model` (bytes) on the engines.
 * @param {{name: string, InferenceSession: any, Tensor: any, options: object}[]} engines
 * @param {Uint8Array} model
 * @param {{name: string, dtype: string, shape: number[]}[]} inputs
 * @param {{rounds: number, warm: number, ms: number, loop?: Record<string, string>}} options rounds of at least `ms` each,
 *   after `warm` ms; of a loop, inputs and the outputs that are fed to them
 * @returns {Promise<{times: number[], load: number[], first: number[], difference: number, work: Work | undefined}>} per
 *   engine, in ms: a run; making a session; making it and the first answer; and what Weft says of the work
 */
export async function compare(engines, model, inputs, { rounds, warm, ms, loop }) {
  const sessions = [];
  const answers = [];
  const result = { times: [], load: [], first: [], difference: 0, work: undefined };
  for (const engine of engines) {
    const begin = performance.now();
    const session = await engine.InferenceSession.create(model, engine.options);
    const loaded = performance.now();
    const feeds = makeFeeds(engine, inputs);
    const made = performance.now();
    const run = stepper(session, feeds, loop);
    answers.push(await run());
    result.load.push(loaded - begin);
    result.first.push(loaded - begin + performance.now() - made);
    sessions.push({ session, run });
  }
  result.difference = answers.length > 1 ? difference(answers[0], answers[1]) : 0;
  for (const { run } of sessions) await round(run, warm);
  const times = sessions.map(() => []);
  for (let r = 0; r < rounds; r++) {
    for (const [i, { run }] of sessions.entries()) {
      await settle(run);
      times[i].push(await round(run, ms));
    }
  }
  result.times = times.map(median);
  result.work = await workOf(sessions[0].session, sessions[0].run, ms);
  for (const { session } of sessions) await session.release();
  return result;
}
