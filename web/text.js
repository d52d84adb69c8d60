/*
 * UTF-8, by the host's own classes where it has them. An audio worklet has none, but may well run a model of voice activity.
 */

/** @param {string} text @returns {Uint8Array} */
function encode(text) {
  const escaped = encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd')); // with u only a lone one is a surrogate
  const bytes = escaped.replace(/%(..)/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
  return Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
}

/** @param {Uint8Array} bytes @returns {string} */
function decode(bytes) {
  try {
    return decodeURIComponent(Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''));
  } catch {
    return Array.from(bytes, (byte) => (byte < 128 ? String.fromCharCode(byte) : '\ufffd')).join('');
  }
}

const plainEncoder = {
  encode,
  /** @param {string} text @param {Uint8Array} into with room enough */
  encodeInto(text, into) {
    const bytes = encode(text);
    into.set(bytes);
    return { written: bytes.length };
  },
};

export const encoder = globalThis.TextEncoder ? new TextEncoder() : plainEncoder;
export const decoder = globalThis.TextDecoder ? new TextDecoder('utf-8', { ignoreBOM: true }) : { decode };
