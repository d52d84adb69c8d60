/* What the tests call in the page: window.weft, and a few functions that make models answer. */
import * as weft from '../dist/weft.mjs';

const { env, InferenceSession, Tensor } = weft;

/** 1 + 1, 2 + 2: the answer of the model that doubles. */
async function double(...source) {
  const session = await InferenceSession.create(...source);
  const { y } = await session.run({ x: new Tensor('float32', [1, 2]) });
  const { module, threads, why } = session.weft;
  await session.release();
  return { answer: [...y.data], module, threads, why };
}

/** The sum of a product's elements, several times: enough work for every thread. */
async function multiply(url, options) {
  const session = await InferenceSession.create(url, options);
  const x = new Tensor(Float32Array.from({ length: 65536 }, (_, i) => Math.sin(i)), [256, 256]);
  const sums = [];
  for (let i = 0; i < 5; i++) sums.push((await session.run({ x })).y.data.reduce((sum, value) => sum + value));
  await session.release();
  return { sums, threads: env.weft.threads };
}

Object.assign(window, { weft, double, multiply });
