/* The page's side of tests/tools/remote.mjs: sessions by number, values as JSON. */
import { env, InferenceSession, Tensor } from '../dist/weft.mjs';

const sessions = [];

/** A model in each of the forms that a page may have it in. */
const sources = {
  url: (url) => url,
  bytes: async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer()),
  stream: async (url) => (await fetch(url)).body,
  file: async (url) => new File([await (await fetch(url)).blob()], 'model.onnx'),
};

const toBase64 = (bytes) => {
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};

function pack(value) {
  if (value === null) return null;
  if (Array.isArray(value)) return { items: value.map(pack) };
  if (value instanceof Map) return { entries: [...value].map(([key, item]) => [typeof key === 'bigint' ? { big: `${key}` } : key, item]) };
  const { type, dims, data } = value;
  if (type === 'string') return { type, dims, strings: data };
  return { type, dims, bytes: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) };
}

function unpack(value) {
  if (value === null) return null;
  if (value.items) return value.items.map(unpack);
  if (value.strings) return new Tensor('string', value.strings, value.dims);
  const bytes = Uint8Array.from(atob(value.bytes), (letter) => letter.charCodeAt(0));
  const like = new Tensor(value.type, [], [0]).data;
  return new Tensor(value.type, new like.constructor(bytes.buffer), value.dims);
}

window.remote = {
  async create(url, source, { simd, ...options }) {
    env.wasm.simd = simd;
    const session = await InferenceSession.create(await sources[source](url), options);
    const { inputNames, outputNames, inputMetadata, outputMetadata, weft } = session;
    return { id: sessions.push(session) - 1, inputNames, outputNames, inputMetadata, outputMetadata, weft };
  },
  async run(id, feeds) {
    const given = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, unpack(value)]));
    const outputs = await sessions[id].run(given);
    return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, pack(value)]));
  },
  release: (id) => sessions[id].release(),
};
