/*
 * Spoils good models: cuts them off at every 64th of their length, and changes bytes, the same ones on every run.
 */

/** xorshift32: numbers from 0 below `limit`. */
function randomFrom(seed) {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** @param {Buffer} bytes */
export function* cuts(bytes) {
  for (let i = 0; i < 64; i++) yield bytes.subarray(0, Math.floor((bytes.length * i) / 64));
}

/** One to eight bytes changed, half of the time in the first kilobyte, where a model's structure is. */
export function* changes(bytes, count) {
  const random = randomFrom(0x9e3779b9 ^ bytes.length);
  for (let i = 0; i < count; i++) {
    const spoiled = Buffer.from(bytes);
    for (let n = 1 + random(8); n > 0; n--) {
      const at = random(random(2) ? Math.min(bytes.length, 1024) : bytes.length);
      spoiled[at] = random(2) ? spoiled[at] ^ (1 << random(8)) : random(256);
    }
    yield spoiled;
  }
}
