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

/** The elements of one input: floats around 0, token numbers, masks of ones. */
function fill({ name, dtype, shape }, index) {
  const size = shape.reduce((a, b) => a * b, 1);
  const next = generator(index + 1);
  if (dtype === 'int64') {
    const value = /mask/.test(name) ? () => 1n : /position|type/.test(name) ? () => 0n : () => BigInt(Math.floor((next() + 1) * 500));
    return BigInt64Array.from({ length: size }, value);
  }
  return Float32Array.from({ length: size }, next);
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

/** Runs until `ms` have passed, at least once; the mean time of a run. */
async function round(session, feeds, ms) {
  const begin = performance.now();
  let runs = 0;
  let now = begin;
  do {
    await session.run(feeds);
    runs++;
    now = performance.now();
  } while (now - begin < ms);
  return (now - begin) / runs;
}

/**
 * Measures `model` (bytes) on both engines.
 * @param {{name: string, InferenceSession: any, Tensor: any, options: object}[]} engines
 * @param {Uint8Array} model
 * @param {{name: string, dtype: string, shape: number[]}[]} inputs
 * @param {{rounds: number, warm: number, ms: number}} options rounds of at least `ms` each, after `warm` ms
 * @returns {Promise<{times: number[], load: number[], first: number[], difference: number}>} per engine, in ms: a run; making
 *   a session; making it and the first answer
 */
export async function compare(engines, model, inputs, { rounds, warm, ms }) {
  const sessions = [];
  const answers = [];
  const result = { times: [], load: [], first: [], difference: 0 };
  for (const engine of engines) {
    const begin = performance.now();
    const session = await engine.InferenceSession.create(model, engine.options);
    const loaded = performance.now();
    const feeds = makeFeeds(engine, inputs);
    const made = performance.now();
    answers.push(await session.run(feeds));
    result.load.push(loaded - begin);
    result.first.push(loaded - begin + performance.now() - made);
    sessions.push({ session, feeds });
  }
  result.difference = answers.length > 1 ? difference(answers[0], answers[1]) : 0;
  for (const { session, feeds } of sessions) await round(session, feeds, warm);
  const times = sessions.map(() => []);
  for (let r = 0; r < rounds; r++) {
    for (const [i, { session, feeds }] of sessions.entries()) times[i].push(await round(session, feeds, ms));
  }
  result.times = times.map(median);
  for (const { session } of sessions) await session.release();
  return result;
}
