#!/usr/bin/env python3
"""microsoft.py OUT_DIR: writes small models of com.microsoft's operators, in the same layout as generate.py's cases (kind
`microsoft`). The expected outputs are computed here with numpy from the words of those operators' documentation. Needs onnx and
numpy."""
import json
import pathlib
import sys

import ml_dtypes
import numpy as np
from onnx import helper, numpy_helper

random = np.random.default_rng(11)
cases = []


def f32(*shape):
    return random.standard_normal(shape).astype(np.float32)


def u8(*shape):
    return random.integers(0, 256, shape).astype(np.uint8)


def i8(*shape):
    return random.integers(-128, 128, shape).astype(np.int8)


def one(value, kind=np.float32):
    return np.array(value, kind)


def real(x, scale, zero):
    return (x.astype(np.float32) - np.float32(zero)) * np.float32(scale)


def quantised(x, scale, zero):
    limits = np.iinfo(zero.dtype)
    return np.clip(np.rint(x / np.float32(scale)) + np.float32(zero), limits.min, limits.max).astype(zero.dtype)


def case(name, op, inputs, outputs, constants=(), **attributes):
    """inputs, outputs: arrays, None where absent; constants: positions of inputs that the model holds. An op of several nodes is a
    list of (domain, op, input names, output names, attributes); the inputs are i0, i1..., the outputs o0, o1..."""
    cases.append((name, op, inputs, outputs, constants, attributes))


def build(op, inputs, outputs, constants, attributes):
    def info(name, array):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    made = [f"o{k}" if a is not None else "" for k, a in enumerate(outputs)]
    nodes = op if isinstance(op, list) else [("com.microsoft", op, names, made, attributes)]
    graph = helper.make_graph(
        [helper.make_node(n, i, o, name=f"the_{n}_{k}", domain=d, **a) for k, (d, n, i, o, a) in enumerate(nodes)], "microsoft",
        [info(names[k], a) for k, a in enumerate(inputs) if a is not None and k not in constants],
        [info(f"o{k}", a) for k, a in enumerate(outputs) if a is not None],
        [numpy_helper.from_array(inputs[k], names[k]) for k in constants])
    opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 21), ("com.microsoft", 1), ("com.microsoft.nchwc", 1))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


# ---- 8 bits with a scale -----------------------------------------------------------------------------------------------------
def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


x, sx, zx = u8(2, 3, 4), one(0.05), one(130, np.uint8)
sy, zy = one(1 / 256), one(0, np.uint8)
for axis in (0, 1, -1):
    case(f"qlinear_softmax_{axis}", "QLinearSoftmax", [x, sx, zx, sy, zy], [quantised(softmax(real(x, sx, zx), axis), sy, zy)], (1, 2, 3, 4), axis=axis, opset=13)
rows = softmax(real(x, sx, zx).reshape(2, 12), 1).reshape(x.shape)
case("qlinear_softmax_matrix", "QLinearSoftmax", [x, sx, zx, sy, zy], [quantised(rows, sy, zy)], (1, 2, 3, 4), axis=1, opset=11)

a, sa, za, b, sb, zb, sz, zz = i8(2, 1, 4), one(0.1), one(3, np.int8), i8(3, 1), one(0.2), one(-7, np.int8), one(0.15), one(1, np.int8)
choice = random.integers(0, 2, (2, 3, 4)).astype(bool)
case("qlinear_where", "QLinearWhere", [choice, a, sa, za, b, sb, zb, sz, zz], [quantised(np.where(choice, real(a, sa, za), real(b, sb, zb)), sz, zz)], (2, 3, 5, 6, 7, 8))
parts = [u8(2, 3, 2), one(0.1), one(10, np.uint8), u8(2, 1, 2), one(0.2), one(128, np.uint8)]
joined = np.concatenate([real(*parts[:3]), real(*parts[3:])], 1)
case("qlinear_concat", "QLinearConcat", [one(0.15), one(100, np.uint8), *parts], [quantised(joined, 0.15, one(100, np.uint8))], (0, 1, 3, 4, 6, 7), axis=1)

image, si, zi, so, zo = u8(2, 5, 6, 3), one(0.1), one(100, np.uint8), one(0.09), one(90, np.uint8)
windows = np.stack([real(image, si, zi)[:, i:i + 4, j:j + 4] for i in (0, 1) for j in (0, 1, 2)])
case("qlinear_average_channels_last", "QLinearAveragePool", [image, si, zi, so, zo], [quantised(windows.mean(0), so, zo)], (1, 2, 3, 4), channels_last=1, kernel_shape=[2, 3])
case("qlinear_global_channels_last", "QLinearGlobalAveragePool", [image, si, zi, so, zo], [quantised(real(image, si, zi).mean((1, 2), keepdims=True), so, zo)], (1, 2, 3, 4), channels_last=1)
for kind, values in (("u8", image), ("i8", i8(2, 5, 6, 3))):
    padded = np.pad(values, ((0, 0), (1, 0), (0, 1), (0, 0)), constant_values=np.iinfo(values.dtype).min)
    greatest = np.stack([padded[:, i:i + 5:2, j:j + 5:2] for i in (0, 1) for j in (0, 1, 2)]).max(0)
    case(f"nhwc_max_pool_{kind}", "NhwcMaxPool", [values], [greatest], kernel_shape=[2, 3], strides=[2, 2], pads=[1, 0, 0, 1])

wide = f32(2, 3) * 3
for kind in (np.int16, np.uint16):
    zero = one(7, kind)
    case(f"quantize_{zero.dtype}", "QuantizeLinear", [wide, one(0.0001), zero], [quantised(wide, 0.0001, zero)])
    whole = random.integers(0, 1 << 15, (2, 3)).astype(kind)
    case(f"dequantize_{zero.dtype}", "DequantizeLinear", [whole, one(0.01), zero], [real(whole, 0.01, zero)])

# ---- plain ones of older days ----------------------------------------------------------------------------------------------------
square = f32(2, 3, 4)
case("trilu", "Trilu", [square, one(1, np.int64)], [np.tril(square, 1)], upper=0)
case("pad", "Pad", [square[0], one([1, 0, 0, 2], np.int64), one([1.5])], [np.pad(square[0], ((1, 0), (0, 2)), constant_values=1.5)])
case("range", "Range", [one(1.0), one(7.0), one(2.0)], [one([1, 3, 5])])
case("gather_nd", "GatherND", [square, one([[1, 2], [0, 1]], np.int64)], [square[[1, 0], [2, 1]]])
case("transpose_matmul", "TransposeMatMul", [square, f32(2, 3, 5)], [], transA=1, alpha=0.5)
cases[-1][3].append((0.5 * square.transpose(0, 2, 1) @ cases[-1][2][1]).astype(np.float32))


a, b, sa, sb, za, zb = u8(2, 3), i8(2, 3), one(0.1), one(0.2), one(100, np.uint8), one(-7, np.int8)
limits = one(0.3), one(90, np.uint8)
case("qlinear_mul", "QLinearMul", [a, sa, za, u8(3), sb, one(9, np.uint8), *limits], [], (1, 2, 4, 5, 6, 7))
cases[-1][3].append(quantised(real(a, sa, za) * real(cases[-1][2][3], sb, one(9, np.uint8)), *limits))
case("qlinear_leaky_relu", "QLinearLeakyRelu", [b, sb, zb, sa, one(3, np.int8)], [], (1, 2, 3, 4), alpha=0.25)
h = real(b, sb, zb)
cases[-1][3].append(quantised(np.where(h < 0, h * np.float32(0.25), h), sa, one(3, np.int8)))
case("qlinear_sigmoid", "QLinearSigmoid", [b, sb, zb, one(1 / 256), one(-128, np.int8)], [quantised(1 / (1 + np.exp(-h)), 1 / 256, one(-128, np.int8))], (1, 2, 3, 4))
a, b, bias = u8(2, 8), i8(8, 3), f32(3)
case("matmul_integer_to_float", "MatMulIntegerToFloat", [a, b, one(0.1), np.abs(f32(3)), one(100, np.uint8), i8(3), bias], [], (1, 2, 3, 5))
cases[-1][3].append(((a.astype(np.float32) - 100) @ (b.astype(np.float32) - cases[-1][2][5]) * cases[-1][2][3] * np.float32(0.1) + bias).astype(np.float32))
h = f32(2, 5)
case("quick_gelu", "QuickGelu", [h], [h / (1 + np.exp(np.float32(-1.5) * h))], alpha=1.5)
case("gelu", "Gelu", [one([0, 1, -1])], [one([0, 0.841344746, -0.158655254])])
x, cosine, sine = f32(1, 2, 3, 4), f32(5, 2), f32(5, 2)
places = one([[1, 0, 4]], np.int64)
for name, interleaved in (("halves", 0), ("pairs", 1)):
    u, v = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :2], x[..., 2:])
    parts = [u * cosine[places[0]] - v * sine[places[0]], v * cosine[places[0]] + u * sine[places[0]]]
    case(f"rotary_{name}", "RotaryEmbedding", [x, places, cosine, sine], [np.stack(parts, -1).reshape(x.shape) if interleaved else np.concatenate(parts, -1)], interleaved=interleaved)


