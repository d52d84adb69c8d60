/*
 * A stream on its way to a worker. Few hosts can send a stream itself (WebKit cannot), all can send a port: the worker asks over it
 * for one piece after another, so that no more of a model waits than is read.
 */
import { compact } from './message.js';

/**
 * A port over which the pieces of a stream come when they are asked for, and what ends that and the stream.
 * @param {ReadableStream<Uint8Array>} stream @returns {{port: MessagePort, end: () => void}}
 */
export function sendStream(stream) {
  // Locked at once; one that is locked already is told as any other that cannot be read.
  const reader = new Promise((/** @type {(reader: ReadableStreamDefaultReader<Uint8Array>) => void} */ resolve) => resolve(stream.getReader()));
  reader.catch(() => {});
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = async () => {
    try {
      const { done, value } = await (await reader).read();
      port1.postMessage({ done, value: compact(value) });
    } catch (error) {
      port1.postMessage({ error: String(/** @type {Error} */ (error)?.message) });
    }
  };
  const end = () => {
    port1.close();
    reader.then((found) => found.cancel()).catch(() => {});
  };
  return { port: port2, end };
}

/** The stream again, in the worker. @param {MessagePort} port @returns {ReadableStream<Uint8Array>} */
export const receiveStream = (port) =>
  new ReadableStream({
    pull: (controller) =>
      new Promise((resolve) => {
        port.onmessage = ({ data: { done, value, error } }) => {
          if (error !== undefined) controller.error(new Error(error));
          else if (done) controller.close();
          else controller.enqueue(value);
          resolve();
        };
        port.postMessage(null);
      }),
    cancel() {
      port.onmessage = null; // an answer may be on its way
    },
  });
