/*
 * The JavaScript package: the API of onnxruntime-common, and what Weft adds to it.
 */
export { env, version } from './env.js';
export { WeftError } from './error.js';
export { InferenceSession } from './session.js';
export { Tensor } from './tensor.js';
// As onnxruntime's packages have it.
export * as default from './index.js';
