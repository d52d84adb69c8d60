/*
 * Operators of the caller's in a session that has a worker: the functions stay on the thread that made the session, and the
 * worker asks for them. An operator's answer is needed at once, in the midst of a run. Where memory can be shared, the worker
 * waits for it. Elsewhere it cannot, since answers come as messages and a thread that waits takes none: there the run is broken
 * off, and begun again with the answers that have come so far.
 */
import { WeftError } from './error.js';
import { fromBytes, fromMessage, toBytes, toMessage } from './message.js';
import { callOperator, sentenceOf } from './operators.js';

/** @typedef {import('./operators.js').Operator} Operator */
/** @typedef {(message: any, transfer: Transferable[]) => void} Post */
/** A cell is two shared numbers: how far the answer is, and its bytes. @typedef {Int32Array} Cell */
/** @typedef {{number: number, inputs: any[], attributes: Map<string, any>}} Question */

const ASKED = 0;
const SIZED = 1;
const THERE = 2;

/* ---- where the functions are -------------------------------------------------------------------------------------------- */
export class OperatorServer {
  #operators;
  #post;
  /** The last answer, until the worker has made room for it. @type {Uint8Array} */
  #answer = new Uint8Array();
  /** What the last function to fail has thrown. @type {unknown} */
  thrown;

  /** @param {readonly [string, Operator][]} operators @param {Post} post to the worker */
  constructor(operators, post) {
    this.#operators = operators;
    this.#post = post;
  }

  /** @param {{question?: Question, cell?: Cell, room?: Uint8Array}} message */
  receive({ question, cell, room }) {
    if (question) this.#answer = this.#run(question);
    if (!cell) return this.#post({ answer: this.#answer }, []);
    room?.set(this.#answer);
    cell[1] = this.#answer.length;
    Atomics.store(cell, 0, room ? THERE : SIZED);
    Atomics.notify(cell, 0);
  }

  /** @param {Question} question */
  #run({ number, inputs, attributes }) {
    try {
      const results = callOperator(this.#operators[number][1], fromMessage(inputs), Object.fromEntries(fromMessage(attributes)));
      return toBytes({ results });
    } catch (error) {
      this.thrown = error;
      return toBytes({ sentence: sentenceOf(error) });
    }
  }
}

/* ---- in the worker ------------------------------------------------------------------------------------------------------ */
export class OperatorClient {
  #post;
  #canWait;
  #calls = 0;
  /** Of the calls of this run, in their order. @type {Uint8Array<ArrayBuffer>[]} */
  #answers = [];
  /** @type {Promise<Uint8Array<ArrayBuffer>> | undefined} */
  #awaited;
  /** Takes the answer that is awaited. @type {(answer: Uint8Array<ArrayBuffer>) => void} */
  take = () => {};
  /** The error that stands for what a function threw. @type {unknown} */
  failure;

  /** @param {Post} post @param {boolean} canWait whether memory can be shared */
  constructor(post, canWait) {
    this.#post = post;
    this.#canWait = canWait;
  }

  /** @param {readonly string[]} keys 'domain:Name' @returns {[string, Operator][]} */
  list(keys) {
    return keys.map((key, number) => [key, (inputs, attributes) => this.#ask(number, inputs, attributes)]);
  }

  /** @param {() => any} once */
  async run(once) {
    for (this.#answers = []; ; ) {
      this.#calls = 0;
      this.#awaited = undefined;
      try {
        return once();
      } catch (error) {
        if (!this.#awaited) throw error;
        this.#answers.push(await this.#awaited);
      }
    }
  }

  /** @type {(number: number, ...args: Parameters<Operator>) => any} */
  #ask(number, inputs, attributes) {
    const question = { number, inputs: toMessage(inputs), attributes: toMessage(new Map(Object.entries(attributes))) };
    const { results, sentence } = fromBytes(this.#canWait ? this.#wait(question) : this.#recall(question));
    if (results) return results;
    throw (this.failure = new WeftError('RUN_FAILED', sentence));
  }

  /** @param {Question} question */
  #wait(question) {
    const cell = new Int32Array(new SharedArrayBuffer(8));
    this.#post({ question, cell }, []);
    Atomics.wait(cell, 0, ASKED);
    const room = new Uint8Array(new SharedArrayBuffer(cell[1]));
    this.#post({ room, cell }, []);
    Atomics.wait(cell, 0, SIZED);
    return room.slice();
  }

  /** @param {Question} question */
  #recall(question) {
    const answer = this.#answers[this.#calls++];
    if (answer) return answer;
    this.#awaited = new Promise((resolve) => (this.take = resolve));
    this.#post({ question }, []);
    throw new WeftError('CANCELLED', 'the run begins again when the answer is there');
  }
}
