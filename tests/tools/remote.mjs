/*
 * Sessions in a page of a browser with the interface of sessions here: values go over as JSON, numbers as base64 of their
 * bytes.
 */
import { typeNamed } from '../../web/types.js';
import { Tensor } from '../../dist/weft.mjs';

function pack(value) {
  if (value === null) return null;
  if (Array.isArray(value)) return { items: value.map(pack) };
  const { type, dims, data } = value;
  if (type === 'string') return { type, dims, strings: data };
  return { type, dims, bytes: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') };
}

function unpack(value) {
  if (value === null) return null;
  if (value.items) return value.items.map(unpack);
  if (value.entries) return new Map(value.entries.map(([key, item]) => [typeof key === 'object' ? BigInt(key.big) : key, item]));
  if (value.strings) return new Tensor('string', value.strings, value.dims);
  const bytes = new Uint8Array(Buffer.from(value.bytes, 'base64'));
  return new Tensor(value.type, new (typeNamed(value.type).array)(bytes.buffer), value.dims);
}

/**
 * A session of the model at `url`, in a page that has run tests/browser/page/remote.mjs.
 * @param {import('./browsers.mjs').Page} page
 * @param {'url' | 'bytes' | 'stream' | 'file'} source how the page gets the model
 * @param {{simd?: boolean | string, threads?: number, deterministic?: boolean}} settings env.wasm.simd, and options of the session
 */
export async function openRemote(page, url, source, settings) {
  const { id, ...session } = await page.evaluate((args) => window.remote.create(...args), [url, source, settings]);
  return {
    ...session,
    async run(feeds) {
      const packed = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, pack(value)]));
      const outputs = await page.evaluate((args) => window.remote.run(...args), [id, packed]);
      return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, unpack(value)]));
    },
    release: () => page.evaluate((which) => window.remote.release(which), id),
  };
}
