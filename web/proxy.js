/*
 * An engine in a worker: the same face as engine.js, but every call is a message and its answer a promise, so the caller's
 * thread stays free. Each has a worker of its own. A run that is cancelled is answered at once. If the module has threads,
 * and so shares its memory, the worker stops soon too; otherwise it goes on to the run's end before it takes what comes next.
 */
import { noMemory } from './engine.js';
import { argumentError, cancelledError, onAbort, throwIfAborted, WeftError } from './error.js';
import { isLocation, resolveLocation, startWorker, threadsRefused } from './host.js';
import { compact, fromMessage, mapTensors, toMessage } from './message.js';
import { OperatorServer } from './remote.js';
import { streamOf } from './source.js';
import { sendStream } from './stream.js';

/** @typedef {import('./wasm.js').Info} Info */
/** @typedef {import('./values.js').Value} Value */
/** @typedef {import('./engine.js').Choose} Choose */
/** @typedef {import('./options.js').LoadOptions} LoadOptions */
/** @typedef {{resolve: (answer: {value?: any, error?: any, cause?: unknown}) => void, reject: (error: Error) => void}} Pending */
/** @typedef {ReturnType<typeof sendStream>} Sent */

/* ---- what may be sent --------------------------------------------------------------------------------------------------- */
/** Node.js cannot send what openAsBlob makes of a file. @param {Blob} blob */
function canBeSent(blob) {
  try {
    return Boolean(structuredClone(blob));
  } catch {
    return false;
  }
}

/** A model's source as it can be sent; `streams` gets those that go by a port. @param {any} input @param {Sent[]} streams */
function sourceToMessage(input, streams) {
  if (isLocation(input)) return resolveLocation(input).href;
  if (typeof Response !== 'undefined' && input instanceof Response) {
    if (!input.ok) throw new WeftError('IO', `${input.url || 'the response'}: the server answered ${input.status} ${input.statusText}`);
    return sourceToMessage(input.body ?? new Uint8Array(), streams);
  }
  if (typeof Blob !== 'undefined' && input instanceof Blob && !canBeSent(input)) return sourceToMessage(streamOf(input), streams);
  if (typeof ReadableStream === 'undefined' || !(input instanceof ReadableStream)) return compact(input);
  const sent = sendStream(input);
  streams.push(sent);
  return sent.port;
}

/* ---- the engine --------------------------------------------------------------------------------------------------------- */
export class ProxyEngine {
  #worker;
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  #calls = 0;
  /** @type {Error | null} */
  #broken = null;
  #onProgress;
  #choose;
  #operators;
  /** @type {Int32Array | undefined} */
  #cancelFlag;
  /** @type {Info[]} */
  inputs = [];
  /** @type {Info[]} */
  outputs = [];
  /** @type {string[]} */
  warnings = [];
  memory = noMemory;
  home = this;
  /** It has turns enough. */
  needsTurn = false;

  /** @param {unknown} input @param {LoadOptions} options @param {Choose} choose */
  static async load(input, options, choose) {
    const engine = new ProxyEngine(options, choose);
    try {
      await engine.#load(input, options, await choose());
      return engine;
    } catch (error) {
      engine.stop();
      throw error;
    }
  }