# ---- weights of few bits -----------------------------------------------------------------------------------------------------------
def packed(values, bits):
    """Rows of small integers, the lowest bits first."""
    per = 8 // bits
    filled = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % per)])
    filled = filled.reshape(*filled.shape[:-1], -1, per).astype(np.uint32)
    return (filled << (np.arange(per) * bits).astype(np.uint32)).sum(-1).astype(np.uint8)


for bits in (2, 4, 8):
    for rows in (1, 9):
        n, k, block = 5, 64, 16
        blocks = k // block
        q, scales = random.integers(0, 1 << bits, (n, k)), abs(f32(n, blocks)) / 8
        zeros = random.integers(0, 1 << bits, (n, blocks))
        left = f32(rows, k)
        for order in (None, random.integers(0, blocks, k).astype(np.int32)):
            at = np.arange(k) // block if order is None else order
            for level in (0, 1, 4):
                result = left @ ((q - zeros[:, at]) * scales[:, at]).T
                inputs = [left, packed(q.reshape(n, blocks, block), bits), scales, packed(zeros, bits), order]
                case(f"matmul_{bits}_bits_{rows}_{'plain' if order is None else 'ordered'}_{level}", "MatMulNBits", inputs, [result.astype(np.float32)], (1, 2, 3) if order is None else (1, 2, 3, 4), K=k, N=n, bits=bits, block_size=block, accuracy_level=level)

