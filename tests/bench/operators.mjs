/*
 * Models of one operator each, in sizes that real models have, for `npm run bench -- --ops`: written to a folder as NAME.onnx
 * with a models.json, as the benchmark takes them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { model, node, tensor, tensorType } from '../js/onnx.mjs';
import { fill } from './measure.mjs';

/** An input that is fed. */
const feed = (dtype, ...shape) => ({ dtype, shape });
/** A constant with made-up elements. */
const weight = (dtype, ...shape) => ({ dtype, shape, constant: true });
/** A constant that is given: its elements are in `data`. */
const given = (dtype, shape, ...data) => ({ dtype, shape, data });
const ints = (...values) => given('int64', [values.length], ...values);
const f = (...shape) => feed('float32', ...shape);
const w = (...shape) => weight('float32', ...shape);
const scalar = (dtype, value) => given(dtype, [], value);
const float = (value) => ({ float: value });

const typed = {
  float32: Float32Array, int8: Int8Array, int16: Int16Array, uint8: Uint8Array, bool: Uint8Array, int32: Int32Array, int64: BigInt64Array,
};

function bytesOf({ dtype, data, ...rest }, index) {
  const elements = data ? typed[dtype].from(data.map(dtype === 'int64' ? BigInt : Number)) : fill({ name: '', dtype, ...rest }, index);
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}

/** One layer, as many inputs as units, with weights so small that rounding does not grow from step to step. */
function recurrent([name, operator, steps, batch, units, attributes]) {
  const directions = attributes.direction ? 2 : 1;
  const columns = units * { LSTM: 4, GRU: 3, RNN: 1 }[operator];
  const weights = [[columns, units], [columns, units], [2 * columns]].map((shape) => ({ ...w(directions, ...shape), scale: units ** -0.5 }));
  return [name, operator, [f(steps, batch, units), ...weights], { hidden_size: units, ...attributes }];
}

const random = (length) => ({ floats: fill({ name: '', dtype: 'float32', shape: [length] }, length) });

/** Full trees, of classes or of one target. */
function trees(count, depth, features, kind) {
  const [inner, size] = [2 ** depth - 1, 2 ** (depth + 1) - 1];
  const nodes = Array.from({ length: count * size }, (_, i) => ({ tree: Math.floor(i / size), id: i % size, leaf: i % size >= inner }));
  const leaves = nodes.filter(({ leaf }) => leaf);
  const branch = (value) => nodes.map((at) => (at.leaf ? 0 : value(at)));
  const common = {
    nodes_treeids: nodes.map(({ tree }) => tree), nodes_nodeids: nodes.map(({ id }) => id),
    nodes_modes: nodes.map(({ leaf }) => (leaf ? 'LEAF' : 'BRANCH_LEQ')), nodes_values: random(nodes.length),
    nodes_featureids: branch(({ tree, id }) => (tree * 31 + id * 17) % features),
    nodes_truenodeids: branch(({ id }) => 2 * id + 1), nodes_falsenodeids: branch(({ id }) => 2 * id + 2),
    [`${kind}_treeids`]: leaves.map(({ tree }) => tree), [`${kind}_nodeids`]: leaves.map(({ id }) => id),
    [`${kind}_ids`]: leaves.map(({ id }) => (kind === 'class' ? id % 3 : 0)), [`${kind}_weights`]: random(leaves.length),
  };
  return kind === 'class' ? { ...common, classlabels_int64s: [0, 1, 2] } : { ...common, n_targets: 1 };
}