  /** @param {LoadOptions} options @param {Choose} choose */
  constructor({ onProgress, operators }, choose) {
    this.#onProgress = onProgress;
    this.#choose = choose;
    this.#operators = new OperatorServer(operators, (message, transfer) => this.#worker.post(message, transfer));
    try {
      this.#worker = startWorker(
        (message) => this.#receive(message),
        (error) => this.#break(error),
      );
    } catch (cause) {
      throw new WeftError('UNSUPPORTED', `a session in a worker: ${/** @type {Error} */ (cause).message}`, { cause });
    }
  }

  /** @param {unknown} input @param {LoadOptions} options @param {import('./module.js').Chosen} chosen */
  async #load(input, options, chosen) {
    /** @type {Sent[]} */
    const streams = [];
    const { signal, onProgress, ...plain } = options;
    try {
      const message = {
        input: sourceToMessage(input, streams),
        options: {
          ...plain,
          wasm: undefined,
          operators: options.operators.map(([key]) => key),
          externalData: options.externalData.map((entry) =>
            isLocation(entry) ? String(entry) : { path: entry.path, data: sourceToMessage(entry.data, streams) },
          ),
        },
        chosen,
        canWait: threadsRefused() === '',
      };
      const { inputs, outputs, warnings, cancelFlag } = await this.#call('load', message, streams.map(({ port }) => port), signal);
      this.inputs = inputs;
      this.outputs = outputs;
      this.warnings = warnings;
      this.#cancelFlag = cancelFlag;
    } finally {
      for (const { end } of streams) end();
    }
  }

  /**
   * @param {[string, unknown][]} feeds @param {string[]} wanted @param {boolean[]} stays @param {AbortSignal} [signal]
   * @returns {Promise<Value[]>}
   */
  async run(feeds, wanted, stays, signal) {
    const plain = feeds.map(([name, value]) => [name, toMessage(value)]);
    const values = await this.#call('run', { feeds: plain, wanted, stays }, [], signal);
    return fromMessage(values, (name) => ({ home: this, value: name, read: () => this.#call('read', { name }, []), release: () => this.#drop(name) }));
  }

  /** A worker that is gone has nothing to give back. @param {number} name of a result that stays in the worker */
  #drop(name) {
    this.#call('drop', { name }, []).catch(() => {});
  }

  /** @param {boolean} on */
  record(on) {
    // A worker that is gone is told about by the next run.
    this.#call('record', { on }, []).catch(() => {});
  }

  /** @returns {Promise<import('./profile.js').Recorded>} */
  profile() {
    return this.#call('profile', {}, []);
  }

  stop() {
    this.#worker.stop();
    this.#break(argumentError('the session was released'));
  }

  /**
   * What fails in the worker is made an error where it is awaited: its stack then tells who called.
   * @param {string} method @param {object} args @param {Transferable[]} transfer @param {AbortSignal} [signal] @returns {Promise<any>}
   */
  async #call(method, args, transfer, signal) {
    if (this.#broken) throw this.#broken;
    throwIfAborted(signal);
    const id = this.#calls++;
    const { value, error, cause } = await new Promise((resolve, reject) => {
      const cancel = () => {
        if (this.#cancelFlag) Atomics.store(this.#cancelFlag, 0, 1);
        const late = /** @type {Pending} */ (this.#pending.get(id));
        late.resolve = ({ value }) => mapTensors(value, ({ kept }) => kept !== undefined && this.#drop(kept));
        reject(cancelledError(/** @type {AbortSignal} */ (signal)));
      };
      const settled = onAbort(signal, cancel);
      this.#pending.set(id, {
        resolve: (answer) => (settled(), resolve(answer)),
        reject: (error) => (settled(), reject(error)),
      });
      this.#worker.hold(true);
      this.#post({ id, method, args }, transfer);
    });
    if (error) throw new WeftError(error.code, error.message, { node: error.node, op: error.op, cause });
    return value;
  }

  /** @param {{id: number, method: string, args: object}} message @param {Transferable[]} transfer */
  #post(message, transfer) {
    try {
      this.#worker.post(message, transfer);
    } catch (cause) {
      const error = argumentError(`this cannot be sent to the session's worker: ${/** @type {Error} */ (cause).message}`);
      this.#receive({ id: message.id, error });
    }
  }

  /** @param {any} progress */
  #tell(progress) {
    try {
      this.#onProgress?.(progress);
    } catch (error) {
      this.#break(/** @type {Error} */ (error));
    }
  }

  /** The worker's model needs another module. @param {string} why */
  #widen(why) {
    this.#choose(why).then((chosen) => this.#worker.post({ chosen }, [])).catch((error) => this.#break(error));
  }

  /** @param {{id?: any, value?: any, error?: any, progress?: any, wider?: any, memory?: any, question?: any, room?: any, cell?: any}} message */
  #receive({ id, value, error, progress, wider, memory, ...asked }) {
    if (progress) return this.#tell(progress);
    if (wider) return this.#widen(wider);
    if (asked.question || asked.room) return this.#operators.receive(asked);
    this.memory = memory ?? this.memory;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker.hold(false);
    pending?.resolve({ value, error, cause: error?.isThrown ? this.#operators.thrown : undefined });
  }

  /** @param {Error} error */
  #break(error) {
    this.#broken ??= error;
    this.memory = noMemory;
    for (const { reject } of this.#pending.values()) reject(this.#broken);
    this.#pending.clear();
  }
}
