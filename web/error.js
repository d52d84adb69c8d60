/*
 * The one error class of the package. It must not know where errors come from: the core's statuses, loading and wrong
 * calls all end here, with the code of src/weft.h that fits.
 */

/** The names of weft_status, in its order. */
export const codes = /** @type {const} */ ([
  'OK',
  'INVALID_ARGUMENT',
  'INVALID_MODEL',
  'UNSUPPORTED',
  'OUT_OF_MEMORY',
  'LIMIT_EXCEEDED',
  'IO',
  'CANCELLED',
  'RUN_FAILED',
  'INTERNAL',
]);

/** @typedef {(typeof codes)[number]} Code */

/** What went wrong, as one sentence; `node` and `op` are empty when it belongs to no node of a model. */
export class WeftError extends Error {
  /**
   * @param {Code} code
   * @param {string} message
   * @param {{node?: string, op?: string, cause?: unknown}} [details]
   */
  constructor(code, message, { node = '', op = '', cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WeftError';
    this.code = code;
    this.node = node;
    this.op = op;
  }
}

/** @param {string} message */
export const argumentError = (message) => new WeftError('INVALID_ARGUMENT', message);

/**
 * What a cancelled call rejects with. The signal's own reason is kept as the cause.
 * @param {AbortSignal} signal
 */
export const cancelledError = (signal) => new WeftError('CANCELLED', 'cancelled by its AbortSignal', { cause: signal.reason });

/** @param {AbortSignal | undefined} signal */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw cancelledError(signal);
}

/** What is to be done when a signal is aborted. It has one listener for all: Node.js 20 warns of more than ten. @extends {Set<() => void>} */
class Actions extends Set {
  handleEvent() {
    for (const action of this) action();
  }
}

/** @type {WeakMap<AbortSignal, Actions>} */
const actionsOf = new WeakMap();

/** Calls `action` when the signal is aborted. @param {AbortSignal | undefined} signal @param {() => void} action @returns what ends that */
export function onAbort(signal, action) {
  if (!signal) return () => {};
  const actions = actionsOf.get(signal) ?? new Actions();
  actionsOf.set(signal, actions.add(action));
  signal.addEventListener('abort', actions);
  return () => {
    actions.delete(action);
    if (actions.size === 0) signal.removeEventListener('abort', actions);
  };
}

/**
 * Settles as the promise does, or at once when the signal is aborted.
 * @template T @param {Promise<T>} promise @param {AbortSignal | undefined} signal @returns {Promise<T>}
 */
export const unlessAborted = (promise, signal) =>
  new Promise((resolve, reject) => {
    const end = onAbort(signal, () => reject(cancelledError(/** @type {AbortSignal} */ (signal))));
    promise.then(resolve, reject).then(end);
  });

/** What `action` gives; its error says what it is about. @template T @param {string} what @param {() => T} action @returns {T} */
export function about(what, action) {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof WeftError) || error.message.startsWith(what)) throw error;
    throw new WeftError(error.code, `${what}: ${error.message}`, { cause: error.cause });
  }
}

/** How a value that is not what was asked for is named in a message. @param {unknown} value */
export function describe(value) {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `${typeof value} ${String(value).slice(0, 60)}`;
  return value.constructor?.name ?? 'an object';
}
