/*
 * The inside of a worker that holds one engine: it answers the messages of proxy.js, one after another. Answers' data
 * changes hands instead of being copied.
 */
import { Engine } from './engine.js';
import { WeftError } from './error.js';
import { answerParent } from './host.js';
import { isTensor } from './tensor.js';

/** @type {Engine} */
let engine;

const methods = {
  /** @param {any} args */
  async load({ input, options, chosen }) {
    const onProgress = (/** @type {object} */ progress) => post({ progress }, []);
    engine = await Engine.load(input, { ...options, onProgress }, Promise.resolve(chosen));
    return { inputs: engine.inputs, outputs: engine.outputs, warnings: engine.warnings, cancelFlag: engine.cancelFlag };
  },
  /** @param {any} args */
  run: ({ feeds, wanted }) => engine.run(feeds, wanted),
  /** @param {any} args */
  record: ({ on }) => engine.record(on),
  profile: () => engine.profile(),
};

/** The buffers of all tensors in a value. @param {any} value @returns {ArrayBuffer[]} */
function buffersOf(value) {
  if (isTensor(value)) return ArrayBuffer.isView(value.data) ? [/** @type {ArrayBuffer} */ (value.data.buffer)] : [];
  if (Array.isArray(value)) return value.flatMap(buffersOf);
  return value instanceof Map ? [...value.values()].flatMap(buffersOf) : [];
}

/** @param {{id: number, method: keyof typeof methods, args: any}} message */
async function answer({ id, method, args }) {
  try {
    const value = await methods[method](args);
    post({ id, value, memory: engine.memory }, method === 'run' ? buffersOf(value) : []);
  } catch (cause) {
    const { code, message, node, op } = cause instanceof WeftError ? cause : new WeftError('INTERNAL', `${cause}`);
    post({ id, error: { code, message, node, op } }, []);
  }
}

const post = answerParent(answer);
