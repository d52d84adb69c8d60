/*
 * Pictures to tensors and back, as in onnxruntime-common: channels in the order of `tensorFormat` or `format`, one plane a
 * channel (NCHW) or one pixel after another (NHWC), values (pixel + bias) / mean. Pixels are RGBA bytes, as ImageData's. Only
 * decoding and scaling need a canvas; pixels of the right size work anywhere.
 */
import { argumentError, describe, WeftError } from './error.js';
import { isLocation } from './host.js';

/**
 * @typedef {object} ImageOptions
 * @property {string} [format] 'RGB', 'RGBA', 'BGR' or 'RBG', of the tensor in toImageData and toDataURL
 * @property {string} [tensorFormat] the same, of the tensor in fromImage
 * @property {'NCHW' | 'NHWC'} [tensorLayout]
 * @property {'float32' | 'uint8'} [dataType]
 * @property {number} [resizedWidth]
 * @property {number} [resizedHeight]
 * @property {{mean?: number | readonly number[], bias?: number | readonly number[]}} [norm]
 * @typedef {{data: Uint8ClampedArray | Uint8Array, width: number, height: number}} Pixels
 */

/** @param {number} width @param {number} height */
function makeCanvas(width, height) {
  if (typeof OffscreenCanvas !== 'undefined') return new OffscreenCanvas(width, height);
  if (typeof document === 'undefined') {
    throw new WeftError('UNSUPPORTED', 'this host has no canvas: only pixels that need no scaling can become a tensor');
  }
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** @param {{width: number, height: number}} size @returns {any} */
const contextOf = ({ width, height }) => makeCanvas(width, height).getContext('2d', { willReadFrequently: true });

/** Also of another realm. @param {any} image @returns {image is Pixels} */
const hasPixels = (image) => image?.data?.BYTES_PER_ELEMENT === 1 && typeof image.width === 'number';

/** What is decoded or scaled here, and its size, if it has one. @param {any} image @returns {{width: number, height: number}} */
const sizeOfImage = (image) => ({
  width: image?.naturalWidth ?? image?.videoWidth ?? image?.displayWidth ?? image?.width,
  height: image?.naturalHeight ?? image?.videoHeight ?? image?.displayHeight ?? image?.height,
});

/** @param {Blob} blob */
function decode(blob) {
  if (typeof createImageBitmap !== 'undefined') return createImageBitmap(blob);
  throw new WeftError('UNSUPPORTED', 'this host decodes no images: give their pixels, {data, width, height} of RGBA bytes');
}

/** @param {any} image what a canvas can draw, or pixels @param {number} width @param {number} height @returns {Pixels} */
function drawn(image, width, height) {
  let source = image;
  if (hasPixels(image)) {
    const whole = contextOf(image);
    whole.putImageData(new ImageData(Uint8ClampedArray.from(image.data), image.width, image.height), 0, 0);
    source = whole.canvas;
  }
  const context = contextOf({ width, height });
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** @param {any} image @param {ImageOptions} options @returns {Promise<Pixels>} */
async function pixelsOf(image, options) {
  if (isLocation(image)) {
    const response = await fetch(image);
    if (!response.ok) throw new WeftError('IO', `${image}: the server answered ${response.status} ${response.statusText}`);
    return pixelsOf(await response.blob(), options);
  }
  if (typeof Blob !== 'undefined' && image instanceof Blob) return pixelsOf(await decode(image), options);
  const size = sizeOfImage(image);
  const { resizedWidth: width = size.width, resizedHeight: height = size.height } = options;
  if (!(width > 0 && height > 0)) {
    throw argumentError(`expected pixels, a Blob, a URL or what a canvas draws (an image, a canvas, a video), found ${describe(image)}`);
  }
  if (hasPixels(image) && image.data.length !== 4 * image.width * image.height) {
    const expected = `${image.width} by ${image.height} pixels: expected ${4 * image.width * image.height} bytes, RGBA`;
    throw argumentError(`${expected}, found ${image.data.length}`);
  }
  return hasPixels(image) && image.width === width && image.height === height ? image : drawn(image, width, height);
}

/** The place of each of the tensor's channels in a pixel. @param {string} format */
function channelsOf(format) {
  const channels = [...format].map((letter) => 'RGBA'.indexOf(letter));
  if (['RGB', 'RGBA', 'BGR', 'RBG'].includes(format)) return channels;
  throw argumentError(`image format '${format}': expected RGB, RGBA, BGR or RBG`);
}

/** @param {number | readonly number[] | undefined} value @param {number} fallback @param {number} channel */
const perChannel = (value, fallback, channel) => (typeof value === 'number' ? value : (value?.[channel] ?? fallback));

/** How channel `c` of pixel `i` is found and scaled. @param {ImageOptions} options @param {number} channels @param {number} pixels @param {string} type */
function layoutOf(options, channels, pixels, type) {
  const last = options.tensorLayout === 'NHWC';
  /** @param {number} c */
  const scale = (c) => ({
    mean: perChannel(options.norm?.mean, type === 'uint8' ? 1 : 255, c),
    bias: perChannel(options.norm?.bias, 0, c),
  });
  return { scale, start: (/** @type {number} */ c) => (last ? c : c * pixels), step: last ? channels : 1 };
}

/** @param {any} image @param {ImageOptions} [options] */
export async function tensorFromImage(image, options = {}) {
  const { data, width, height } = await pixelsOf(image, options);
  const type = options.dataType ?? 'float32';
  const channels = channelsOf(options.tensorFormat ?? 'RGB');
  const pixels = width * height;
  const out = type === 'uint8' ? new Uint8Array(pixels * channels.length) : new Float32Array(pixels * channels.length);
  const layout = layoutOf(options, channels.length, pixels, type);
  channels.forEach((from, c) => {
    const { mean, bias } = layout.scale(c);
    for (let i = 0, to = layout.start(c); i < pixels; i++, to += layout.step) out[to] = (data[4 * i + from] + bias) / mean;
  });
  const shape = options.tensorLayout === 'NHWC' ? [1, height, width, channels.length] : [1, channels.length, height, width];
  return { type, data: out, dims: shape };
}

/** @param {import('./tensor.js').Tensor} tensor @param {ImageOptions} [options] @returns {ImageData} */
export function tensorToImageData(tensor, options = {}) {
  const dims = tensor.dims.length === 3 ? [1, ...tensor.dims] : tensor.dims;
  const [, first, second, third] = dims;
  const [count, height, width] = options.tensorLayout === 'NHWC' ? [third, first, second] : [first, second, third];
  if (dims.length !== 4 || dims[0] !== 1 || ![1, 3, 4].includes(count) || !(tensor.type === 'float32' || tensor.type === 'uint8')) {
    throw argumentError(`a ${tensor.type} tensor of dims [${tensor.dims}] is not one picture of 1, 3 or 4 channels`);
  }
  const channels = count === 1 ? [0, 0, 0] : channelsOf(options.format ?? (count === 4 ? 'RGBA' : 'RGB'));
  if (count !== 1 && channels.length !== count) throw argumentError(`the tensor has ${count} channels, not ${options.format}`);
  const pixels = width * height;
  const out = new Uint8ClampedArray(4 * pixels).fill(255);
  const layout = layoutOf(options, count, pixels, tensor.type);
  const data = /** @type {Float32Array | Uint8Array} */ (tensor.data);
  channels.forEach((to, c) => {
    const { mean, bias } = layout.scale(c);
    const begin = layout.start(count === 1 ? 0 : c);
    const place = count === 1 ? c : to;
    for (let i = 0, from = begin; i < pixels; i++, from += layout.step) out[4 * i + place] = data[from] * mean - bias;
  });
  return new ImageData(out, width, height);
}

/** @param {import('./tensor.js').Tensor} tensor @param {ImageOptions} [options] */
export function tensorToDataUrl(tensor, options) {
  const image = tensorToImageData(tensor, options);
  if (typeof document === 'undefined') throw new WeftError('UNSUPPORTED', 'toDataURL needs a page: use toImageData in workers');
  const canvas = document.createElement('canvas');
  canvas.width = image.width;
  canvas.height = image.height;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).putImageData(image, 0, 0);
  return canvas.toDataURL();
}
