#!/usr/bin/env python3
"""microsoft.py OUT_DIR: writes small models of com.microsoft's operators, in the same layout as generate.py's cases (kind
`microsoft`). The expected outputs are computed here with numpy from the words of those operators' documentation. Needs onnx and
numpy."""
import json
import pathlib
import sys

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
    """inputs: arrays, None where absent; outputs: arrays; constants: positions of inputs that the model holds."""
    cases.append((name, op, inputs, outputs, constants, attributes))


def build(op, inputs, outputs, constants, attributes):
    def info(name, array):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    node = helper.make_node(op, names, [f"o{k}" for k in range(len(outputs))], name=f"the_{op}", domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [node], "microsoft",
        [info(names[k], a) for k, a in enumerate(inputs) if a is not None and k not in constants],
        [info(f"o{k}", a) for k, a in enumerate(outputs)],
        [numpy_helper.from_array(inputs[k], names[k]) for k in constants])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
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


def main(out):
    for name, op, inputs, outputs, constants, attributes in cases:
        folder = out / "microsoft" / name
        data = folder / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (folder / "data.json").write_text(json.dumps({"rtol": 1e-4, "atol": 1e-5}))
        (folder / "model.onnx").write_bytes(build(op, inputs, outputs, constants, attributes).SerializeToString())
        fed = [a for k, a in enumerate(inputs) if a is not None and k not in constants]
        for stem, arrays in (("input", fed), ("output", outputs)):
            for i, a in enumerate(arrays):
                (data / f"{stem}_{i}.pb").write_bytes(numpy_helper.from_array(a, f"{stem}{i}").SerializeToString())
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