/** By group: [name, operator, inputs, attributes, outputs (types)]; null is an absent input. */
const cases = {
  convolution: [
    ['conv_first_3x3_s2', 'Conv', [f(1, 3, 224, 224), w(32, 3, 3, 3), w(32)], { strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['conv_first_7x7_s2', 'Conv', [f(1, 3, 224, 224), w(64, 3, 7, 7), w(64)], { strides: [2, 2], pads: [3, 3, 3, 3] }],
    ['conv_1x1_56', 'Conv', [f(1, 64, 56, 56), w(256, 64, 1, 1), w(256)], {}],
    ['conv_1x1_14', 'Conv', [f(1, 96, 14, 14), w(576, 96, 1, 1), w(576)], {}],
    ['conv_1x1_7', 'Conv', [f(1, 960, 7, 7), w(320, 960, 1, 1), w(320)], {}],
    ['conv_3x3_56', 'Conv', [f(1, 64, 56, 56), w(64, 64, 3, 3), w(64)], { pads: [1, 1, 1, 1] }],
    ['conv_3x3_14', 'Conv', [f(1, 256, 14, 14), w(256, 256, 3, 3), w(256)], { pads: [1, 1, 1, 1] }],
    ['conv_3x3_s2_56', 'Conv', [f(1, 64, 56, 56), w(128, 64, 3, 3), w(128)], { strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['conv_3x3_dilated', 'Conv', [f(1, 64, 56, 56), w(64, 64, 3, 3), w(64)], { pads: [2, 2, 2, 2], dilations: [2, 2] }],
    ['conv_depthwise_3x3_112', 'Conv', [f(1, 96, 112, 112), w(96, 1, 3, 3), w(96)], { group: 96, pads: [1, 1, 1, 1] }],
    ['conv_depthwise_3x3_s2', 'Conv', [f(1, 144, 56, 56), w(144, 1, 3, 3), w(144)], { group: 144, pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['conv_depthwise_3x3_14', 'Conv', [f(1, 576, 14, 14), w(576, 1, 3, 3), w(576)], { group: 576, pads: [1, 1, 1, 1] }],
    ['conv_depthwise_5x5_14', 'Conv', [f(1, 480, 14, 14), w(480, 1, 5, 5), w(480)], { group: 480, pads: [2, 2, 2, 2] }],
    ['conv_grouped_3x3', 'Conv', [f(1, 128, 28, 28), w(128, 4, 3, 3), w(128)], { group: 32, pads: [1, 1, 1, 1] }],
    ['conv_grouped_3x3_s2', 'Conv', [f(1, 128, 56, 56), w(128, 16, 3, 3), w(128)], { group: 8, pads: [1, 1, 1, 1], strides: [2, 2] }],
    ['conv_3d', 'Conv', [f(1, 16, 16, 28, 28), w(32, 16, 3, 3, 3), w(32)], { pads: [1, 1, 1, 1, 1, 1] }],
    ['conv_3d_s2', 'Conv', [f(1, 3, 16, 112, 112), w(32, 3, 3, 3, 3)], { pads: [1, 1, 1, 1, 1, 1], strides: [1, 2, 2] }],
    ['conv_3d_depthwise', 'Conv', [f(1, 64, 8, 28, 28), w(64, 1, 3, 3, 3)], { group: 64, pads: [1, 1, 1, 1, 1, 1] }],
    ['conv_depthwise_7x7', 'Conv', [f(1, 96, 56, 56), w(96, 1, 7, 7), w(96)], { group: 96, pads: [3, 3, 3, 3] }],
    ['conv_patches', 'Conv', [f(1, 3, 224, 224), w(192, 3, 16, 16), w(192)], { strides: [16, 16] }],
    ['conv_1_filter', 'Conv', [f(1, 64, 112, 112), w(1, 64, 3, 3)], { pads: [1, 1, 1, 1] }],
    ['conv_1d_depthwise', 'Conv', [f(1, 256, 1000), w(256, 1, 31), w(256)], { group: 256, pads: [15, 15] }],
    ['conv_1d_k3', 'Conv', [f(1, 80, 3000), w(384, 80, 3), w(384)], { pads: [1, 1] }],
    ['conv_1d_waves', 'Conv', [f(1, 1, 16000), w(512, 1, 10)], { strides: [5] }],
    ['conv_transpose_2x2_s2', 'ConvTranspose', [f(1, 256, 28, 28), w(256, 128, 2, 2), w(128)], { strides: [2, 2] }],
    ['conv_transpose_4x4_s2', 'ConvTranspose', [f(1, 64, 32, 32), w(64, 64, 4, 4), w(64)], { strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['conv_transpose_depthwise', 'ConvTranspose', [f(1, 64, 32, 32), w(64, 1, 4, 4)], { group: 64, strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['conv_transpose_1d', 'ConvTranspose', [f(1, 256, 500), w(256, 128, 16), w(128)], { strides: [8], pads: [4, 4] }],
  ],
  'matrix products': [
    ['gemm_512', 'MatMul', [f(512, 512), w(512, 512)], {}],
    ['matmul_128x384x1536', 'MatMul', [f(1, 128, 384), w(384, 1536)], {}],
    ['matmul_197x192x192', 'MatMul', [f(1, 197, 192), w(192, 192)], {}],
    ['matmul_1x384x51865', 'MatMul', [f(1, 1, 384), w(384, 51865)], {}],
    ['matmul_7x768x768', 'MatMul', [f(1, 7, 768), w(768, 768)], {}],
    ['matmul_two_feeds', 'MatMul', [f(256, 256), f(256, 256)], {}],
    ['matmul_batched_qk', 'MatMul', [f(1, 12, 128, 32), f(1, 12, 32, 128)], {}],
    ['matmul_batched_av', 'MatMul', [f(1, 12, 128, 128), f(1, 12, 128, 32)], {}],
    ['gemm_m1_1280x1000', 'Gemm', [f(1, 1280), w(1000, 1280), w(1000)], { transB: 1 }],
    ['gemm_m64', 'Gemm', [f(64, 512), w(512, 512), w(512)], { transB: 1 }],
    ['einsum_bhid_bhjd', 'Einsum', [f(1, 12, 128, 64), f(1, 12, 128, 64)], { equation: 'bhid,bhjd->bhij' }],
    ['einsum_bij_jk', 'Einsum', [f(4, 64, 128), f(128, 256)], { equation: 'bij,jk->bik' }],
    ['einsum_transpose', 'Einsum', [f(512, 512)], { equation: 'ij->ji' }],
    ['matmul_few_columns', 'MatMul', [f(1, 4096, 64), w(64, 4)], {}],
    ['matmul_double', 'MatMul', [feed('float64', 128, 256), feed('float64', 256, 256)], {}],
  ],
  integers: [
    ['matmul_integer', 'MatMulInteger', [feed('uint8', 1, 128, 384), weight('int8', 384, 1536), scalar('uint8', 120), scalar('int8', 0)], {}, ['int32']],
    ['matmul_integer_m1', 'MatMulInteger', [feed('uint8', 1, 1, 768), weight('int8', 768, 768), scalar('uint8', 120), scalar('int8', 0)], {}, ['int32']],
    ['qlinear_matmul', 'QLinearMatMul', [feed('uint8', 1, 128, 384), scalar('float32', 0.02), scalar('uint8', 120), weight('int8', 384, 384),
      scalar('float32', 0.01), scalar('int8', 0), scalar('float32', 0.5), scalar('uint8', 128)], {}],
    ['qlinear_conv_1x1', 'QLinearConv', [feed('uint8', 1, 96, 14, 14), scalar('float32', 0.02), scalar('uint8', 120), weight('int8', 576, 96, 1, 1),
      scalar('float32', 0.01), scalar('int8', 0), scalar('float32', 0.5), scalar('uint8', 128)], {}],
    ['qlinear_conv_1x1_7', 'QLinearConv', [feed('uint8', 1, 960, 7, 7), scalar('float32', 0.02), scalar('uint8', 120), weight('int8', 165, 960, 1, 1),
      scalar('float32', 0.01), scalar('int8', 0), scalar('float32', 0.5), scalar('uint8', 128)], {}],
    ['qlinear_conv_3x3', 'QLinearConv', [feed('uint8', 1, 64, 56, 56), scalar('float32', 0.02), scalar('uint8', 120), weight('int8', 64, 64, 3, 3),
      scalar('float32', 0.01), scalar('int8', 0), scalar('float32', 0.5), scalar('uint8', 128)], { pads: [1, 1, 1, 1] }],
    ['qlinear_conv_depthwise', 'QLinearConv', [feed('uint8', 1, 144, 56, 56), scalar('float32', 0.02), scalar('uint8', 120), weight('int8', 144, 1, 3, 3),
      scalar('float32', 0.01), scalar('int8', 0), scalar('float32', 0.5), scalar('uint8', 128)], { group: 144, pads: [1, 1, 1, 1] }],
    ['dequantize_channels', 'DequantizeLinear', [feed('int8', 256, 1152), w(256), weight('int8', 256)], { axis: 0 }, ['float32']],
    ['qlinear_add', 'com.microsoft:QLinearAdd', [feed('uint8', 1, 64, 56, 56), scalar('float32', 0.02), scalar('uint8', 120),
      feed('uint8', 1, 64, 56, 56), scalar('float32', 0.03), scalar('uint8', 110), scalar('float32', 0.04), scalar('uint8', 128)], {}],
    ['dynamic_quantize', 'DynamicQuantizeLinear', [f(1, 128, 1536)], {}, ['uint8', 'float32', 'uint8']],
    ['quantize', 'QuantizeLinear', [f(1, 64, 112, 112), scalar('float32', 0.02), scalar('uint8', 120)], {}, ['uint8']],
    ['dequantize', 'DequantizeLinear', [feed('uint8', 1, 64, 112, 112), scalar('float32', 0.02), scalar('uint8', 120)], {}, ['float32']],
    ['quantize_int16', 'QuantizeLinear', [f(1, 64, 112, 112), scalar('float32', 0.001), scalar('int16', 0)], {}, ['int16']],
    ['dequantize_int16', 'DequantizeLinear', [feed('int16', 1, 64, 112, 112), scalar('float32', 0.001), scalar('int16', 0)], {}, ['float32']],
    ['dequantize_columns', 'DequantizeLinear', [feed('int8', 1152, 256), w(256)], { axis: 1 }, ['float32']],
    ['max_pool_uint8', 'MaxPool', [feed('uint8', 1, 64, 112, 112)], { kernel_shape: [2, 2], strides: [2, 2] }],
    ['matmul_nbits_m1', 'com.microsoft:MatMulNBits', [f(1, 1, 2048), weight('uint8', 2048, 64, 16), { ...w(2048 * 64), above: 0.01 }],
      { K: 2048, N: 2048, bits: 4, block_size: 32 }],
    ['matmul_nbits_m128', 'com.microsoft:MatMulNBits', [f(1, 128, 768), weight('uint8', 768, 24, 16), { ...w(768 * 24), above: 0.01 }],
      { K: 768, N: 768, bits: 4, block_size: 32 }],
  ],
  'rows and attention': [
    ['softmax_128', 'Softmax', [f(1, 12, 128, 128)], { axis: -1 }],
    ['softmax_1500', 'Softmax', [f(1, 6, 256, 1500)], { axis: -1 }],
    ['softmax_channels', 'Softmax', [f(1, 21, 128, 128)], { axis: 1 }],
    ['softmax_middle', 'Softmax', [f(1, 16, 4, 8400)], { axis: 1 }],
    ['softmax_narrow', 'Softmax', [f(1, 8400, 4, 16)], { axis: -1 }],
    ['log_softmax', 'LogSoftmax', [f(1, 128, 4096)], { axis: -1 }],
    ['lp_normalization', 'LpNormalization', [f(197, 768)], { axis: -1, p: 2 }],
    ['lp_normalization_1', 'LpNormalization', [f(197, 768)], { axis: -1, p: 1 }],
    ['layer_norm_384', 'LayerNormalization', [f(1, 128, 384), w(384), w(384)], { axis: -1 }],
    ['layer_norm_768', 'LayerNormalization', [f(1, 197, 768), w(768), w(768)], { axis: -1 }],
    ['instance_norm', 'InstanceNormalization', [f(1, 64, 128, 128), w(64), w(64)], {}],
    ['batch_norm', 'BatchNormalization', [f(1, 64, 112, 112), w(64), w(64), w(64), { ...w(64), above: 0.5 }], {}],
    ['group_norm', 'GroupNormalization', [f(1, 64, 64, 64), w(8), w(8)], { num_groups: 8 }],
    ['skip_layer_norm', 'com.microsoft:SkipLayerNormalization', [f(1, 128, 768), f(1, 128, 768), w(768), w(768)], {}],
    ['rms_norm', 'SimplifiedLayerNormalization', [f(1, 128, 768), w(768)], { axis: -1 }],
    ['lrn', 'LRN', [f(1, 64, 56, 56)], { size: 5 }],
    ['rotary', 'com.microsoft:RotaryEmbedding', [f(1, 12, 128, 64), given('int64', [1], 0), w(256, 32), w(256, 32)], {}],
    ['attention', 'Attention', [f(1, 12, 128, 32), f(1, 12, 128, 32), f(1, 12, 128, 32)], {}],
    ['attention_3_heads', 'Attention', [f(1, 3, 197, 64), f(1, 3, 197, 64), f(1, 3, 197, 64)], {}],
    ['attention_masked', 'Attention', [f(1, 12, 128, 64), f(1, 12, 128, 64), f(1, 12, 128, 64), f(1, 1, 128, 128)], {}],
    ['attention_causal', 'Attention', [f(1, 12, 128, 64), f(1, 12, 128, 64), f(1, 12, 128, 64)], { is_causal: 1 }],
    ['attention_grouped', 'Attention', [f(1, 12, 128, 64), f(1, 3, 128, 64), f(1, 3, 128, 64)], {}],
    ['multi_head_attention', 'com.microsoft:MultiHeadAttention', [f(1, 128, 384), f(1, 128, 384), f(1, 128, 384)], { num_heads: 12 }],
  ],
  elementwise: [
    ['relu', 'Relu', [f(1, 64, 112, 112)], {}],
    ['clip', 'Clip', [f(1, 96, 112, 112), scalar('float32', 0), scalar('float32', 6)], {}],
    ['leaky_relu', 'LeakyRelu', [f(1, 64, 112, 112)], { alpha: float(0.1) }],
    ['prelu', 'PRelu', [f(1, 64, 112, 112), w(64, 1, 1)], {}],
    ['hard_swish', 'HardSwish', [f(1, 64, 112, 112)], {}],
    ['hard_sigmoid', 'HardSigmoid', [f(1, 64, 112, 112)], {}],
    ['elu', 'Elu', [f(1, 64, 80, 80)], {}],
    ['selu', 'Selu', [f(1, 64, 80, 80)], {}],
    ['celu', 'Celu', [f(1, 64, 80, 80)], { alpha: float(1.5) }],
    ['softsign', 'Softsign', [f(1, 64, 80, 80)], {}],
    ['thresholded_relu', 'ThresholdedRelu', [f(1, 64, 80, 80)], {}],
    ['shrink', 'Shrink', [f(1, 64, 80, 80)], {}],
    ['tan', 'Tan', [f(1, 64, 80, 80)], {}],
    ['softplus', 'Softplus', [f(1, 64, 80, 80)], {}],
    ['mish', 'Mish', [f(1, 64, 80, 80)], {}],
    ['floor', 'Floor', [f(1, 64, 80, 80)], {}],
    ['round', 'Round', [f(1, 64, 80, 80)], {}],
    ['sign', 'Sign', [f(1, 64, 80, 80)], {}],
    ['reciprocal', 'Reciprocal', [f(1, 64, 80, 80)], {}],
    ['atan', 'Atan', [f(1, 64, 80, 80)], {}],
    ['is_nan', 'IsNaN', [f(1, 64, 80, 80)], {}, ['bool']],
    ['is_inf', 'IsInf', [f(1, 64, 80, 80)], {}, ['bool']],
    ['sigmoid', 'Sigmoid', [f(1, 64, 80, 80)], {}],
    ['tanh', 'Tanh', [f(1, 64, 80, 80)], {}],
    ['exp', 'Exp', [f(1, 64, 80, 80)], {}],
    ['log', 'Log', [{ ...f(1, 64, 80, 80), above: 0.1 }], {}],
    ['erf', 'Erf', [f(1, 128, 1536)], {}],
    ['gelu', 'Gelu', [f(1, 128, 1536)], {}],
    ['sqrt', 'Sqrt', [{ ...f(1, 64, 80, 80), above: 0 }], {}],
    ['pow_2', 'Pow', [f(1, 64, 80, 80), scalar('float32', 2)], {}],
    ['pow_feed', 'Pow', [{ ...f(1, 64, 80, 80), above: 0.1 }, f(1, 64, 80, 80)], {}],
    ['pow_half', 'Pow', [{ ...f(1, 64, 80, 80), above: 0.1 }, scalar('float32', 0.5)], {}],
    ['pow_3', 'Pow', [f(1, 64, 80, 80), scalar('float32', 3)], {}],
    ['pow_gamma', 'Pow', [{ ...f(1, 64, 80, 80), above: 0.1 }, scalar('float32', 2.2)], {}],
    ['pow_base', 'Pow', [scalar('float32', 10000), f(1, 64, 80, 80)], {}],
    ['mod', 'Mod', [{ ...f(1, 64, 80, 80), above: 0.1 }, scalar('float32', 0.3)], { fmod: 1 }],
    ['sin', 'Sin', [f(1, 64, 80, 80)], {}],
    ['add', 'Add', [f(1, 64, 112, 112), f(1, 64, 112, 112)], {}],
    ['add_scalar', 'Add', [f(1, 64, 112, 112), scalar('float32', 2)], {}],
    ['add_row', 'Add', [f(1, 128, 1536), w(1536)], {}],
    ['mul_channel', 'Mul', [f(1, 64, 112, 112), f(1, 64, 1, 1)], {}],
    ['mul_column', 'Mul', [f(1, 128, 1536), f(1, 128, 1)], {}],
    ['add_middle', 'Add', [f(8, 12, 64, 64), f(8, 1, 64, 64)], {}],
    ['add_int64', 'Add', [feed('int64', 1, 64, 56, 56), feed('int64', 1, 64, 56, 56)], {}],
    ['add_double', 'Add', [feed('float64', 1, 64, 80, 80), feed('float64', 1, 64, 80, 80)], {}],
    ['greater_double', 'Greater', [feed('float64', 1, 64, 80, 80), feed('float64', 1, 64, 80, 80)], {}, ['bool']],
    ['bitwise_and', 'BitwiseAnd', [feed('int32', 1, 64, 80, 80), feed('int32', 1, 64, 80, 80)].map((x) => ({ ...x, below: 1000 })), {}],
    ['mul_int32', 'Mul', [feed('int32', 1, 64, 56, 56), feed('int32', 1, 64, 56, 56)].map((x) => ({ ...x, below: 100 })), {}],
    ['div_int64', 'Div', [feed('int64', 1, 64, 56, 56), scalar('int64', 7)], {}],
    ['mod_int64', 'Mod', [feed('int64', 1, 64, 56, 56), scalar('int64', 7)], {}],
    ['max', 'Max', [f(1, 64, 112, 112), f(1, 64, 112, 112)], {}],
    ['min_scalar', 'Min', [f(1, 64, 112, 112), scalar('float32', 0.5)], {}],
    ['sum_3', 'Sum', [f(1, 64, 80, 80), f(1, 64, 80, 80), f(1, 64, 80, 80)], {}],
    ['sub_column_row', 'Sub', [f(1, 1024, 1), f(1, 1, 1024)], {}],
    ['mul_gate', 'Mul', [f(1, 1280, 7, 7), f(1, 1280, 1, 1)], {}],
    ['div', 'Div', [f(1, 64, 112, 112), { ...f(1, 64, 112, 112), above: 0.5 }], {}],
    ['greater', 'Greater', [f(1, 64, 112, 112), f(1, 64, 112, 112)], {}, ['bool']],
    ['equal_int64', 'Equal', [{ ...feed('int64', 1, 64, 56, 56), below: 3 }, scalar('int64', 1)], {}, ['bool']],
    ['not', 'Not', [feed('bool', 1, 64, 112, 112)], {}],
    ['and', 'And', [feed('bool', 1, 64, 112, 112), feed('bool', 1, 64, 112, 112)], {}],
    ['less_scalar', 'Less', [f(1, 64, 112, 112), scalar('float32', 0.5)], {}, ['bool']],
    ['causal_mask', 'LessOrEqual', [feed('int64', 1, 512), feed('int64', 512, 1)], {}, ['bool']],
    ['where', 'Where', [feed('bool', 1, 64, 112, 112), f(1, 64, 112, 112), f(1, 64, 112, 112)], {}, ['float32']],
    ['where_mask', 'Where', [feed('bool', 1, 1, 128, 128), scalar('float32', -1e9), f(1, 12, 128, 128)], {}, ['float32']],
    ['where_int64', 'Where', [feed('bool', 1, 512, 512), feed('int64', 1, 512, 512), scalar('int64', 0)], {}, ['int64']],
    ['cast_int64_float', 'Cast', [feed('int64', 1, 64, 80, 80)], { to: 1 }, ['float32']],
    ['cast_float_int64', 'Cast', [f(1, 64, 80, 80)], { to: 7 }, ['int64']],
    ['cast_float_uint8', 'Cast', [{ ...f(1, 64, 80, 80), above: 0 }], { to: 2 }, ['uint8']],
    ['cast_bool_float', 'Cast', [feed('bool', 1, 64, 80, 80)], { to: 1 }, ['float32']],
    ['cast_uint8_float', 'Cast', [feed('uint8', 1, 3, 480, 640)], { to: 1 }, ['float32']],
    ['cast_int64_int32', 'Cast', [feed('int64', 1, 64, 80, 80)], { to: 6 }, ['int32']],
    ['cast_float_half', 'Cast', [f(1, 64, 80, 80)], { to: 10 }, ['float16']],
    ['clip_int64', 'Clip', [feed('int64', 1, 64, 56, 56), scalar('int64', 3), scalar('int64', 500)], {}],
    ['trilu', 'Trilu', [f(1, 12, 128, 128)], {}],
    ['cumsum', 'CumSum', [f(64, 4096), scalar('int64', 1)], {}],
    ['cumsum_leading', 'CumSum', [f(512, 512), scalar('int64', 0)], {}],
    ['cumsum_int64', 'CumSum', [feed('int64', 64, 4096), scalar('int64', 1)], {}],
  ],
  'moving data': [
    ['transpose_heads', 'Transpose', [f(1, 128, 12, 64)], { perm: [0, 2, 1, 3] }],
    ['transpose_keys', 'Transpose', [f(1, 128, 12, 64)], { perm: [0, 2, 3, 1] }],
    ['transpose_2d', 'Transpose', [f(1024, 768)], { perm: [1, 0] }],
    ['transpose_nhwc', 'Transpose', [f(1, 64, 112, 112)], { perm: [0, 2, 3, 1] }],
    ['transpose_nchw', 'Transpose', [f(1, 112, 112, 64)], { perm: [0, 3, 1, 2] }],
    ['transpose_reversed', 'Transpose', [f(32, 48, 64, 8)], { perm: [3, 2, 1, 0] }],
    ['transpose_uint8', 'Transpose', [feed('uint8', 1, 224, 224, 3)], { perm: [0, 3, 1, 2] }],
    ['transpose_uint8_2d', 'Transpose', [feed('uint8', 512, 512)], { perm: [1, 0] }],
    ['transpose_nchw_3', 'Transpose', [f(1, 224, 224, 3)], { perm: [0, 3, 1, 2] }],
    ['transpose_windows', 'Transpose', [f(1, 8, 7, 8, 7, 96)], { perm: [0, 1, 3, 2, 4, 5] }],
    ['transpose_shuffle', 'Transpose', [f(1, 2, 58, 28, 28)], { perm: [0, 2, 1, 3, 4] }],
    ['transpose_qkv', 'Transpose', [f(1, 197, 3, 12, 64)], { perm: [2, 0, 3, 1, 4] }],
    ['transpose_boxes', 'Transpose', [f(1, 84, 8400)], { perm: [0, 2, 1] }],
    ['concat_channels', 'Concat', [f(1, 64, 80, 80), f(1, 64, 80, 80)], { axis: 1 }],
    ['concat_last', 'Concat', [f(1, 12, 1024, 32), f(1, 12, 1024, 32)], { axis: -1 }],
    ['concat_narrow', 'Concat', [f(4096, 3), f(4096, 5)], { axis: 1 }],
    ['concat_boxes', 'Concat', [f(1, 84, 6400), f(1, 84, 1600), f(1, 84, 400)], { axis: 2 }],
    ['split_channels', 'Split', [f(1, 128, 80, 80)], { axis: 1, num_outputs: 2 }, ['float32', 'float32']],
    ['split_last', 'Split', [f(1, 128, 2304)], { axis: -1, num_outputs: 3 }, ['float32', 'float32', 'float32']],
    ['split_narrow', 'Split', [f(1, 8400, 6), ints(2, 2, 1, 1)], { axis: 2 }, ['float32', 'float32', 'float32', 'float32']],
    ['slice_half', 'Slice', [f(1, 64, 112, 112), ints(0), ints(32), ints(1)], {}],
    ['slice_last', 'Slice', [f(1, 1024, 64), ints(0), ints(32), ints(2)], {}],
    ['slice_strided', 'Slice', [f(1, 64, 112, 112), ints(0, 0), ints(112, 112), ints(2, 3), ints(2, 2)], {}],
    ['slice_reversed', 'Slice', [f(1, 1024, 256), ints(-1), ints(-100000), ints(1), ints(-1)], {}],
    ['gather_rows', 'Gather', [w(30522, 384), { ...feed('int64', 1, 128), below: 30522 }], {}],
    ['gather_last', 'Gather', [f(1, 1024, 256), { ...feed('int64', 128), below: 256 }], { axis: 2 }],
    ['gather_pixels', 'Gather', [f(1, 64, 56, 56), { ...feed('int64', 112), below: 56 }], { axis: 2 }],
    ['gather_bias', 'Gather', [w(169, 12), { ...feed('int64', 2401), below: 169 }], {}],
    ['one_hot', 'OneHot', [{ ...feed('int64', 1024), below: 256 }, scalar('int64', 256), given('float32', [2], 0, 1)], {}, ['float32']],
    ['range', 'Range', [scalar('int64', 0), feed('int64'), scalar('int64', 1)], {}, ['int64']],
    ['gather_elements', 'GatherElements', [f(512, 512), { ...feed('int64', 512, 512), below: 512 }], { axis: 1 }],
    ['gather_elements_0', 'GatherElements', [f(512, 512), { ...feed('int64', 256, 512), below: 512 }], { axis: 0 }],
    ['gather_elements_boxes', 'GatherElements', [f(1, 8400, 4), { ...feed('int64', 1, 300, 4), below: 8400 }], { axis: 1 }],
    ['gather_nd', 'GatherND', [f(512, 64, 16), { ...feed('int64', 4096, 2), below: 64 }], {}],
    ['scatter_nd', 'ScatterND', [f(4096, 64), { ...feed('int64', 1024, 1), below: 4096 }, f(1024, 64)], {}],
    ['scatter_elements', 'ScatterElements', [f(512, 512), { ...feed('int64', 512, 128), below: 512 }, f(512, 128)], { axis: 1 }],
    ['scatter_nd_add', 'ScatterND', [f(4096, 64), { ...feed('int64', 1024, 1), below: 4096 }, f(1024, 64)], { reduction: 'add' }],
    ['scatter_nd_max', 'ScatterND', [f(4096, 64), { ...feed('int64', 1024, 1), below: 4096 }, f(1024, 64)], { reduction: 'max' }],
    ['scatter_edges', 'ScatterElements', [f(1000, 64), { ...feed('int64', 5000, 64), below: 1000 }, f(5000, 64)], { axis: 0, reduction: 'add' }],
    ['col2im', 'Col2Im', [f(1, 576, 784), ints(28, 28), ints(3, 3)], { pads: [1, 1, 1, 1] }],
    ['unique', 'Unique', [{ ...feed('int64', 65536), below: 1000 }], {}, ['int64']],
    ['expand_rows', 'Expand', [f(1, 1, 512), ints(1, 512, 512)], {}],
    ['expand_columns', 'Expand', [f(1, 512, 1), ints(1, 512, 512)], {}],
    ['tile', 'Tile', [f(1, 64, 56, 56), ints(1, 1, 2, 2)], {}],
    ['pad_constant', 'Pad', [f(1, 64, 112, 112), ints(0, 0, 1, 1, 0, 0, 1, 1)], {}],
    ['pad_reflect', 'Pad', [f(1, 64, 112, 112), ints(0, 0, 3, 3, 0, 0, 3, 3)], { mode: 'reflect' }],
    ['pad_edge', 'Pad', [f(1, 64, 112, 112), ints(0, 0, 3, 3, 0, 0, 3, 3)], { mode: 'edge' }],
    ['pad_1d', 'Pad', [f(1, 80, 3000), ints(0, 0, 200, 0, 0, 200)], { mode: 'reflect' }],
    ['depth_to_space', 'DepthToSpace', [f(1, 64, 112, 112)], { blocksize: 2, mode: 'CRD' }],
    ['space_to_depth', 'SpaceToDepth', [f(1, 16, 224, 224)], { blocksize: 2 }],
    ['nonzero', 'NonZero', [{ ...f(512, 512), below: 2 }], {}, ['int64']],
    ['topk_100', 'TopK', [f(1, 8400), ints(100)], {}, ['float32', 'int64']],
    ['topk_rows', 'TopK', [f(256, 1000), ints(5)], {}, ['float32', 'int64']],
    ['topk_1000', 'TopK', [f(1, 8400), ints(1000)], {}, ['float32', 'int64']],
    ['topk_axis', 'TopK', [f(1, 8400, 4), ints(10)], { axis: 1 }, ['float32', 'int64']],
    ['topk_leading', 'TopK', [f(1000, 64), ints(5)], { axis: 0 }, ['float32', 'int64']],
    ['topk_all', 'TopK', [f(1, 8400), ints(8400)], {}, ['float32', 'int64']],
    ['argmax_last', 'ArgMax', [f(128, 8192)], { axis: -1, keepdims: 0 }, ['int64']],
    ['argmax_channels', 'ArgMax', [f(1, 21, 256, 256)], { axis: 1, keepdims: 0 }, ['int64']],
    ['argmin_last', 'ArgMin', [f(1024, 64)], { axis: -1, keepdims: 0 }, ['int64']],
    ['non_max_suppression', 'NonMaxSuppression', [{ ...f(1, 2000, 4), above: 0 }, { ...f(1, 4, 2000), above: 0 }, ints(100), given('float32', [1], 0.5),
      given('float32', [1], 0.6)], {}, ['int64']],
  ],
  'reductions and pooling': [
    ['reduce_mean_last', 'ReduceMean', [f(1, 512, 768), ints(-1)], {}],
    ['reduce_mean_spatial', 'ReduceMean', [f(1, 256, 56, 56), ints(2, 3)], {}],
    ['reduce_mean_leading', 'ReduceMean', [f(512, 768), ints(0)], {}],
    ['reduce_mean_middle', 'ReduceMean', [f(8, 128, 768), ints(1)], {}],
    ['reduce_mean_nhwc', 'ReduceMean', [f(1, 28, 28, 256), ints(1, 2)], {}],
    ['reduce_mean_channels', 'ReduceMean', [f(1, 96, 56, 56), ints(1)], {}],
    ['reduce_mean_outer', 'ReduceMean', [f(8, 64, 32, 32), ints(0, 2, 3)], {}],
    ['reduce_mean_pairs', 'ReduceMean', [f(64, 64, 64), ints(0, 2)], {}],
    ['reduce_mean_short', 'ReduceMean', [f(64, 49, 7), ints(2)], {}],
    ['reduce_sum_int64', 'ReduceSum', [feed('int64', 512, 512), ints(1)], {}],
    ['reduce_sum_square', 'ReduceSumSquare', [f(512, 768), ints(-1)], {}],
    ['reduce_l2_channels', 'ReduceL2', [f(1, 96, 56, 56), ints(1)], {}],
    ['reduce_log_sum_exp', 'ReduceLogSumExp', [f(512, 256), ints(-1)], {}],
    ['reduce_l1_last', 'ReduceL1', [f(512, 256), ints(-1)], {}],
    ['reduce_max_last', 'ReduceMax', [f(1, 8400, 80), ints(-1)], {}],
    ['reduce_max_outer', 'ReduceMax', [f(8, 64, 32, 32), ints(0, 2, 3)], {}],
    ['reduce_min_middle', 'ReduceMin', [f(8, 128, 768), ints(1)], {}],
    ['reduce_sum_all', 'ReduceSum', [f(512, 1024)], {}],
    ['reduce_max_channels', 'ReduceMax', [f(1, 64, 80, 80), ints(1)], {}],
    ['reduce_l2_last', 'ReduceL2', [f(512, 768), ints(-1)], {}],
    ['reduce_prod_last', 'ReduceProd', [{ ...f(512, 256), above: 0.5 }, ints(-1)], {}],
    ['max_pool_3x3_s2', 'MaxPool', [f(1, 64, 112, 112)], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
    ['max_pool_2x2_s2', 'MaxPool', [f(1, 64, 112, 112)], { kernel_shape: [2, 2], strides: [2, 2] }],
    ['max_pool_5x5_s1', 'MaxPool', [f(1, 128, 20, 20)], { kernel_shape: [5, 5], pads: [2, 2, 2, 2] }],
    ['average_pool_3x3', 'AveragePool', [f(1, 64, 56, 56)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }],
    ['average_pool_2x2_s2', 'AveragePool', [f(1, 64, 112, 112)], { kernel_shape: [2, 2], strides: [2, 2] }],
    ['average_pool_7x7', 'AveragePool', [f(1, 256, 14, 14)], { kernel_shape: [7, 7], strides: [7, 7] }],
    ['average_pool_1d', 'AveragePool', [f(1, 256, 1500)], { kernel_shape: [2], strides: [2] }],
    ['max_pool_3d', 'MaxPool', [f(1, 32, 16, 28, 28)], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] }],
    ['lp_pool', 'LpPool', [f(1, 64, 56, 56)], { kernel_shape: [2, 2], strides: [2, 2] }],
    ['global_average_pool', 'GlobalAveragePool', [f(1, 1280, 7, 7)], {}],
    ['global_average_pool_14', 'GlobalAveragePool', [f(1, 480, 14, 14)], {}],
    ['global_average_pool_56', 'GlobalAveragePool', [f(1, 256, 56, 56)], {}],
    ['global_max_pool', 'GlobalMaxPool', [f(1, 256, 56, 56)], {}],
  ],
  pictures: [
    ['resize_nearest', 'Resize', [f(1, 128, 40, 40), null, given('float32', [4], 1, 1, 2, 2)],
      { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }],
    ['resize_linear', 'Resize', [f(1, 64, 56, 56), null, given('float32', [4], 1, 1, 2, 2)], { mode: 'linear' }],
    ['resize_linear_odd', 'Resize', [f(1, 3, 480, 640), null, null, ints(1, 3, 224, 224)], { mode: 'linear' }],
    ['resize_linear_half', 'Resize', [f(1, 32, 128, 128), null, given('float32', [4], 1, 1, 0.5, 0.5)], { mode: 'linear' }],
    ['resize_linear_corners', 'Resize', [f(1, 21, 33, 33), null, null, ints(1, 21, 257, 257)], { mode: 'linear', coordinate_transformation_mode: 'align_corners' }],
    ['resize_linear_uint8', 'Resize', [feed('uint8', 1, 3, 240, 320), null, null, ints(1, 3, 224, 224)], { mode: 'linear' }],
    ['resize_linear_nhwc', 'Resize', [f(1, 80, 80, 32), null, given('float32', [4], 1, 2, 2, 1)], { mode: 'linear' }],
    ['resize_antialias', 'Resize', [f(1, 3, 480, 640), null, null, ints(1, 3, 224, 224)], { mode: 'linear', antialias: 1 }],
    ['resize_nearest_down', 'Resize', [f(1, 64, 112, 112), null, given('float32', [4], 1, 1, 0.5, 0.5)], { mode: 'nearest' }],
    ['resize_nearest_odd', 'Resize', [f(1, 64, 38, 38), null, null, ints(1, 64, 75, 75)], { mode: 'nearest' }],
    ['resize_cubic_half', 'Resize', [f(1, 16, 128, 128), null, given('float32', [4], 1, 1, 0.5, 0.5)], { mode: 'cubic' }],
    ['resize_cubic', 'Resize', [f(1, 3, 256, 256), null, given('float32', [4], 1, 1, 2, 2)], { mode: 'cubic' }],
    ['grid_sample', 'GridSample', [f(1, 32, 64, 64), f(1, 64, 64, 2)], { mode: 'linear', align_corners: 0 }],
    ['grid_sample_few', 'GridSample', [f(1, 3, 256, 256), f(1, 256, 256, 2)], { mode: 'linear', align_corners: 1, padding_mode: 'border' }],
    ['grid_sample_many', 'GridSample', [f(8, 32, 32, 32), f(8, 900, 4, 2)], { mode: 'linear', align_corners: 0 }],
    ['grid_sample_nearest', 'GridSample', [f(1, 32, 64, 64), f(1, 64, 64, 2)], { mode: 'nearest' }],
    ['affine_grid', 'AffineGrid', [f(1, 2, 3), ints(1, 3, 256, 256)], {}],
    ['deform_conv', 'DeformConv', [f(1, 32, 28, 28), w(32, 32, 3, 3), f(1, 18, 28, 28)], { pads: [1, 1, 1, 1] }],
    ['roi_align', 'RoiAlign', [f(1, 64, 50, 50), given('float32', [2, 4], 1, 1, 30, 30, 5, 5, 40, 45), ints(0, 0)],
      { output_height: 7, output_width: 7, sampling_ratio: 2, spatial_scale: float(1) }],
    ['dft', 'DFT', [f(1, 100, 512, 1), scalar('int64', 512), scalar('int64', 2)], {}],
    ['stft', 'STFT', [f(1, 16000, 1), scalar('int64', 160), w(400), scalar('int64', 400)], { onesided: 1 }],
  ],
  'learned models': [
    ['tree_regressor', 'ai.onnx.ml:TreeEnsembleRegressor', [f(1000, 30)], trees(100, 6, 30, 'target')],
    ['tree_regressor_1_row', 'ai.onnx.ml:TreeEnsembleRegressor', [f(1, 30)], trees(100, 6, 30, 'target')],
    ['tree_classifier', 'ai.onnx.ml:TreeEnsembleClassifier', [f(100, 30)], trees(100, 6, 30, 'class'), ['int64', 'float32']],
    ['svm_regressor', 'ai.onnx.ml:SVMRegressor', [f(100, 30)], { kernel_type: 'RBF', kernel_params: { floats: [0.1, 0, 3] }, n_supports: 200,
      support_vectors: random(6000), coefficients: random(200), rho: random(1) }],
    ['linear_classifier', 'ai.onnx.ml:LinearClassifier', [f(1000, 30)], { coefficients: random(90), intercepts: random(3), classlabels_ints: [0, 1, 2],
      multi_class: 0, post_transform: 'SOFTMAX' }, ['int64', 'float32']],
  ],
  recurrent: [
    ['lstm', 'LSTM', 64, 1, 128, {}],
    ['lstm_one_step', 'LSTM', 1, 1, 256, {}],
    ['lstm_1000_steps', 'LSTM', 1000, 1, 64, {}],
    ['lstm_512_units', 'LSTM', 50, 1, 512, {}],
    ['lstm_batch_3', 'LSTM', 100, 3, 128, {}],
    ['lstm_batch_8', 'LSTM', 100, 8, 256, {}],
    ['lstm_bidirectional', 'LSTM', 100, 1, 256, { direction: 'bidirectional' }],
    ['gru', 'GRU', 64, 1, 128, { linear_before_reset: 1 }],
    ['gru_reset_first', 'GRU', 64, 1, 128, {}],
    ['gru_one_step', 'GRU', 1, 1, 256, { linear_before_reset: 1 }],
    ['gru_1000_steps', 'GRU', 1000, 1, 256, { linear_before_reset: 1 }],
    ['gru_batch_64', 'GRU', 64, 64, 16, { linear_before_reset: 1 }],
    ['gru_bidirectional', 'GRU', 100, 8, 64, { linear_before_reset: 1, direction: 'bidirectional' }],
    ['rnn', 'RNN', 64, 1, 128, {}],
  ].map(recurrent),
};

function build([, operator, inputs, attributes, outputs]) {
  const [name, domain] = operator.split(':').reverse();
  const names = inputs.map((input, i) => (input ? `x${i}` : ''));
  const given = inputs.map((input, i) => ({ input, i, name: names[i] })).filter(({ input }) => input);
  const isConstant = ({ input }) => input.data || input.constant;
  const types = outputs ?? [inputs[0].dtype];
  const results = types.map((_, i) => `y${i}`);
  const bytes = model({
    opset: { Attention: 23, QuantizeLinear: 21, DequantizeLinear: 21 }[name] ?? 20,
    domains: { 'com.microsoft': 1, 'ai.onnx.ml': 3 },
    nodes: [node(name, names, results, { name: 'node', domain, ...attributes })],
    initializers: given.filter(isConstant).map(({ input, i, name }) => tensor(name, input.dtype, input.shape, { raw: bytesOf(input, i) })),
    inputs: Object.fromEntries(given.filter((one) => !isConstant(one)).map(({ input, name }) => [name, tensorType(input.dtype, input.shape)])),
    outputs: Object.fromEntries(results.map((result, i) => [result, tensorType(types[i])])),
  });
  return { bytes, inputs: given.filter((one) => !isConstant(one)).map(({ input, name }) => ({ name, ...input })) };
}

/** All of them: name, group, the model's bytes, and its inputs as makeFeeds wants them. */
export const operators = () =>
  Object.entries(cases).flatMap(([group, list]) => list.map((one) => ({ name: one[0], group, ...build(one) })));

/** Writes them all. @param {string} folder */
export function writeOperators(folder) {
  mkdirSync(folder, { recursive: true });
  const models = {};
  for (const { name, group, bytes, inputs } of operators()) {
    writeFileSync(join(folder, `${name}.onnx`), bytes);
    models[name] = { inputs, group };
  }
  writeFileSync(join(folder, 'models.json'), JSON.stringify(models));
}
