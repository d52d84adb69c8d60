/*
 * Files that one load has downloaded, kept by the host's cache storage (W3C, Service Workers, 5), so that later loads need no
 * network. A file is kept when it has been read to its end, and taken out again where no model came of it. Without
 * such storage, or room in it, files are downloaded every time. This file must not know what the bytes mean.
 */

/** A page that is not served safely has no storage, and one in a sandbox may not even ask for it. @param {string} name */
async function open(name) {
  try {
    return await globalThis.caches?.open(name);
  } catch {
    return undefined;
  }
}

export class Keeper {
  #cache;
  /** @type {URL[]} */
  #used = [];

  /** @param {string | undefined} name of the cache; undefined: nothing is kept */
  constructor(name) {
    this.#cache = name === undefined ? undefined : open(name);
  }

  /** Whether files that are read to their end are to be kept. */
  get keeps() {
    return this.#cache !== undefined;
  }

  /** What is kept of `url`. @param {URL} url @returns {Promise<Response | undefined>} */
  async find(url) {
    this.#used.push(url);
    return (await this.#cache)?.match(url).catch(() => undefined);
  }

  /**
   * Passes pieces on, and keeps them as the file at `url`. The slower of storage and reader sets the pace, so nothing piles up.
   * @param {URL} url @param {number | undefined} total @param {AsyncIterable<Uint8Array>} pieces that stay as they are
   */
  async *keep(url, total, pieces) {
    const cache = await this.#cache;
    if (!cache) return yield* pieces;
    const { readable, writable } = new TransformStream();
    const headers = total === undefined ? undefined : { 'content-length': `${total}` };
    let fits = true;
    const kept = cache.put(url, new Response(readable, { headers })).catch(() => (fits = false));
    const writer = writable.getWriter();
    writer.closed.catch(() => {}); // told by `kept`
    let whole = false;
    try {
      for await (const piece of pieces) {
        if (fits) await Promise.race([writer.write(piece).catch(() => {}), kept]);
        yield piece;
      }
      whole = true;
    } finally {
      await (whole ? writer.close() : writer.abort()).catch(() => {});
      await kept;
    }
  }

  /** What this load has used is kept no longer. */
  async forget() {
    const cache = await this.#cache;
    for (const url of this.#used) await cache?.delete(url);
  }
}
