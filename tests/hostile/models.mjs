/*
 * Models made to do harm, each with the sentence that it must be refused with. All that is known of other engines' accidents
 * with files has a row here, as far as it can happen in this one.
 */
import { graphOf, message, model, node, tensor, tensorType } from '../js/onnx.mjs';

const all = (number, values) => values.map((value) => [number, value]);
const float = (shape) => tensorType('float32', shape);
const info = (name, type) => message([[1, name], [2, type]]);
const opsets = [[8, message([[1, ''], [2, 21]])], [8, message([[1, 'local'], [2, 1]])], [8, message([[1, 'ai.onnx.ml'], [2, 4]])]];

const floats = (name, dims) => tensor(name, 'float32', dims, { raw: Buffer.alloc(4 * dims.reduce((a, b) => a * b, 1)) });

/** y = op(x, ...) where x holds zeros; more inputs are initializers, attributes as in node(). */
const simple = (op, { more = [], initializers = [], shape = [2, 2], ...attributes }) =>
  model({
    nodes: [node(op, ['x', ...more], ['y'], attributes)],
    outputs: { y: float() },
    initializers: [floats('x', shape), ...initializers],
  });

const int64s = (name, values) => tensor(name, 'int64', [values.length], { raw: Buffer.from(BigInt64Array.from(values, BigInt).buffer) });

/** A model of functions of the domain `local`, each a name and its nodes; the graph calls the first. */
function withFunctions(functions) {
  const bodies = Object.entries(functions).map(([name, nodes]) =>
    message([[1, name], [4, 'a'], [5, 'b'], ...all(7, nodes), [9, message([[1, ''], [2, 21]])], [9, message([[1, 'local'], [2, 1]])], [10, 'local']]),
  );
  const [first] = Object.keys(functions);
  const graph = message([[1, node(first, ['x'], ['y'], { domain: 'local' })], [2, 'g'], [11, info('x', float([1]))], [12, info('y', float([1]))]]);
  return message([[1, 10], [7, graph], ...opsets, ...all(25, bodies)]);
}

const call = (name, from, to) => node(name, [from], [to], { domain: 'local' });

/** Each of `levels` functions calls the next twice. */
function doublings(levels) {
  const functions = {};
  for (let i = 0; i < levels; i++) functions[`f${i}`] = [call(`f${i + 1}`, 'a', 'c'), call(`f${i + 1}`, 'c', 'b')];
  functions[`f${levels}`] = [node('Neg', ['a'], ['b'])];
  return withFunctions(functions);
}

/** A graph of fields inside each other, `levels` deep: `first`, then `numbers` in turn, written from the inside out. */
function nested(levels, first, numbers) {
  const bytes = Buffer.alloc(levels * 7);
  let at = bytes.length;
  for (let i = levels - 1; i >= 0; i--) {
    const size = [];
    for (let rest = bytes.length - at; ; rest = Math.floor(rest / 128)) {
      size.push(rest < 128 ? rest : (rest % 128) | 128);
      if (rest < 128) break;
    }
    at -= size.length + 1;
    bytes.set([(first[i] ?? numbers[(i - first.length) % numbers.length]) * 8 + 2, ...size], at);
  }
  return message([[1, 10], [7, bytes.subarray(at)]]);
}

/** If inside If, `levels` deep. */
function nestedIfs(levels) {
  let body = message([[1, node('Identity', ['x'], ['r'])], [2, 'b'], [12, info('r', float([1]))]]);
  for (let i = 0; i < levels; i++) {
    const branch = (name) => message([[1, name], [6, body], [20, 5]]);
    const choose = message([[1, 'c'], [2, 'r'], [4, 'If'], [5, branch('then_branch')], [5, message([[1, 'else_branch'], [6, message([[1, node('Identity', ['x'], ['r'])], [12, info('r', float([1]))]])], [20, 5]])]]);
    body = message([[1, choose], [2, 'b'], [12, info('r', float([1]))]]);
  }
  const graph = [[11, info('x', float([1]))], [11, info('c', tensorType('bool', []))]];
  return message([[1, 10], [7, Buffer.concat([body, message(graph)])], ...opsets]);
}

const external = (entries) =>
  simple('Add', { more: ['w'], shape: [8], initializers: [tensor('w', 'float32', [8], { external: entries })] });

