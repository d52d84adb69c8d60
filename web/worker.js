/*
 * The inside of a worker that holds one engine: it answers the messages of proxy.js, one after another. Answers' data
 * changes hands instead of being copied.
 */
import { Engine } from './engine.js';
import { WeftError } from './error.js';
import { answerParent } from './host.js';
import { mapTensors } from './message.js';
import { OperatorClient } from './remote.js';
import { receiveStream } from './stream.js';
import { isTensor, keptOf } from './tensor.js';

/** @type {Engine} */
let engine;
/** @type {OperatorClient} */
let operators;

/** Results that stay here, by the numbers that the other side has for them. @type {Map<number, import('./tensor.js').Tensor>} */
const kept = new Map();
let keptCount = 0;

/** @param {any} tensor */
function nameKept(tensor) {
  if (!keptOf(tensor)) return tensor;
  kept.set(++keptCount, tensor);
  return { type: tensor.type, dims: tensor.dims, data: null, kept: keptCount };
}

/** A source as it was before it was sent. @param {any} sent */
const sourceOf = (sent) => (sent instanceof MessagePort ? receiveStream(sent) : sent);

/** Takes a module that was asked for. @type {(chosen: import('./module.js').Chosen) => void} */
let takeModule = () => {};

/** @param {string} wider why its addresses must have 64 bits @returns {Promise<import('./module.js').Chosen>} */
const askFor = (wider) =>
  new Promise((resolve) => {
    takeModule = resolve;
    post({ wider }, []);
  });

const methods = {
  /** @param {any} args */
  async load({ input, options, chosen, canWait }) {
    const onProgress = (/** @type {object} */ progress) => post({ progress }, []);
    operators = new OperatorClient(post, canWait);
    const externalData = options.externalData.map((/** @type {any} */ entry) => (entry.data ? { ...entry, data: sourceOf(entry.data) } : entry));
    const inside = { ...options, externalData, onProgress, operators: operators.list(options.operators) };
    engine = await Engine.load(sourceOf(input), inside, async (wider) => (wider ? askFor(wider) : chosen));
    return { inputs: engine.inputs, outputs: engine.outputs, warnings: engine.warnings, cancelFlag: canWait ? engine.cancelFlag : undefined };
  },
  /** @param {any} args */
  async run({ feeds, wanted, stays }) {
    const found = mapTensors(feeds, (tensor) => (tensor.kept === undefined ? tensor : kept.get(tensor.kept)));
    return mapTensors(await operators.run(() => engine.run(found, wanted, stays)), nameKept);
  },
  /** @param {any} args */
  read: ({ name }) => kept.get(name)?.getData(),
  /** @param {any} args */
  drop({ name }) {
    kept.get(name)?.dispose();
    kept.delete(name);
  },
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
    const buffers = method === 'run' ? buffersOf(value) : [];
    post({ id, value, memory: engine.memory }, buffers);
  } catch (cause) {
    const { code, message, node, op } = cause instanceof WeftError ? cause : new WeftError('INTERNAL', `${cause}`);
    const isThrown = cause instanceof WeftError && cause.cause !== undefined && cause.cause === operators?.failure;
    post({ id, error: { code, message, node, op, isThrown } }, []);
  }
}

/** The message before, done with: one that was cancelled may still be at work. */
let last = Promise.resolve();

const post = answerParent((message) => {
  if (message.answer) operators.take(message.answer);
  else if (message.chosen) takeModule(message.chosen);
  else last = last.then(() => answer(message));
});