# Level 4 lets rows be rounded to 8 bits; these lose nothing by it, their blocks' greatest being 127 steps.
for rows in (1, 9):
    n, k, block = 21, 96, 32
    q, zeros, scales = random.integers(0, 16, (n, k)), random.integers(0, 16, (n, k // block)), abs(f32(n, k // block)) / 8
    steps = random.integers(-127, 128, (rows, k))
    steps[:, ::block] = 127
    left = (steps * np.repeat(2.0 ** random.integers(-9, -4, (rows, k // block)), block, axis=1)).astype(np.float32)
    for packed_zeros in (packed(zeros, 4), None):
        offsets = np.repeat(zeros if packed_zeros is not None else np.full_like(zeros, 8), block, axis=1)
        result = left @ ((q - offsets) * np.repeat(scales, block, axis=1)).T
        inputs = [left, packed(q.reshape(n, -1, block), 4), scales, packed_zeros]
        case(f"matmul_4_bits_{rows}_in_8_{'middle' if packed_zeros is None else 'zeros'}", "MatMulNBits", inputs, [result.astype(np.float32)], (1, 2) if packed_zeros is None else (1, 2, 3), K=k, N=n, bits=4, block_size=block, accuracy_level=4)


# ---- attention -----------------------------------------------------------------------------------------------------------------------
def attend(q, k, v, sinks, mask):
    """q, k, v: [batch, heads, rows, size]; a sink is one more score without a value."""
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]) + mask
    if sinks is not None:
        scores = np.concatenate([scores, np.broadcast_to(sinks[:, None, None], (*scores.shape[:3], 1))], -1)
    return softmax(scores, -1)[..., :k.shape[2]] @ v


def heads(x, count):
    return x.reshape(*x.shape[:2], count, -1).transpose(0, 2, 1, 3)


def merged(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1).astype(np.float32)


q, k, v, length = f32(1, 4, 32), f32(1, 4, 16), f32(1, 4, 16), 4
causal = np.triu(np.full((4, 4), -1e30, np.float32), 1)
for name, sinks in (("smooth", np.zeros(4, np.float32)), ("sink", f32(4))):
    kk, vv = heads(k, 2), heads(v, 2)
    y = attend(heads(q, 4), kk.repeat(2, 1), vv.repeat(2, 1), sinks, causal)
    extra = {"smooth_softmax": 1} if name == "smooth" else {}
    inputs = [q, k, v, None, None, one([length - 1], np.int32), one(length, np.int32)] + ([None] * 4 + [sinks] if name == "sink" else [])
    case(f"group_query_{name}", "GroupQueryAttention", inputs, [merged(y), kk, vv], num_heads=4, kv_num_heads=2, **extra)

inside, weight, bias = u8(2, 4, 12), i8(12, 24), f32(24)
si, sw, zi, zw, mask = one(0.02), abs(f32(24)) / 50, one(120, np.uint8), np.zeros(24, np.int8), one([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
hidden = real(inside, si, zi) @ (weight * sw) + bias
q, k, v = (heads(part, 2) for part in np.split(hidden, 3, -1))
past = f32(2, 2, 2, 3, 4)
for name, some_mask, some_past, only_back in (("plain", None, None, 0), ("mask", mask, None, 0), ("past", None, past, 1)):
    kk, vv = (k, v) if some_past is None else (np.concatenate([past[0], k], 2), np.concatenate([past[1], v], 2))
    added = np.zeros((1, 1, 1, 4), np.float32) if some_mask is None else np.where(mask == 0, -10000, 0)[:, None, None]
    if only_back:
        added = np.pad(causal, ((0, 0), (3, 0)))
    inputs = [inside, weight, bias, si, sw, some_mask, zi, zw, some_past]
    outputs = [merged(attend(q, kk, vv, None, added))] + ([np.stack([kk, vv]).astype(np.float32)] if only_back else [])
    case(f"quantised_attention_{name}", "QAttention", inputs, outputs, (1, 2, 3, 4, 6, 7), num_heads=2, unidirectional=only_back)
    case(f"quantised_attention_{name}_variable", "QAttention", inputs, outputs, (), num_heads=2, unidirectional=only_back)

ids, segments = one([[1, 4, 2], [0, 3, 3]], np.int32), one([[0, 1, 1], [1, 0, 0]], np.int32)
tables = [u8(5, 8), u8(4, 8), u8(2, 8), u8(8), u8(8)]
numbers = [one(0.01 * (i + 1)) for i in range(5)], [one(100 + i, np.uint8) for i in range(5)]
words, places, kinds, gamma, beta = (real(*t) for t in zip(tables, *numbers))
total = words[ids] + places[:3] + kinds[segments]
normal = (total - total.mean(-1, keepdims=True)) / np.sqrt(total.var(-1, keepdims=True) + 1e-12) * gamma + beta
mask = one([[1, 1, 0], [1, 1, 1]], np.int32)
case("quantised_embedding", "QEmbedLayerNormalization", [ids, segments, *tables, mask, *numbers[0], *numbers[1]], [normal.astype(np.float32), one([2, 3], np.int32)], (*range(2, 7), *range(8, 18)))

# ---- products and tables of integers ----------------------------------------------------------------------------------------------------
left, right, sr = f32(2, 3, 8), i8(8, 5), abs(f32(5)) / 100
for name, zero, extra in (("plain", None, None), ("bias", random.integers(-9, 9, 5).astype(np.int8), f32(5))):
    step = np.float32((max(left.max(), 0) - min(left.min(), 0)) / 255)
    middle = np.rint(-left.min() / step)
    rounded = (np.clip(np.rint(left / step) + middle, 0, 255) - middle) * step
    result = rounded @ ((right - (0 if zero is None else zero.astype(np.float32))) * sr) + (0 if extra is None else extra)
    for kind, constants in (("constant", (1, 2)), ("variable", ())):
        constants += (3,) if constants and zero is not None else ()
        case(f"dynamic_matmul_{name}_{kind}", "DynamicQuantizeMatMul", [left, right, sr, zero, extra], [result.astype(np.float32)], constants)

rows, picks = random.integers(0, 16, (6, 32)), one([[0, -1], [3, 2]], np.int64)
scales, zeros = abs(f32(6, 2)), random.integers(0, 16, (6, 2))
for bits in (4, 8):
    for name, middle in (("middle", np.full((6, 2), 1 << (bits - 1))), ("zeros", zeros)):
        values = ((rows - middle.repeat(16, 1)) * scales.repeat(16, 1)).astype(np.float32)
        inputs = [packed(rows, bits), picks, scales] + ([packed(zeros, bits)] if name == "zeros" else [])
        case(f"gather_quantised_{bits}_{name}", "GatherBlockQuantized", inputs, [values[picks]], (0, 2), bits=bits, block_size=16, gather_axis=0, quantize_axis=1)

grid, kernel, bias = f32(1, 2, 4, 4), f32(2, 3, 3, 3), f32(3)
full = np.zeros((1, 3, 9, 9), np.float32)
for i in range(4):
    for j in range(4):
        full[:, :, 2 * i:2 * i + 3, 2 * j:2 * j + 3] += np.einsum("nc,cokl->nokl", grid[:, :, i, j], kernel)
full += bias[:, None, None]
for name, constants in (("constant", (1, 2, 3)), ("variable", (1, 3))):
    case(f"conv_transpose_pads_{name}", "ConvTransposeWithDynamicPads", [grid, kernel, one([1, 0, 1, 2], np.int64), bias], [full[:, :, 1:-1, :-2]], constants, strides=[2, 2])


# ---- attention in all its forms ----------------------------------------------------------------------------------------------------------
def project(x, weight, bias, count):
    return [heads(part, count) for part in np.split(x @ weight + bias, 3, -1)]


def hidden(seen, filter=-10000):
    return np.where(seen, 0, filter).astype(np.float32)


def turned(x, cosine, sine, interleaved=False):
    """x: [..., rows, size]; cosine, sine: [rows, half]."""
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else np.split(x, 2, -1)
    real_part, imaginary = a * cosine - b * sine, a * sine + b * cosine
    return np.stack([real_part, imaginary], -1).reshape(x.shape) if interleaved else np.concatenate([real_part, imaginary], -1)


x, weight, bias, past = f32(2, 3, 12), f32(12, 48) / 4, f32(48), f32(2, 2, 2, 2, 8)
q, k, v = project(x, weight, bias, 2)
joined = [np.concatenate([p, new], 2) for p, new in zip(past, (k, v))]
keys, bits = np.arange(5), random.integers(-1, 2, (2, 3, 5)).astype(np.int32)
bits[..., 0] = 1
places = np.tril(np.ones((2, 1, 7, 7), np.int32))
masks = {
    "lengths": (one([4, 2], np.int32), keys < np.reshape([4, 2], (2, 1, 1, 1))),
    "ranges": (one([4, 5, 1, 2], np.int32), (keys < np.reshape([4, 5], (2, 1, 1, 1))) & (keys >= np.reshape([1, 2], (2, 1, 1, 1)))),
    "packed": (one([4, 2, 0, 4, 6, 0, 4, 6], np.int32), keys < np.reshape([4, 2], (2, 1, 1, 1))),
    "keys": (bits[:, 0], bits[:, 0][:, None, None] > 0),
    "queries": (bits, bits[:, None] > 0),
    "places": (places, places[:, :, 2:5, :5] > 0),
    "one_column": (np.ones((2, 1), np.int32), np.ones((2, 1, 1, 5), bool)),
}
for name, (mask, seen) in masks.items():
    case(f"attention_mask_{name}", "Attention", [x, weight, bias, mask, past], [merged(attend(q, *joined, None, hidden(seen, -50))), np.stack(joined)], (1, 2), num_heads=2, mask_filter_value=-50.0)
wide = np.split(x @ weight, [12, 24], -1)
case("attention_wide_values", "Attention", [x, weight, None], [merged(attend(*(heads(part, 2) for part in wide), None, 0))], (1,), num_heads=2, qkv_hidden_sizes=[12, 12, 24])
angles = np.arange(2, 5)[:, None] / 10000 ** (np.arange(4) / 4)
tq, tk = (turned(part, np.cos(angles), np.sin(angles)) for part in (q, k))
case("attention_rotary", "Attention", [x, weight, bias, None, past], [merged(attend(tq, np.concatenate([past[0], tk], 2), joined[1], None, 0))], (1, 2), num_heads=2, do_rotary=1)
room = np.concatenate([past, f32(2, 2, 2, 4, 8)], 3)
left = room.copy()
left[:, :, :, 2:5] = np.stack([k, v])
case("attention_shared", "Attention", [x, weight, bias, None, room, None, one([2], np.int32)], [merged(attend(q, *joined, None, np.pad(causal[:3, :3], ((0, 0), (2, 0))))), left], (1, 2), num_heads=2, unidirectional=1, past_present_share_buffer=1)

q, k, v, bias = f32(4, 2, 16), f32(4, 2, 16), f32(4, 2, 24), f32(56)
hq, hk, hv = (heads(part + b, 2) for part, b in zip((q, k, v), np.split(bias, [16, 32])))
added = f32(4, 2, 2, 2)
scores = (hq @ hk.transpose(0, 1, 3, 2) / np.sqrt(8) + added).astype(np.float32)
for name, op, inputs in (("multi", "MultiHeadAttention", [q, k, v, bias, None, added]), ("masked", "DecoderMaskedMultiHeadAttention", [q, k, v, None, added, None, None, None, None, None, bias])):
    case(f"{name}_bias", op, inputs, [merged(attend(hq, hk, hv, None, added)), hk.astype(np.float32), hv.astype(np.float32), scores], num_heads=2)
case("multi_cached", "MultiHeadAttention", [q, hk.astype(np.float32), hv.astype(np.float32), bias], [merged(attend(hq, hk, hv, None, 0))], num_heads=2)
case("multi_last_query", "MultiHeadAttention", [q[:, :1], k, v], [merged(attend(heads(q[:, :1], 2), heads(k, 2), heads(v, 2), None, 0))], num_heads=2, unidirectional=1)
both = np.stack([k.reshape(4, 2, 2, 8), v[..., :16].reshape(4, 2, 2, 8)], 3)
case("multi_packed", "MultiHeadAttention", [q, both], [merged(attend(heads(q, 2), heads(k, 2), heads(v[..., :16], 2), None, 0))], num_heads=2)
room, sources = f32(2, 4, 2, 5, 8), random.integers(0, 2, (2, 2, 5)).astype(np.int32)
now = [heads(part[:, :1, :16], 2) for part in (q, k, v)]
followed = np.stack([room[:, 2 * (b // 2) + sources.reshape(4, 5)[b, :3], :, np.arange(3)].transpose(1, 2, 0, 3) for b in range(4)], 1)
left = room.copy()
left[:, :, :, 3:4] = np.stack(now[1:])
y = merged(attend(now[0], *(np.concatenate([p, new], 2) for p, new in zip(followed, now[1:])), None, 0))
inputs = [q[:, :1], k[:, :1], v[:, :1, :16]]
case("multi_beams", "MultiHeadAttention", inputs + [None] * 3 + [*room, one([3], np.int32), sources], [y, *left], num_heads=2)
case("masked_beams", "DecoderMaskedMultiHeadAttention", inputs + [None] * 2 + [*room, one([3], np.int32), one([2], np.int32), sources], [y, *left], num_heads=2, past_present_share_buffer=1)

q, k, v, gq, gk = f32(1, 3, 32), f32(1, 3, 16), f32(1, 3, 16), f32(16), f32(16)
past = f32(2, 1, 1, 2, 16)
numbers = [one([4], np.int32), one(5, np.int32)]


def normed(x, gain):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * gain


for name, extra, norms, mask in (("both_ways", {"causal": 0}, False, 0), ("normed", {}, True, np.pad(causal[:3, :3], ((0, 0), (2, 0))))):
    hq, hk, hv = heads(q, 2), heads(k, 1), heads(v, 1)
    hq, hk = (normed(hq, gq), normed(hk, gk)) if norms else (hq, hk)
    kk, vv = np.concatenate([past[0], hk], 2).astype(np.float32), np.concatenate([past[1], hv], 2).astype(np.float32)
    inputs = [q, k, v, *past, *numbers] + ([None] * 7 + [gq, gk] if norms else [])
    weights = softmax(hq @ kk.transpose(0, 1, 3, 2) / 4 + mask, -1).astype(np.float32)
    case(f"group_query_{name}", "GroupQueryAttention", inputs, [merged(attend(hq, kk.repeat(2, 1), vv.repeat(2, 1), None, mask)), kk, vv, weights], num_heads=2, kv_num_heads=1, qk_output=2, **extra)
for wide_bits in (4, 8):
    low, high = -(1 << (wide_bits - 1)), (1 << (wide_bits - 1)) - 1
    steps = [one([4 / high]), np.abs(f32(1, 1, 1, 16)) / high + one(2 / high)]
    whole = random.integers(low, high + 1, (2, 1, 1, 2, 16))
    new = [np.clip(np.rint(heads(part, 1) / step), low, high) for part, step in zip((k, v), steps)]
    held = [np.concatenate([p, part], 2).astype(int) for p, part in zip(whole, new)]
    stored = [packed(part + 8, 4) if wide_bits == 4 else part.astype(np.int8) for part in (*whole, *held)]
    kk, vv = (part * step for part, step in zip(held, steps))
    y = merged(attend(heads(q, 2), kk.repeat(2, 1), vv.repeat(2, 1), None, np.pad(causal[:3, :3], ((0, 0), (2, 0)))))
    case(f"group_query_{wide_bits}_bits", "GroupQueryAttention", [q, k, v, *stored[:2], *numbers] + [None] * 5 + steps, [y, *stored[2:]], num_heads=2, kv_num_heads=1, k_quant_type="PER_TENSOR", v_quant_type="PER_CHANNEL", kv_cache_bit_width=wide_bits)

q, k, v, past = f32(2, 3, 32), f32(2, 3, 16), f32(2, 3, 16), f32(2, 2, 1, 6, 16)
cosine, sine, held = f32(9, 8), f32(9, 8), past.copy()
rows, before, y = one([2, 3], np.int32), (3, 1), np.zeros((2, 3, 32), np.float32)
for b, (count, old) in enumerate(zip(rows, before)):
    spots = np.arange(old, old + count)
    tq, tk = (turned(heads(part[b:b + 1, :count], n), cosine[spots], sine[spots]) for part, n in ((q, 2), (k, 1)))
    held[:, b, :, old:old + count] = np.stack([tk[0], heads(v[b:b + 1, :count], 1)[0]])
    held[:, b, :, old + count:] = 0
    kk, vv = (part[b:b + 1, :, :old + count].repeat(2, 1) for part in held)
    mask = np.where(np.arange(old + count) <= spots[:, None], 0, -1e30)
    y[b, :count] = merged(attend(tq, kk, vv, None, mask))[0]
nodes = [("com.microsoft", "GroupQueryAttention", [*(f"i{n}" for n in range(9)), *[""] * 7, "i9"], ["all", "o1", "o2"], {"num_heads": 2, "kv_num_heads": 1, "do_rotary": 1}),
         ("", "Where", ["i10", "all", "i11"], ["o0"], {})]
real_rows = (np.arange(3) < rows[:, None])[..., None]
case("group_query_padded_queries", nodes, [q, k, v, *past, one([4, 3], np.int32), one(6, np.int32), cosine, sine, rows, real_rows, one(0)], [y, *held])
q, k, v = f32(1, 2, 32), f32(1, 2, 16), f32(1, 2, 16)
y = merged(attend(heads(q, 2), heads(k, 1).repeat(2, 1), heads(v, 1).repeat(2, 1), None, np.triu(np.full((2, 2), -1e30), 1)))
case("group_query_room_without_past", "GroupQueryAttention", [q, k, v, None, None, one([1], np.int32), one(7, np.int32)], [y], num_heads=2, kv_num_heads=1)

places, cosine, sine = random.integers(0, 9, (3, 2, 3)), f32(9, 8), f32(9, 8)
image = f32(2, 2, 3, 16)
for name, layout, section in (("chunks", 0, [3, 4, 1]), ("mixed", 1, [4, 2, 2])):
    which = np.repeat(np.arange(3), section) if layout == 0 else np.array([i % 3 if i % 3 and i < 3 * section[i % 3] else 0 for i in range(8)])
    c, s = (table[places[which], np.arange(8)[:, None, None]].transpose(1, 2, 0)[:, None] for table in (cosine, sine))
    case(f"rotary_sections_{name}", "MRotaryEmbedding", [image, places, cosine, sine], [turned(image, c, s).astype(np.float32)], mrope_section=section, mrope_layout=layout)

# ---- corners of the quantised ones ---------------------------------------------------------------------------------------------------------
x, sx, sy, zy = i8(2, 5), one(0.05), one(1 / 256), one(-128, np.int8)
case("qlinear_softmax_no_zero", "QLinearSoftmax", [x, sx, None, sy, zy], [quantised(softmax(real(x, sx, 0), -1), sy, zy)], (1, 3, 4), axis=-1, opset=13)
cube, si, zi, so, zo = u8(1, 2, 3, 4, 5), one(0.1), one(100, np.uint8), one(0.09), one(90, np.uint8)
windows = [cube[:, :, a:a + 2, b:b + 3, c:c + 4] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
case("qlinear_average_cube", "QLinearAveragePool", [cube, si, zi, so, zo], [quantised(np.mean([real(w, si, zi) for w in windows], 0), so, zo)], (1, 2, 3, 4), kernel_shape=[2, 2, 2])
case("nhwc_max_cube", "NhwcMaxPool", [cube.transpose(0, 2, 3, 4, 1)], [np.max(windows, 0).transpose(0, 2, 3, 4, 1)], kernel_shape=[2, 2, 2])
a, b, c = u8(4, 6), i8(6, 4), random.integers(-999, 999, (4, 1)).astype(np.int32)
for name, extra in (("rows", c), ("columns", c.T), ("whole", np.tile(c, (1, 4)) + c.T), ("one", c[0])):
    result = 0.5 * 0.02 * 0.03 * ((a.astype(np.float32) - 7) @ (b.astype(np.float32) + 3) + extra)
    case(f"qgemm_bias_{name}", "QGemm", [a, one(0.02), one(7, np.uint8), b, one(0.03), one(-3, np.int8), extra], [result.astype(np.float32)], (1, 2, 4, 5), alpha=0.5)
skip = f32(2, 3, 1)
case("skip_norm_small", "SkipLayerNormalization", [skip, skip, one([1.5]), one([0.5])], [np.full((2, 3, 1), 0.5, np.float32), None, np.full((2, 3, 1), 1e6, np.float32)])
steps, weights, states, bias = f32(1, 2, 4), i8(1, 4, 12), i8(1, 3, 12), f32(1, 24) / 4
span = np.float32((max(steps.max(), 0) - min(steps.min(), 0)) / 255)
middle = np.rint(-min(steps.min(), 0) / span)
rounded = (np.clip(np.rint(steps[0] / span) + middle, 0, 255) - middle) * span
gates = rounded @ (weights[0] * np.float32(0.01)) + bias[0, :12] + bias[0, 12:]
i, o, f, g = np.split(gates, 4, -1)
cell = np.tanh(g) / (1 + np.exp(-i))
last = (np.tanh(cell) / (1 + np.exp(-o))).astype(np.float32)[None]
scale, zero = one([0.01]), np.zeros(1, np.int8)
case("dynamic_lstm_last", "DynamicQuantizeLSTM", [steps, weights, states, bias, None, None, None, None, scale, zero, scale, zero], [None, last, cell[None].astype(np.float32)], (1, 2, 8, 9, 10, 11), hidden_size=3)

# ---- others under another name, or a few of them ---------------------------------------------------------------------------------------------
def erf(x):
    t = np.linspace(0, 1, 2001) * x[..., None]
    return 2 / np.sqrt(np.pi) * np.trapezoid(np.exp(-t * t), t, axis=-1)


def silu(x):
    return x / (1 + np.exp(-x))


x, bias, rest = f32(2, 3, 8), f32(8), f32(2, 3, 8)
case("bias_add", "BiasAdd", [x, bias, rest], [x + bias + rest])
case("bias_dropout", "BiasDropout", [x, bias, rest], [x + bias + rest])
halves = np.split((x + bias).astype(np.float64), 2, -1)
case("bias_split_gelu", "BiasSplitGelu", [x, bias], [(halves[0] * halves[1] * 0.5 * (1 + erf(halves[1] / np.sqrt(2)))).astype(np.float32)])
matrix = f32(8, 4)
case("bias_gelu", "BiasGelu", [x, bias], [((x + bias) / 2 * (1 + erf((x + bias) / np.sqrt(2)))).astype(np.float32)])
for name, inputs in {"fast_gelu": [x, bias], "fast_gelu_alone": [x]}.items():
    h = sum(inputs)
    case(name, "FastGelu", inputs, [(h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h ** 3)))).astype(np.float32)])
h = x @ matrix + bias[:4]
case("gemm_fast_gelu", "GemmFastGelu", [x, matrix, bias[:4]], [(h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h ** 3)))).astype(np.float32)])
case("matmul_softplus", "FusedMatMulActivation", [x, matrix], [np.log1p(np.exp(x @ matrix))], activation="Softplus")
h = x[0] @ matrix
case("gemm_selu", "FusedGemm", [x[0], matrix], [np.where(h > 0, 1.2 * h, 1.2 * 1.5 * (np.exp(h) - 1)).astype(np.float32)], activation="Selu", activation_alpha=1.5, activation_gamma=1.2)
case("gemm_elu", "FusedGemm", [x[0], matrix], [np.where(h > 0, h, 0.7 * (np.exp(h) - 1)).astype(np.float32)], activation="Elu", activation_alpha=0.7)
case("gemm_relu", "FusedGemm", [x[0], matrix], [np.maximum(h, 0).astype(np.float32)], activation="Relu", activation_alpha=0.3, activation_beta=0.6, activation_gamma=1.1)
case("expand_dims", "ExpandDims", [x, one(-2, np.int32)], [x[:, :, None]])
case("torch_embedding", "TorchEmbedding", [matrix, one([[3, 1]], np.int64), one(0, np.int64)], [matrix[[[3, 1]]]])
case("unique", "Unique", [one([3, 1, 3, 2, 1])], [one([3, 1, 2]), one([0, 1, 0, 2, 1], np.int64), one([2, 2, 1], np.int64)])
case("gather_nd_int32", "GatherND", [matrix, one([[1, 2], [-1, 0]], np.int32)], [matrix[[1, -1], [2, 0]]])
case("pad_row", "Pad", [matrix, one([[1, 0, 0, 2]], np.int64)], [np.pad(matrix, ((1, 0), (0, 2)), mode="edge")], mode="edge")
case("range_by_one", "Range", [one(2, np.int32), one(5, np.int32)], [one([2, 3, 4], np.int32)])
a, b = random.integers(-999, 999, (2, 3)).astype(np.int16), random.integers(-999, 999, (3, 4)).astype(np.int16)
case("matmul_integer_16", "MatMulInteger16", [a, b], [a.astype(np.int32) @ b])
a, b = u8(2, 3), u8(3)
case("mul_integer", "MulInteger", [a, one(5, np.uint8), b], [(a.astype(np.int32) - 5) * b])
case("qlinear_reduce_mean", "QLinearReduceMean", [u8(2, 5), si, zi, so, zo], [], (1, 2, 3, 4), axes=[1], keepdims=1)
cases[-1][3].append(quantised(real(cases[-1][2][0], si, zi).mean(1, keepdims=True), so, zo))
spots = one([[[[0.5, -1], [0, 0]]]])
plane = f32(1, 1, 3, 3)
case("grid_sample", "GridSample", [plane, spots], [one([[[[plane[0, 0, 0, 1:].mean(), plane[0, 0, 1, 1]]]]])], mode="bilinear", align_corners=1)

image, gamma, beta, skip = f32(2, 3, 3, 4), f32(4), f32(4), f32(2, 4)


def group_normed(x):
    grouped = x.reshape(2, 9, 2, 2)
    grouped = (grouped - grouped.mean((1, 3), keepdims=True)) / np.sqrt(grouped.var((1, 3), keepdims=True) + 1e-5)
    return grouped.reshape(x.shape) * gamma + beta


case("group_norm", "GroupNorm", [image, gamma, beta], [silu(group_normed(image)).astype(np.float32)], groups=2, activation=1)
case("group_norm_channels_first", "GroupNorm", [image.transpose(0, 3, 1, 2), gamma, beta], [group_normed(image).transpose(0, 3, 1, 2).astype(np.float32)], groups=2, activation=0, channels_last=0)
total = image + skip[:, None, None] + bias[:4]
case("skip_group_norm", "SkipGroupNorm", [image, gamma, beta, skip, bias[:4]], [group_normed(total).astype(np.float32), total], groups=2, activation=0)
filters, z = f32(5, 4, 1, 1), f32(2, 3, 3, 5)
wide = f32(5, 1, 2, 4)
case("nhwc_conv", "NhwcConv", [image, wide], [image[:, :, :-1] @ wide[:, 0, 0].T + image[:, :, 1:] @ wide[:, 0, 1].T], (1,))
case("nhwc_fused_conv", "NhwcFusedConv", [image, filters, f32(5) * 0, z], [np.maximum(image @ filters[..., 0, 0].T + z, 0)], (1,), activation="Relu")
bytes_in, bytes_w = u8(1, 3, 3, 4), i8(5, 4, 1, 1)
result = quantised(real(bytes_in, si, zi) @ (bytes_w[..., 0, 0] * one(0.01)).T, so, zo)
case("qlinear_conv_channels_last", "QLinearConv", [bytes_in, si, zi, bytes_w, one(0.01), one(0, np.int8), so, zo], [result], (1, 2, 3, 4, 5, 6, 7), channels_last=1)

x, taps, state = f32(1, 4, 3), f32(3, 1, 3), f32(1, 2, 3)
line = np.concatenate([state, x], 1)
y = silu(np.stack([(line[:, t:t + 3] * taps[:, 0].T).sum(1) for t in range(4)], 1))
case("causal_conv_channels_last", "CausalConvWithState", [x, taps, None, state], [y.astype(np.float32), line[:, 4:]], activation="silu", channels_last=1)
q, k, v = f32(1, 2, 4), f32(1, 2, 8), f32(1, 2, 6)
memory, y = np.zeros((2, 4, 3)), []
for t in range(2):
    memory = memory + k[0, t].reshape(2, 4, 1) * v[0, t].reshape(2, 1, 3)
    y.append((q[0, t] @ memory / 2).reshape(-1))
case("linear_attention_values", "LinearAttention", [q, k, v], [np.stack(y)[None].astype(np.float32), memory[None].astype(np.float32)], q_num_heads=1, kv_num_heads=2, update_rule="linear")
a, b, dt, decay = f32(1, 2, 4), f32(1, 2, 4), f32(4), -np.abs(f32(4))
case("attention_gate", "LinearAttentionGate", [a, dt, decay, b], [(decay * np.log1p(np.exp(a + dt))).astype(np.float32), 1 / (1 + np.exp(-b))])
x, gain, gate = f32(2, 8), f32(4), f32(2, 8)
y = normed(x.reshape(2, 2, 4), gain).reshape(2, 8) * silu(gate)
case("gated_rms_norm", "GatedRMSNorm", [x, gain, gate], [y.astype(np.float32)], epsilon=1e-6)

# ---- operators of their own ------------------------------------------------------------------------------------------------------------------
a, b = f32(4, 3), f32(5, 3)
squares = ((a[:, None] - b) ** 2).sum(-1)
case("cdist_squared", "CDist", [a, b], [squares], metric="sqeuclidean")
case("cdist", "CDist", [a, b], [np.sqrt(squares)], metric="euclidean")
plane = f32(2, 1, 4, 4)
crops = np.stack([plane[1][:, ::3, ::3], np.stack([plane[0][:, [1, 1], 0], np.full((1, 2), 9, np.float32)], -1)])
for kind, dtype in {"": np.float32, "_double": np.float64, "_float16": np.float16}.items():
    case(f"crop_resize{kind}", "CropAndResize", [plane.astype(dtype), one([[0, 0, 1, 1], [0.334, 0, 0.334, 1.5]], dtype), one([1, 0], np.int32), one([2, 2], np.int32)], [crops.astype(dtype)], extrapolation_value=9.0, mode="nearest")
case("crop_resize_linear", "CropAndResize", [plane, one([[0, 0, 1, 1], [1 / 3, 0, 1 / 3, 1.5]]), one([1, 0], np.int32), one([2, 2], np.int32)], [crops], extrapolation_value=9.0)
case("crop_resize_between", "CropAndResize", [plane, one([[1 / 6, 0.5, 0.5, 0.5]]), one([1], np.int32), one([2, 1], np.int32)], [np.stack([plane[1:, :, :2, 1:3].mean((2, 3)), plane[1:, :, 1:3, 1:3].mean((2, 3))], 2)[..., None]])
line = f32(2, 7)
case("unfold", "UnfoldTensor", [line], [np.stack([line[:, i:i + 3] for i in (0, 2, 4)], 1)], dim=1, size=3, step=2)
costs = one([[1, 9, 9], [1, 9, 9], [9, 1, 1]])
case("time_warping", "DynamicTimeWarping", [costs], [one([[0, 1, 2, 2], [0, 0, 1, 2]], np.int32)])
scores = f32(2, 5)
banned = scores.copy()
banned[0, 3] = banned[1, [1, 4]] = -np.inf
case("ngram_block", "NGramRepeatBlock", [one([[2, 3, 0, 1, 2], [2, 1, 2, 4, 2]], np.int64), scores], [banned], ngram_size=2)
source, guesses = one([5, 6, 7, 5, 8, 9], np.int64), one([7, 5, 1, 9, 2], np.int64)
case("bifurcation", "BifurcationDetector", [source, one([4, 6], np.int64), one(2, np.int64), guesses], [one([4, 6, 7, 5, 1], np.int64), one(-1, np.int64)], min_ngram_size=1, max_ngram_size=3)
case("bifurcation_all", "BifurcationDetector", [source, one([4, 6], np.int64), one(4, np.int64), one([8, 9, 3], np.int64)], [one([4, 6, 8, 9, 3], np.int64), one(-1, np.int64)], min_ngram_size=1, max_ngram_size=3)
case("bifurcation_pair", "BifurcationDetector", [source, one([7, 5], np.int64), one(0, np.int64)], [one([7, 5], np.int64), one(4, np.int64)], min_ngram_size=1, max_ngram_size=3)
case("bifurcation_twice", "BifurcationDetector", [source, one([5], np.int64), one(0, np.int64)], [one([5], np.int64), one(-1, np.int64)], min_ngram_size=1, max_ngram_size=3)
case("murmur_text", "MurmurHash3", [np.array(["", "hello, world"], object)], [one([0, 345750399], np.uint32)])
case("murmur_signed", "MurmurHash3", [one([0], np.int32)], [one([593689054], np.int32)], positive=0)
square = f32(2, 3, 3) + 3 * np.eye(3, dtype=np.float32)
case("inverse", "Inverse", [square], [np.linalg.inv(square)])
table = one([0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4])
table = np.concatenate([table, -table])
index, scale, left = random.integers(0, 16, (5, 16)), np.abs(f32(5)), f32(3, 16)
case("matmul_bnb", "MatMulBnb4", [left, packed(index.reshape(5, 8, 2)[..., ::-1].reshape(-1), 4), scale], [left @ (table[index] * scale[:, None]).T], (1, 2), K=16, N=5, block_size=16, quant_type=0)

tokens, router, bits = f32(5, 32), f32(5, 4), 4
q1, q2, s1, s2, z1, b1, b2 = random.integers(0, 16, (4, 32, 32)), random.integers(0, 16, (4, 32, 16)), np.abs(f32(4, 32, 2)) / 20, np.abs(f32(4, 32, 1)) / 20, random.integers(0, 16, (4, 32, 2)), f32(4, 32), f32(4, 32)
w1, w2 = ((q1 - z1.repeat(16, -1)) * s1.repeat(16, -1)).astype(np.float32), ((q2 - 8) * s2).astype(np.float32)


def experts(normalise):
    shares, y = softmax(router, -1), np.zeros((5, 32))
    for t in range(5):
        best = np.argsort(-router[t])[:2]
        for e in best:
            h = w1[e] @ tokens[t] + b1[e]
            g, l = np.minimum(h[0::2], 7), np.clip(h[1::2], -7, 7)
            y[t] += shares[t, e] / (shares[t, best].sum() if normalise else 1) * (w2[e] @ (g / (1 + np.exp(-1.702 * g)) * (l + 1)) + b2[e])
    return y.astype(np.float32)


limits = {"k": 2, "activation_type": "swiglu", "swiglu_fusion": 1, "activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_limit": 7.0}
case("experts", "MoE", [tokens, router, w1, b1, w2, b2], [experts(False)], (2, 4), **limits)
case("experts_4_bits", "QMoE", [tokens, router, packed(q1, 4), s1, b1, packed(q2, 4), s2, b2, None, None, None, packed(z1, 4)], [experts(True)], (2, 3, 5, 6, 11), normalize_routing_weights=1, block_size=16, **limits)


# ---- channels in blocks ------------------------------------------------------------------------------------------------------------------------
def blocked(w, block):
    o, i, h, v = w.shape
    inner = block if i >= block else 1
    return np.ascontiguousarray(w.reshape(o // block, block, i // inner, inner, h, v).transpose(0, 2, 4, 5, 3, 1)).reshape(w.shape)


def convolved(x, w, b):
    """3 x 3, padded by one, of x [n, i, h, v]."""
    p = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sum(np.einsum("nihv,oi->nohv", p[:, :, a:a + x.shape[2], c:c + x.shape[3]], w[:, :, a, c]) for a in range(3) for c in range(3)) + b[:, None, None]


block_domain = "com.microsoft.nchwc"
for block, channels in ((8, 32), (16, 32), (8, 20), (16, 20)):
    full = -(-channels // block) * block
    uneven = np.exp(f32(full))[:, None, None, None]  # filters unlike each other, as trained ones are
    w1, w2, b1, b2, x = f32(full, 3, 3, 3) * uneven, f32(full, full, 3, 3) * uneven / 9, f32(full), f32(full), f32(1, 3, 6, 6)
    for w in (w1, w2, b1, b2):
        w[channels:] = 0
    w2[:, channels:] = 0
    first = np.maximum(convolved(x, w1, b1), 0)
    y = convolved(first, w2, b2) + first
    pooled = y.reshape(1, full, 3, 2, 3, 2).max((3, 5))[:, :channels]
    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "group": 1}
    nodes = [
        (block_domain, "Conv", ["i0", "i1", "i2"], ["a"], conv | {"activation": "Relu"}), (block_domain, "Conv", ["a", "i3", "i4", "a"], ["b"], conv),
        (block_domain, "MaxPool", ["b"], ["c"], {"kernel_shape": [2, 2], "strides": [2, 2]}), (block_domain, "ReorderOutput", ["c"], ["o0"], {"channels": channels}),
        ("", "Transpose", ["o0"], ["d"], {"perm": [0, 2, 3, 1]}), (block_domain, "ReorderInput", ["d"], ["e"], {"channels_last": 1}),
        (block_domain, "GlobalAveragePool", ["e"], ["f"], {}), (block_domain, "Upsample", ["f"], ["g"], {"scales": [1, 1, 2, 1], "mode": "nearest"}),
        (block_domain, "ReorderOutput", ["g"], ["o1"], {"channels": channels, "channels_last": 1})]
    mean = pooled.mean((2, 3)).reshape(1, 1, 1, channels).repeat(2, 1)
    case(f"blocks_of_{block}_{channels}_channels", nodes, [x, blocked(w1, block), b1, blocked(w2, block), b2], [pooled.astype(np.float32), mean.astype(np.float32)], (1, 2, 3, 4))


# ---- simulated quantisation whose 8 bits have a sign here and none there: the integer operators take one type only -----------------------------
a, b = i8(1, 4, 6), u8(1, 4, 6)
a_real, b_real = real(a, 0.02, 5), real(b, 0.03, 100)
for name, op, fed, y, attributes in (
    ("add", "Add", "rs", a_real + b_real, {}), ("mul", "Mul", "rs", a_real * b_real, {}), ("concat", "Concat", "rs", np.concatenate([a_real, b_real], 1), {"axis": 1}),
    ("sigmoid", "Sigmoid", "r", 1 / (1 + np.exp(-a_real)), {}), ("leaky_relu", "LeakyRelu", "r", np.where(a_real < 0, a_real * np.float32(0.25), a_real), {"alpha": 0.25}),
    ("matmul", "MatMul", "rt", a_real @ b_real.swapaxes(1, 2), {}), ("conv", "Conv", "rs", (a_real * b_real).sum(keepdims=True), {}), ("flatten", "Flatten", "r", a_real.reshape(1, 24), {}),
    ("average_pool", "AveragePool", "r", a_real.reshape(1, 4, 3, 2).mean(3), {"kernel_shape": [2], "strides": [2]})):
    zero = one(30, np.uint8)
    nodes = [("", "DequantizeLinear", ["i0", "i1", "i2"], ["r"], {}), ("", "DequantizeLinear", ["i3", "i4", "i5"], ["s"], {}), ("", "Transpose", ["s"], ["t"], {"perm": [0, 2, 1]}),
             ("", op, list(fed), ["y"], attributes), ("", "QuantizeLinear", ["y", "i6", "i7"], ["z"], {}), ("", "DequantizeLinear", ["z", "i6", "i7"], ["o0"], {})]
    answer = real(quantised(y.astype(np.float32), 0.025, zero), 0.025, zero)
    case(f"simulated_{name}_of_two_types", nodes, [a, one(0.02), one(5, np.int8), b, one(0.03), one(100, np.uint8), one(0.025), zero], [answer], (1, 2, 4, 5, 6, 7))


# ---- caches of a window: whatever the steps were, the last tokens lie at the front, as many as their number tells ---------------------------
def held_rows(tokens, room, window):
    step = room - window + 1
    return tokens - step * max(0, -(-(tokens - room) // step))


for name, room, window, before, new, bits in (("full", 4, 4, [6], 1, 0), ("prompt", 5, 3, [0], 9, 0), ("cut", 6, 4, [8], 3, 0), ("slack", 6, 4, [9], 1, 0), ("ragged", 5, 3, [2, 11], 1, 0), ("turned", 4, 4, [5], 2, 0), ("8_bits", 5, 4, [7], 2, 8), ("4_bits", 5, 4, [3], 4, 4)):
    batch, total = len(before), max(before) + new
    q, told, step = f32(batch, new, 32), f32(2, batch, 1, total, 16), one(0.5)
    low = -(1 << (bits - 1)) if bits else 0
    if bits:
        told = np.clip(np.rint(told / step), low, -low - 1)
    wide = [held_rows(old, room, window) for old in before]
    past, present, y = np.zeros((2, batch, 1, room, 16), np.float32), np.zeros((2, batch, 1, room, 16), np.float32), np.zeros((batch, new, 32), np.float32)
    cosine, sine = (f32(total, 8), f32(total, 8)) if name == "turned" else (np.ones((total, 8), np.float32), np.zeros((total, 8), np.float32))
    real_told = told * (step if bits else one(1))
    raw = np.stack([real_told[:, b, :, old:old + new] for b, old in enumerate(before)], 1)
    for b, old in enumerate(before):
        end = old + new
        if name == "turned":
            told[0, b] = real_told[0, b] = turned(told[0, b][None], cosine, sine)[0]
        past[:, b, :, :wide[b]] = told[:, b, :, old - wide[b]:old]
        last = held_rows(end, room, window)
        present[:, b, :, :last] = told[:, b, :, end - last:end]
        at = np.arange(end) - np.arange(old, end)[:, None]
        kk, vv = (part[b:b + 1, :, :end].repeat(2, 1) for part in real_told)
        y[b] = merged(attend(turned(heads(q[b:b + 1], 2), cosine[old:end], sine[old:end]), kk, vv, None, np.where((at <= 0) & (at > -window), 0, -1e30)))[0]
    stored = [x.astype(np.float32) if not bits else packed(x.astype(int) + 8, 4) if bits == 4 else x.astype(np.int8) for x in (*past, *present)]
    more = [cosine, sine] if name == "turned" else [None, None]
    more += [None] * 3 + [step, step] if bits else []
    extra = {"k_quant_type": "PER_TENSOR", "v_quant_type": "PER_TENSOR", "kv_cache_bit_width": bits} if bits else {"do_rotary": int(name == "turned")}
    inputs = [q, *(merged(x) for x in raw), *stored[:2], one(np.array(before) + new - 1, np.int32), one(total, np.int32), *more]
    case(f"group_query_window_{name}", "GroupQueryAttention", inputs, [y, *stored[2:]], num_heads=2, kv_num_heads=1, sliding_window_cache=1, local_window_size=window, **extra)

# Weights that are left out, their place kept, are zeros.
bias = f32(5)
case("matmul_4_bits_of_nothing", "MatMulNBits", [f32(2, 3, 32), u8(0, 2, 8), f32(0), None, None, bias], [np.broadcast_to(bias, (2, 3, 5)).copy()], K=32, N=5, bits=4, block_size=16)

for kind, name in ((ml_dtypes.float8_e4m3fn, "e4m3"), (ml_dtypes.float8_e5m2, "e5m2"), (ml_dtypes.float4_e2m1fn, "e2m1")):
    halves = f32(6, 32).astype(kind)
    case(f"gather_quantised_{name}", "GatherBlockQuantized", [halves, picks, scales], [(halves.astype(np.float32) * scales.repeat(16, 1))[picks]], (0, 2), block_size=16, gather_axis=0, quantize_axis=1)

line, filters = f32(1, 5, 4), f32(3, 1, 4)  # nothing tells the rank of the weights
case("nhwc_conv_line", [("", "Identity", ["i1"], ["w"], {}), ("com.microsoft", "NhwcConv", ["i0", "w"], ["o0"], {})], [line, filters], [line @ filters[:, 0].T])

# Caches in 16 bits. A query takes the one key that it stands for, so that the answers are exact.
for half_type, name in ((np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")):
    keys, values = np.broadcast_to(np.eye(16), (2, 2, 16, 16))[:, :, :5].astype(half_type), f32(2, 2, 5, 16).astype(half_type)
    held, aims = [2, 4], [[0, 1, 2, 1], [4, 0, 3, 2]]
    q = np.stack([np.stack([keys[b, h // 2, aim] * half_type(100) for h, aim in enumerate(aims[b])]) for b in range(2)]).reshape(2, 1, 64)
    y = np.stack([np.stack([values[b, h // 2, aim] for h, aim in enumerate(aims[b])]) for b in range(2)]).reshape(2, 1, 64)
    new = [np.stack([part[b, :, held[b]] for b in range(2)]).reshape(2, 1, 32) for part in (keys, values)]
    present = [part.copy() for part in (keys, values)]
    for part in present:
        part[0, :, 3:] = 0
    inputs = [q, *new, keys[:, :, :4].copy(), values[:, :, :4].copy(), one(held, np.int32), one(5, np.int32)]
    case(f"group_query_{name}", "GroupQueryAttention", inputs, [y, *present], num_heads=4, kv_num_heads=2, scale=1.0)
    case(f"group_query_{name}_forgotten", "GroupQueryAttention", inputs, [y], num_heads=4, kv_num_heads=2, scale=1.0)
    aims = [[0, 4], [2, 3]]
    q, y = (np.stack([part[b, [0, 1], aims[b]] for b in range(2)]).reshape(2, 1, 32) for part in (keys * half_type(100), values))
    new = [part[:, :, 4].reshape(2, 1, 32) for part in (keys, values)]
    inputs = [q, *new, None, None, None, keys[:, :, :4].copy(), values[:, :, :4].copy()]
    case(f"multi_{name}", "MultiHeadAttention", inputs, [y, keys.copy(), values], num_heads=2, scale=1.0)
    case(f"multi_{name}_forgotten", "MultiHeadAttention", inputs, [y], num_heads=2, scale=1.0)
    case(f"multi_{name}_crossed", "MultiHeadAttention", [q, keys.copy(), values], [y], num_heads=2, scale=1.0)


# One scale for a whole row, or for all rows; rows that the table does not have are zeros.
table, row_scales, one_scale = f32(6, 32).astype(ml_dtypes.float8_e4m3fn), f32(6, 1), f32(1, 2)
case("gather_quantised_rows", "GatherBlockQuantized", [table, picks, row_scales], [(table.astype(np.float32) * row_scales)[picks]], (0, 2), block_size=0, gather_axis=0, quantize_axis=1)
case("gather_quantised_shared", "GatherBlockQuantized", [table, picks, one_scale], [(table.astype(np.float32) * one_scale.repeat(16, 1))[picks]], (0, 2), block_size=16, gather_axis=0, quantize_axis=1)
table, strayed = u8(6, 16), one([5, 6, -1, -7, 0], np.int64)
held = np.where((strayed < 6)[:, None] & (strayed >= -6)[:, None], ((table.astype(np.float32) - 128) * row_scales)[np.clip(strayed, -6, 5)], 0)
case("gather_quantised_strayed", "GatherBlockQuantized", [table, strayed, row_scales], [held], (0, 2), bits=8, block_size=16)

x, taps, state = f32(2, 3, 5), f32(3, 1, 3), f32(2, 3, 4)
line = np.concatenate([state, x], 2)
y = sum(line[:, :, 2 * k:2 * k + 5] * taps[:, 0, k, None] for k in range(3))
case("causal_conv_dilated", "CausalConvWithState", [x, taps, None, state], [y, line[:, :, 5:]], dilation=2)

x, taps, state = f32(2, 5, 3, 2), f32(6, 1, 3), f32(2, 2, 3, 2)
line = np.concatenate([state, x], 1)
y = sum(line[:, k:k + 5] * taps[:, 0, k].reshape(3, 2) for k in range(3))
case("causal_conv_channels_apart", "CausalConvWithState", [x, taps, None, state], [y, line[:, 5:]], channels_last=1)

image, cosine, sine = f32(1, 2, 3, 16), f32(1, 4), f32(1, 4)
y = np.concatenate([turned(image[..., :8], 1.5 * cosine, 1.5 * sine), image[..., 8:]], -1).astype(np.float32)
case("rotary_sections_scaled", "MRotaryEmbedding", [image, np.zeros((3, 1, 3), np.int64), cosine, sine], [y], mrope_section=[1, 1, 2], rotary_embedding_dim=8, num_heads=2, scale=1.5)

# A windowed cache and a bias, whose columns are all tokens so far: of 8 and 9 the last 5 and 3 are held before this step.
window, past, new, held, lengths = 3, f32(2, 2, 1, 5, 16), f32(2, 2, 1, 1, 16), [5, 3], [9, 10]
q, bias, y = f32(2, 1, 32), f32(1, 2, 1, 10), np.zeros((2, 1, 32), np.float32)
for b in range(2):
    kk, vv = (np.concatenate([past[part, b:b + 1, :, :held[b]], new[part, b:b + 1]], 2).repeat(2, 1) for part in range(2))
    far = np.where(np.arange(held[b] + 1) > held[b] - window, 0, -1e30)
    y[b] = merged(attend(heads(q[b:b + 1], 2), kk, vv, None, far + bias[:, :, :, lengths[b] - held[b] - 1:lengths[b]]))[0]
inputs = [q, *(merged(part) for part in new), *past, one(np.array(lengths) - 1, np.int32), one(10, np.int32), None, None, None, bias]
case("group_query_window_bias", "GroupQueryAttention", inputs, [y], num_heads=2, kv_num_heads=1, sliding_window_cache=1, local_window_size=window)


# ---- what is refused, and the sentence ---------------------------------------------------------------------------------------------------------
refused = []


def refuse(sentence, name, op, inputs, outputs, constants=(), **attributes):
    refused.append((sentence, name, op, inputs, outputs, constants, attributes))


x, weight, result = f32(1, 2, 4), f32(4, 16), f32(1, 2, 8)
refuse("a past or present with values of another size than the keys", "attention_present", "Attention", [x, weight, None], [result, f32(2, 1, 2, 2, 2)], num_heads=2, qkv_hidden_sizes=[4, 4, 8])
refuse("a mask of shape [3] does not fit 1 sequences, 2 queries and 2 keys", "attention_mask", "Attention", [x, weight, None, one([1, 1, 1], np.int32)], [result], num_heads=2, qkv_hidden_sizes=[4, 4, 8])
refuse("past_sequence_length is 4: 2 new rows do not fit a buffer of 5", "attention_buffer", "Attention", [x, f32(4, 12), None, None, f32(2, 1, 2, 5, 2), None, one([4], np.int32)], [f32(1, 2, 4)], num_heads=2, past_present_share_buffer=1)
refuse("cache_indirection holds 2, expected a beam below 2", "multi_beams", "MultiHeadAttention", [f32(2, 1, 4)] * 3 + [None] * 3 + [f32(2, 1, 3, 4)] * 2 + [one([1], np.int32), np.full((1, 2, 3), 2, np.int32)], [f32(2, 1, 4)], num_heads=1)
refuse("this build has no operator com.microsoft:QOrderedMatMul version 1; export the model otherwise, or give operators of your own", "missing", "QOrderedMatMul", [x, weight], [result])
info = helper.make_tensor_value_info
writes = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "writes", [info("a", 1, [1])], [info("b", 1, [1])])
asked = [one(n, np.int32).reshape(1) for n in (5, 1, 2, 1)]
refuse("not supported: output cross_qk", "cross_qk", "WhisperBeamSearch", [f32(1, 2, 3), *asked], [one([[[1] * 5]], np.int32), None, None, f32(1, 1, 1, 1, 1)], decoder=writes, encoder=writes, eos_token_id=1, pad_token_id=0)
refuse("attribute encoder: expected a graph where model_type is 1 or 2, which is 1 here", "no_encoder", "BeamSearch", [one([[1, 2]], np.int32), *asked], [one([[[1] * 5]], np.int32)], decoder=writes, model_type=1, eos_token_id=1, pad_token_id=0)
refuse("not supported: a decoder of 1 inputs and 1 outputs", "no_layers", "BeamSearch", [one([[1, 2]], np.int32), *asked], [one([[[1] * 5]], np.int32)], decoder=writes, encoder=writes, model_type=1, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
refuse("attribute 'signal_ndim': expected 1 to 3, found 20", "transform", "Rfft", [f32(2, 4)], [f32(2, 3, 2)], signal_ndim=20)
refuse("expected at least 5 inputs, input 4 is missing", "engram", "EngramGate", [f32(1, 1, 2, 4), f32(1, 1, 2, 4), f32(1, 1, 4), f32(2, 4)], [f32(1, 1, 2, 4)])
refuse("input 3 is needed", "packed", "PackedAttention", [f32(3, 4), f32(4, 12), f32(12)], [f32(3, 4)], num_heads=2)
refuse("beams that look into each other's past", "masked_beams", "DecoderMaskedSelfAttention", [f32(1, 1, 4), f32(4, 12), f32(12), None, f32(2, 1, 2, 2, 2), None, one([1], np.int32), one([1], np.int32)], [f32(1, 1, 4), f32(2, 1, 2, 2, 2)], num_heads=2)
refuse("query_seqlens holds 3, expected at most 2", "query_lengths", "GroupQueryAttention", [f32(1, 2, 8), f32(1, 2, 8), f32(1, 2, 8), None, None, one([1], np.int32), one(2, np.int32)] + [None] * 9 + [one([3], np.int32)], [f32(1, 2, 8)], num_heads=2, kv_num_heads=2)
refuse("sliding_window_cache: past_key of 3 rows cannot hold a window of 4", "window", "GroupQueryAttention", [f32(1, 1, 8), f32(1, 1, 8), f32(1, 1, 8), f32(1, 2, 3, 4), f32(1, 2, 3, 4), one([1], np.int32), one(2, np.int32)], [f32(1, 1, 8)], num_heads=2, kv_num_heads=2, sliding_window_cache=1, local_window_size=4)
refuse("weights packed for another engine", "prepacked", "MatMulNBits", [f32(2, 32), u8(64, 2, 8), f32(128)], [f32(2, 64)], (1, 2), K=32, N=64, bits=4, block_size=16, weight_prepacked=1)
refuse("kv_cache_bit_width 4 in caches of 8 bits", "cache_bits", "GroupQueryAttention", [f32(1, 1, 8), f32(1, 1, 8), f32(1, 1, 8), i8(1, 2, 3, 4), i8(1, 2, 3, 4), one([1], np.int32), one(2, np.int32)] + [None] * 5 + [one([0.1]), one([0.1])], [f32(1, 1, 8)], num_heads=2, kv_num_heads=2, kv_cache_bit_width=4)
refuse("input initial_state is needed", "delta_net_state", "GatedDeltaNet", [f32(3, 2, 4), f32(3, 2, 4), f32(3, 2, 4), None, f32(3, 2), f32(3, 2)], [f32(3, 2, 4)])
refuse("updates of the state (capture_count, state_update_capacity)", "delta_net_updates", "GatedDeltaNet", [f32(4, 1, 2)] * 3 + [None, f32(4, 1), f32(4, 1), f32(2, 1, 2, 2), None, None, one([1, 1], np.int32)], [f32(4, 1, 2)], state_update_capacity=1)
refuse("the letters i of the locale tr_TR", "locale", [("", "StringNormalizer", ["i0"], ["o0"], {"case_change_action": "LOWER", "locale": "tr_TR"})], [np.array(["I"], object)], [np.array(["i"], object)])
refuse("not supported: captured updates of the state", "captured", "VarlenCausalConvWithState", [f32(4, 3), f32(3, 1, 2), one([0, 4], np.int32), None, f32(1, 3, 1), one([1], np.int32)],
       [f32(4, 3), f32(1, 3, 1), f32(1, 2, 3)], state_update_capacity=2)
refuse("not supported: attribute 'state_length' of 4: only 0 is", "causal_state", "CausalConvWithState", [f32(1, 3, 5), f32(3, 1, 3)], [f32(1, 3, 5), f32(1, 3, 2)], state_length=4)
refuse("5 tokens that each take 5 of 4 experts", "experts", "MoE", [f32(5, 8), f32(5, 4), f32(4, 6, 8), None, f32(4, 8, 6)], [f32(5, 8)], k=5)
a, scale, zero = u8(2, 3), one(0.1), one(3, np.uint8)
refuse("input B_scale: expected type float32, found int64", "scale_type", "QLinearAdd", [a, scale, zero, a, one(1, np.int64), zero, scale, zero], [a])
refuse("input X_scale: expected 1 elements, found 3", "scale_count", "QLinearSigmoid", [a, f32(3), zero, scale, zero], [a])
refuse("input fc2_experts_bias: expected 32 elements, found 40", "experts_bias", "MoE", [f32(5, 8), f32(5, 4), f32(4, 6, 8), None, f32(4, 8, 6), f32(5, 8)], [f32(5, 8)])
refuse("input fc1_experts_weights: expected rank 3, found shape [6,8]", "experts_rank", "MoE", [f32(5, 8), f32(5, 4), f32(6, 8), None, f32(4, 8, 6)], [f32(5, 8)])
refuse("input fc2_scales is missing", "experts_scales", "QMoE", [f32(5, 8), f32(5, 4), u8(4, 6, 8), f32(4, 6), None, u8(4, 8, 6)], [f32(5, 8)], expert_weight_bits=8)
refuse("input bias: expected shape [8], found [7]", "skip_bias", "SkipSimplifiedLayerNormalization", [f32(1, 2, 8), f32(1, 2, 8), f32(8), f32(7)], [f32(1, 2, 8)])
refuse("input word_embedding: expected rank 2, found shape [8]", "words_rank", "EmbedLayerNormalization", [one([[1]], np.int32), None, f32(8), f32(4, 8), None, f32(8), f32(8)], [f32(1, 1, 8)])
refuse("axis: a scalar has no axis 0", "scalar_axis", [("", "Gather", ["i0", "i1"], ["o0"], {})], [one(1), one([0], np.int64)], [f32(1)])
refuse("nothing in it tells whether channels lie in blocks of 8 or of 16", "blocks", [(block_domain, "Conv", ["i0", "i1"], ["o0"], {})], [f32(1, 3, 4, 4), f32(32, 3, 3, 3)], [f32(1, 32, 2, 2)], (1,))


def write(folder, op, inputs, outputs, constants, attributes):
    data = folder / "test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    (folder / "data.json").write_text(json.dumps({"rtol": 1e-4, "atol": 1e-5}))
    (folder / "model.onnx").write_bytes(build(op, inputs, outputs, constants, attributes).SerializeToString())
    fed = [a for k, a in enumerate(inputs) if a is not None and k not in constants]
    for stem, arrays in (("input", fed), ("output", [a for a in outputs if a is not None])):
        for i, a in enumerate(arrays):
            (data / f"{stem}_{i}.pb").write_bytes(numpy_helper.from_array(a, f"{stem}{i}").SerializeToString())


def main(out):
    for name, *rest in cases:
        write(out / "microsoft" / name, *rest)
    for sentence, name, *rest in refused:
        write(out / "refused" / name, *rest)
        (out / "refused" / name / "sentence.txt").write_text(sentence)
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