const identity = (dims, data = {}) =>
  model({
    nodes: [node('Identity', ['w'], ['y'])],
    outputs: { y: float() },
    initializers: [tensor('w', 'float32', dims, data)],
  });

const big = 2n ** 40n;
const tooLarge = /max_elements|max_memory|too large to address|more elements/;

/** By name: the file's bytes and what must be said. */
export const models = {
  // No model at all
  empty: [Buffer.alloc(0), /empty|no graph|ends/i],
  zeros: [Buffer.alloc(4096), /byte|field/],
  ones: [Buffer.alloc(4096, 255), /byte|number/],
  text: [Buffer.from('{"error": "not found"}'), /JSON|text|byte|model/i],
  zip: [Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(100)]), /zip|archive|byte/i],
  pointer: [Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'), /LFS/],

  // Nesting and recursion
  'graphs-in-graphs': [nested(1_000_000, [], [1, 5, 6]), /nested|deep/],
  'types-in-types': [nested(1_000_000, [11, 2], [4, 1]), /nested|deep/],
  'nested-ifs': [nestedIfs(60), /nested/],
  'function-calls-itself': [withFunctions({ f: [call('f', 'a', 'b')] }), /nested|itself|recurs/],
  'functions-call-each-other': [withFunctions({ f: [call('g', 'a', 'b')], g: [call('f', 'a', 'b')] }), /nested|itself|recurs/],
  'functions-double': [doublings(25), /max_nodes|max_memory/],
  cycle: [
    model({
      nodes: [node('Add', ['x', 'b'], ['a']), node('Neg', ['a'], ['b'])],
      inputs: { x: float([1]) },
      outputs: { b: float([1]) },
    }),
    /cycle|itself|needs|before/,
  ],
  'unknown-name': [simple('Add', { more: ['nowhere'] }), /nowhere/],
  'two-makers': [
    model({ nodes: [node('Neg', ['x'], ['y']), node('Abs', ['x'], ['y'])], inputs: { x: float([1]) }, outputs: { y: float([1]) } }),
    /'y'/,
  ],

  // Sizes
  'dims-overflow': [identity([2n ** 32n, 2n ** 32n, 4n], { raw: Buffer.alloc(16) }), /elements|overflow|dims|large|shape/i],
  'dims-huge': [identity([big], { raw: Buffer.alloc(16) }), /'w'/],
  'dims-negative': [identity([-1n], { raw: Buffer.alloc(4) }), /'w'|dimension|-1/],
  'dims-zero-and-huge': [identity([0, 2n ** 62n, 2n ** 62n], { raw: Buffer.alloc(4) }), /'w'|elements/],
  'too-little-data': [identity([8], { raw: Buffer.alloc(4) }), /'w'/],
  'too-much-data': [identity([1], { raw: Buffer.alloc(400) }), /'w'/],
  'rank-a-million': [identity(new Array(1_000_000).fill(1), { raw: Buffer.alloc(4) }), /rank|dim/],
  'no-such-type': [
    model({ nodes: [node('Identity', ['w'], ['y'])], outputs: { y: float() }, initializers: [message([[1, 1], [2, 99], [8, 'w'], [9, Buffer.alloc(4)]])] }),
    /type/,
  ],
  'constant-of-huge-shape': [
    model({ nodes: [node('ConstantOfShape', ['w'], ['y'])], outputs: { y: float() }, initializers: [int64s('w', [big, big])] }),
    tooLarge,
  ],
  'expand-to-huge': [simple('Expand', { more: ['s'], shape: [1], initializers: [int64s('s', [big])] }), tooLarge],
  'tile-to-huge': [simple('Tile', { more: ['r'], initializers: [int64s('r', [2 ** 30, 2 ** 30])] }), tooLarge],
  'pad-to-huge': [simple('Pad', { more: ['p'], initializers: [int64s('p', [2 ** 40, 0, 2 ** 40, 0])] }), tooLarge],
  'resize-to-huge': [simple('Resize', { more: ['', '', 's'], initializers: [int64s('s', [2 ** 31, 2 ** 31])] }), tooLarge],
  'range-to-huge': [
    model({
      nodes: [node('Range', ['a', 'b', 'c'], ['y'])],
      outputs: { y: tensorType('int64') },
      initializers: [0n, 2n ** 62n, 1n].map((n, i) => tensor('abc'[i], 'int64', [], { raw: Buffer.from(BigInt64Array.of(n).buffer) })),
    }),
    tooLarge,
  ],

  // Sizes that no tensor has but operators need on the way, of which 32 bits would keep too little
  'unique-of-nothing': [
    model({ nodes: [node('Unique', ['x'], ['y'], { axis: 0 })], outputs: { y: tensorType('int8') }, initializers: [tensor('x', 'int8', [2n ** 29n, 0], { raw: Buffer.alloc(0) })] }),
    /Unique\): (scratch of|no memory for)/,
  ],
  'nothing-of-huge-rows': [identity([0, 2n ** 62n], { raw: Buffer.alloc(0) }), /'w' has the shape \[0,.*too large to address/],
  'flex-attention-scores': [
    model({
      nodes: [node('FlexAttention', ['x', 'x', 'x'], ['y'], { domain: 'ai.onnx.preview' })], domains: { 'ai.onnx.preview': 1 }, outputs: { y: float() },
      initializers: [floats('x', [1, 1, 2 ** 16, 1])],
    }),
    /FlexAttention\): (scratch of|no memory for)/,
  ],
  'matmul-of-copies': [
    model({
      nodes: [node('ConstantOfShape', ['s'], ['x']), node('FusedMatMul', ['x', 'w'], ['y'], { domain: 'com.microsoft', alpha: { float: 2 } })],
      domains: { 'com.microsoft': 1 }, outputs: { y: float() }, initializers: [int64s('s', [2 ** 12, 2 ** 12]), floats('w', [2 ** 8, 2 ** 12, 1])],
    }),
    /FusedMatMul\): (scratch of|no memory for)/,
  ],
  'svm-vectors': [
    simple('SVMClassifier', {
      domain: 'ai.onnx.ml', classlabels_ints: [0, 1, 2], vectors_per_class: [2n ** 31n - 1n, 2n ** 31n - 1n, 3], kernel_type: 'LINEAR',
      support_vectors: { floats: [1, 1] }, coefficients: { floats: [1, 1] }, rho: { floats: [0, 0, 0] },
    }),
    /SVMClassifier\): vectors_per_class: expected at most/,
  ],

  // Operators' parameters
  'conv-rank': [simple('Conv', { more: ['w'], shape: [1, 1, 4, 4], initializers: [floats('w', [1, 1, 2, 2, 2, 2])] }), /rank|dim|shape/i],
  'conv-dilations': [simple('Conv', { more: ['w'], shape: [1, 1, 4, 4], initializers: [floats('w', [1, 1, 2, 2])], dilations: [1, 1, 1, 1] }), /dilations/],
  'conv-strides-zero': [simple('Conv', { more: ['w'], shape: [1, 1, 4, 4], initializers: [floats('w', [1, 1, 2, 2])], strides: [0, 0] }), /strides/],
  'conv-channels': [simple('Conv', { more: ['w'], shape: [1, 3, 4, 4], initializers: [floats('w', [4, 2, 1, 1])] }), /channels|group|shape|\[/],
  'conv-groups': [simple('Conv', { more: ['w'], shape: [1, 3, 4, 4], initializers: [floats('w', [4, 1, 1, 1])], group: 0 }), /group/],
  'pool-negative-pads': [simple('MaxPool', { shape: [1, 1, 4, 4], kernel_shape: [2, 2], pads: [-9, -9, -9, -9] }), /window/],
  'pool-of-many-outputs': [
    model({ nodes: [node('AveragePool', ['x'], ['y', 'z'], { kernel_shape: [2, 2] })], outputs: { y: float(), z: float() }, initializers: [floats('x', [1, 1, 4, 4])] }),
    /AveragePool\): the operator gives no output 1/,
  ],
  'attention-stage': [
    model({ nodes: [node('Attention', ['x', 'x', 'x'], ['y', '', '', 'z'], { qk_matmul_output_mode: 7 })], opset: 24, outputs: { y: float(), z: float() }, initializers: [floats('x', [1, 1, 2, 2])] }),
    /Attention\): attribute 'qk_matmul_output_mode': expected a value in \[0, 3\], found 7/,
  ],
  'quantize-to-float': [
    simple('QuantizeLinear', { more: ['s', 'z'], initializers: [floats('s', []), floats('z', [])] }),
    /QuantizeLinear\): not supported: quantizing to float32/,
  ],
  'gather-out-of-range': [simple('Gather', { more: ['i'], initializers: [int64s('i', [7])] }), /index|range|7/],
  'gather-elements-out-of-range': [
    simple('GatherElements', { more: ['i'], initializers: [tensor('i', 'int64', [1, 1], { raw: Buffer.from(BigInt64Array.of(-9n).buffer) })] }),
    /index|range|-9/,
  ],
  'scatter-out-of-range': [
    simple('ScatterND', { more: ['i', 'u'], initializers: [tensor('i', 'int64', [1, 2], { raw: Buffer.from(BigInt64Array.of(5n, 5n).buffer) }), floats('u', [1])] }),
    /index|range|5/,
  ],
  'col2im-overflow': [
    simple('Col2Im', { more: ['s', 'b'], shape: [1, 4, 4], initializers: [int64s('s', [2 ** 40, 2 ** 40]), int64s('b', [2, 2])] }),
    /Col2Im/,
  ],
  'reshape-mismatch': [simple('Reshape', { more: ['s'], initializers: [int64s('s', [3, -1])] }), /Reshape/],
  'reshape-two-unknown': [simple('Reshape', { more: ['s'], initializers: [int64s('s', [-1, -1])] }), /-1/],
  'transpose-permutation': [simple('Transpose', { perm: [0, 0] }), /perm/],
  'split-sizes': [simple('Split', { more: ['s'], initializers: [int64s('s', [9, -7])] }), /split/i],
  'split-count-beside-sizes': [simple('Split', { more: ['s'], initializers: [int64s('s', [2])], num_outputs: 0 }), /'num_outputs': expected at least 1/],
  'one-hot-depth': [
    simple('OneHot', { more: ['d', 'v'], initializers: [int64s('d', [2 ** 45]), floats('v', [2])] }),
    tooLarge,
  ],
  'tree-lists': [
    simple('TreeEnsembleRegressor', { domain: 'ai.onnx.ml', nodes_treeids: [0, 0, 0], nodes_nodeids: [0], nodes_featureids: [0, 1] }),
    /TreeEnsemble/,
  ],
  'tree-half-made': [
    simple('TreeEnsembleRegressor', {
      domain: 'ai.onnx.ml', nodes_treeids: [0], nodes_nodeids: [0], nodes_featureids: [0], nodes_truenodeids: [1], nodes_falsenodeids: [2],
      nodes_modes: ['BRANCH_LEQ'], nodes_values_as_tensor: floats('', [1]),
      target_treeids: [0], target_nodeids: [0], target_ids: [0], target_weights_as_tensor: floats('', [1]),
    }),
    /branches to nodes 1 and 2/,
  ],
  'scalar-skip': [
    simple('SkipLayerNormalization', { domain: 'com.microsoft', more: ['skip', 'gamma'], initializers: [floats('skip', []), floats('gamma', [2])] }),
    /skip: shape \[\]/,
  ],
  'svm-lists': [simple('SVMClassifier', { domain: 'ai.onnx.ml', vectors_per_class: [9, 9], kernel_type: 'RBF' }), /SVMClassifier/],
  'float8-zero-point-missing': [
    simple('QLinearMatMul', {
      more: ['s', 'a0', 'b', 's', '', 's', 'y0'],
      initializers: [floats('s', []), floats('b', [2, 2]), tensor('a0', 'int8', [], { raw: Buffer.alloc(1) }), tensor('y0', 'float8e5m2', [], { raw: Buffer.alloc(1) })],
    }),
    /QLinearMatMul\): expected at least 8 inputs, input 5 is missing/,
  ],
  'blocked-weights-missing': [
    model({ nodes: [node('Conv', ['x', ''], ['y'], { domain: 'com.microsoft.nchwc' })], domains: { 'com.microsoft.nchwc': 1 }, inputs: { x: float([1, 8, 2, 2]) }, outputs: { y: float() } }),
    /blocks/,
  ],
  'blocks-that-32-bits-lose': [
    simple('QuantizeLinear', { more: ['s'], initializers: [floats('s', [1, 2])], axis: 0, block_size: 2n ** 61n }),
    /QuantizeLinear\): attribute 'block_size': expected a value in \[0, 2147483647\]/,
  ],
  'reverse-sequence-axes': [
    simple('ReverseSequence', { more: ['l'], initializers: [int64s('l', [1, 1])], time_axis: 2n ** 63n - 1n, batch_axis: 1 }),
    /time_axis and batch_axis: expected/,
  ],
  'scan-counts': [
    model({
      opset: 8,
      nodes: [node('Scan', ['', 'x'], ['y'], { num_scan_inputs: -(2n ** 63n), body: { graph: graphOf({ nodes: [node('Identity', ['a'], ['b'])], inputs: { a: float() }, outputs: { b: float() } }) } })],
      inputs: { x: float([1, 2, 2]) }, outputs: { y: float() },
    }),
    /num_scan_inputs/,
  ],
  'scan-without-outputs': [
    model({
      opset: 8,
      nodes: [node('Scan', ['', 'x'], [], { num_scan_inputs: 1, body: { graph: graphOf({ nodes: [node('Identity', ['a'], ['b'])], inputs: { a: float() }, outputs: { b: float() } }) } }), node('Neg', ['x'], ['y'])],
      inputs: { x: float([1, 2, 2]) }, outputs: { y: float() },
    }),
    /num_scan_inputs/,
  ],
  'resize-sizes': [
    simple('Resize', { more: ['', '', 's'], initializers: [int64s('s', [2n ** 61n, 1]), floats('x', [1, 100])].slice(0, 1), shape: [1, 100], keep_aspect_ratio_policy: 'not_smaller' }),
    /sizes/,
  ],
  'concat-without-axis': [simple('Concat', { more: ['x'] }), /Concat\): attribute 'axis' is missing/],
  'sequence-without-axis': [
    model({ nodes: [node('SequenceConstruct', ['x'], ['s']), node('ConcatFromSequence', ['s'], ['y'])], outputs: { y: float() }, initializers: [floats('x', [2])] }),
    /ConcatFromSequence\): attribute 'axis' is missing/,
  ],
  'item-of-an-empty-sequence': [
    model({ nodes: [node('SequenceEmpty', [], ['s']), node('SequenceAt', ['s', 'i'], ['y'])], outputs: { y: float() }, initializers: [tensor('i', 'int64', [], { raw: Buffer.alloc(8) })] }),
    /SequenceAt\): input position: expected one in a sequence of 0 items, found 0/,
  ],
  'if-without-else': [
    model({
      nodes: [node('If', ['c'], ['y'], { then_branch: { graph: graphOf({ nodes: [node('Neg', ['x'], ['b'])], outputs: { b: float() } }) } })],
      outputs: { y: float() }, initializers: [floats('x', [2]), tensor('c', 'bool', [], { raw: Buffer.of(1) })],
    }),
    /If\): attribute else_branch: expected a graph/,
  ],
  'pool-without-window': [simple('MaxPool', { shape: [1, 1, 4, 4] }), /MaxPool\): attribute 'kernel_shape' is missing/],
  'pool-of-no-window': [simple('MaxPool', { shape: [1, 1, 4, 4], kernel_shape: [] }), /MaxPool\): attribute 'kernel_shape' is missing/],
  'recurrence-of-too-many-functions': [
    simple('RNN', { more: ['x', 'x'], shape: [1, 1, 1], hidden_size: 1, activations: ['Tanh', 'Quux'] }),
    /RNN\): attribute 'activations' has 2 entries, expected 1/,
  ],
  'zero-points-of-some-rows': [
    model({
      nodes: [node('MatMulInteger', ['x', 'x', 'z'], ['y'])], outputs: { y: tensorType('int32') },
      initializers: [tensor('x', 'int8', [4, 4], { raw: Buffer.alloc(16) }), tensor('z', 'int8', [2], { raw: Buffer.alloc(2) })],
    }),
    /MatMulInteger\): input 'a_zero_point' holds 2 elements, expected 1 or 4/,
  ],
  'grams-without-lengths': [
    model({
      nodes: [node('TfIdfVectorizer', ['x'], ['y'], { mode: 'TF', max_gram_length: 1, max_skip_count: 0, ngram_counts: [0], ngram_indexes: [0], pool_int64s: [1] })],
      outputs: { y: float() }, initializers: [int64s('x', [1, 2])],
    }),
    /TfIdfVectorizer\): attribute 'min_gram_length' is missing/,
  ],
  'training-of-another-name': [
    simple('Momentum', {
      domain: 'ai.onnx.preview.training', more: ['t', 'x', 'x', 'x'], shape: [], initializers: [int64s('t', [1])],
      alpha: { float: 1 }, beta: { float: 1 }, norm_coefficient: { float: 0 }, mode: 'nesterow',
    }),
    /Momentum\): attribute 'mode': expected one of standard nesterov, found 'nesterow'/,
  ],
  'constant-of-another-kind': [
    model({ nodes: [node('Constant', [], ['y'], { value_float: 1 })], outputs: { y: float() } }),
    /Constant\): expected an attribute with the constant's value, found none/,
  ],
  'tree-base-of-another-kind': [
    simple('TreeEnsembleRegressor', {
      domain: 'ai.onnx.ml', nodes_treeids: [0], nodes_nodeids: [0], nodes_featureids: [0], nodes_truenodeids: [0], nodes_falsenodeids: [0],
      nodes_modes: ['LEAF'], nodes_values: { floats: [0] }, n_targets: 1, base_values: 'none',
      target_treeids: [0], target_nodeids: [0], target_ids: [0], target_weights: { floats: [1] },
    }),
    /TreeEnsembleRegressor\): attribute 'base_values' is a string/,
  ],
  'rounding-of-another-name': [
    model({ nodes: [node('Cast', ['x'], ['y'], { to: 24, round_mode: 'upp' })], opset: 24, outputs: { y: tensorType('float8e8m0') }, initializers: [floats('x', [2])] }),
    /Cast\): attribute 'round_mode': expected one of up down nearest, found 'upp'/,
  ],
  'attribute-of-another-kind': [simple('Softmax', { axis: { float: 1 } }), /attribute 'axis' is a float/],
  'old-attribute-of-another-kind': [simple('ReduceSum', { axes: { floats: [1] } }), /ReduceSum\): attribute 'axes' is floats/],
  'gelu-of-another-name': [simple('Gelu', { approximate: 'nonsense' }), /Gelu\): attribute 'approximate': expected one of none tanh, found 'nonsense'/],
  'loss-of-another-name': [
    simple('SoftmaxCrossEntropyLoss', { more: ['l'], initializers: [int64s('l', [0, 0])], reduction: 'nothing' }),
    /Loss\): attribute 'reduction': expected one of none sum mean, found 'nothing'/,
  ],
  'grid-of-another-name': [
    simple('GridSample', { domain: 'com.microsoft', more: ['g'], shape: [1, 1, 2, 2], initializers: [floats('g', [1, 1, 1, 2])], mode: 'best' }),
    /GridSample\): attribute 'mode': expected one of nearest linear cubic bilinear bicubic, found 'best'/,
  ],
  'activation-of-another-kind': [
    simple('FusedGemm', { domain: 'com.microsoft', more: ['b'], initializers: [floats('b', [2, 2])], activation: 1 }),
    /FusedGemm\): attribute 'activation' is an integer/,
  ],
  'old-number-of-another-kind': [simple('Clip', { max: 6 }), /Clip\): attribute 'max' is an integer/],
  'attribute-and-input': [simple('Squeeze', { more: ['a'], shape: [1, 1], initializers: [int64s('a', [0])], axes: [1] }), /Squeeze\): attribute 'axes' and input 1: expected one of them, found both/],
  'gradient-attribute-of-another-kind': [
    model({
      nodes: [
        node('AveragePool', ['x'], ['p'], { kernel_shape: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1, strides: { float: 2 } }), node('ReduceSum', ['p'], ['s'], { keepdims: 0 }),
        node('Gradient', ['x'], ['y'], { domain: 'ai.onnx.preview.training', xs: ['x'], y: 's' }),
      ],
      domains: { 'ai.onnx.preview.training': 1 }, outputs: { y: float() }, initializers: [floats('x', [1, 1, 4, 4])],
    }),
    /strides/,
  ],
  'more-outputs-than-a-formula': [
    model({
      nodes: [node('BiasAdd', ['x', 'b', 'x'], ['t', 'y'], { domain: 'com.microsoft' })], domains: { 'com.microsoft': 1 }, outputs: { y: float() },
      initializers: [floats('x', [1, 2, 2]), floats('b', [2])],
    }),
    /'y' is made by no node/,
  ],
  'more-outputs-than-a-layer': [
    model({
      nodes: [node('RandomNormal', [], ['x'], { shape: [2, 1, 1] }), node('GRU', ['x', 'w', 'r'], ['y', 'h', 'c'], { hidden_size: 2 })],
      outputs: { y: float(), h: float(), c: float() }, initializers: [floats('w', [1, 6, 1]), floats('r', [1, 6, 2])],
    }),
    /GRU\): the operator gives no output 2/,
  ],
  'more-outputs-than-a-folded-layer': [
    model({
      nodes: [node('GRU', ['x', 'w', 'r'], ['y', 'h', 'c'], { hidden_size: 2 })], outputs: { y: float(), h: float(), c: float() },
      initializers: [floats('x', [2, 1, 1]), floats('w', [1, 6, 1]), floats('r', [1, 6, 2])],
    }),
    /GRU\): the operator gives no output 2/,
  ],
  'more-outputs-than-a-folded-selection': [
    model({
      nodes: [node('Compress', ['x', 'c'], ['y', 'z'])], outputs: { y: float(), z: float() },
      initializers: [floats('x', [2]), tensor('c', 'bool', [1], { raw: Buffer.of(1) })],
    }),
    /Compress\): the operator gives no output 1/,
  ],
  'more-outputs-than-a-cast-of-nothing': [
    model({ nodes: [node('Cast', ['x'], ['t', 'z'], { to: 1 }), node('Neg', ['t'], ['y'])], outputs: { y: float(), z: float() }, initializers: [floats('x', [2])] }),
    /Cast\): the operator gives no output 1/,
  ],
  'more-outputs-than-a-transpose-of-ones': [
    model({ nodes: [node('Neg', ['x'], ['n']), node('Transpose', ['n'], ['y', 'z'], { perm: [1, 0] })], outputs: { y: float(), z: float() }, inputs: { x: float([1, 2]) } }),
    /Transpose\): the operator gives no output 1/,
  ],
  'more-inputs-than-a-cast-of-nothing': [
    model({ nodes: [node('Cast', ['x', 'x'], ['t'], { to: 1 }), node('Neg', ['t'], ['y'])], outputs: { y: float() }, initializers: [floats('x', [2])] }),
    /Cast\): expected at most 1 inputs, found 2/,
  ],
  'more-inputs-than-a-transpose-of-ones': [
    model({ nodes: [node('Transpose', ['x', 'x'], ['y'], { perm: [1, 0] })], inputs: { x: float([1, 2]) }, outputs: { y: float() }, initializers: [floats('x', [1, 2])] }),
    /Transpose\): expected at most 1 inputs, found 2/,
  ],
  'more-inputs-than-a-cast-like': [
    model({ nodes: [node('CastLike', ['x', 'x', 'x'], ['t']), node('Neg', ['t'], ['y'])], inputs: { x: float([2]) }, outputs: { y: float() }, initializers: [floats('x', [2])] }),
    /CastLike\): expected at most 2 inputs, found 3/,
  ],
  'inputs-are-told': [simple('Concat', { more: ['z'], initializers: [floats('z', [1, 3])], axis: 0 }), /\(inputs: float32 \[2,2\], float32 \[1,3\]\)$/],
  'name-of-bytes': [
    message([[1, 10], [7, message([[1, message([[1, 'x'], [2, 'y'], [3, Buffer.from('n\xff\xc3', 'latin1')], [4, 'Quux']])], [2, 'g'], [11, info('x', float([1]))], [12, info('y', float([1]))]])], ...opsets]),
    /node 'n\?\?'/,
  ],
  'no-inputs': [
    model({ nodes: [node('MatMul', [], ['y'])], outputs: { y: float() } }),
    /MatMul/,
  ],

  // Files beside the model
  'external-absolute': [external({ location: '/etc/passwd' }), /outside|absolute/],
  'external-parent': [external({ location: '../../etc/passwd' }), /outside/],
  'external-inner-parent': [external({ location: 'a/../../b' }), /outside|\.\./],
  'external-backslash': [external({ location: '..\\b' }), /outside|backslash|\\/],
  'external-drive': [external({ location: 'C:/b' }), /outside|C:|drive/],
  'external-zero-byte': [external({ location: 'a\0b' }), /outside|zero|character|location/],
  'external-no-location': [external({ offset: 0 }), /location/],
  'external-huge-offset': [external({ location: 'w.bin', offset: 2n ** 63n }), /w\.bin/],
  'external-huge-length': [external({ location: 'w.bin', length: 2n ** 62n }), /length|bytes|'w'/],
  'external-no-number': [external({ location: 'w.bin', offset: '-5' }), /offset/],
};
