#!/usr/bin/env python3
"""edges.py OUT_DIR: writes small models of forms and types that the specification allows and the onnx package's own cases leave out,
in the same layout as generate.py's cases (kind `edges`). The expected outputs are computed here with numpy and ml_dtypes from the
specification's words. Needs onnx, numpy and ml_dtypes."""
import pathlib
import sys

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper

import upgrade
from upgrade import case, f32, random

upgrade.cases.clear()
sixes = {"e2m3": (ml_dtypes.float6_e2m3fn, TensorProto.FLOAT6E2M3), "e3m2": (ml_dtypes.float6_e3m2fn, TensorProto.FLOAT6E3M2)}


def integers(low, high, shape, dtype):
    return random.integers(low, high, shape).astype(dtype)


def complexes(*shape):
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


# ---- 6-bit floats ----------------------------------------------------------------------------------------------------------------
numbers = np.array([0, -0.0, 0.1, 0.07, -0.03, 0.3, 1, -1.06, 2.5, 7.2, -7.6, 8, 27, 30, -1e9, np.inf], np.float32)
for name, (dtype, number) in sixes.items():
    codes = np.arange(64, dtype=np.uint8).view(dtype)
    case(f"cast_to_{name}", 28, ("Cast", ["x"], ["y"], {"to": number}), {"x": numbers}, {"y": numbers.astype(dtype)}, ir=13)
    case(f"cast_from_{name}", 28, ("Cast", ["x"], ["y"], {"to": TensorProto.FLOAT}), {"x": codes}, {"y": codes.astype(np.float32)}, ir=13)
    case(f"weights_{name}", 28, ("Cast", ["w"], ["y"], {"to": TensorProto.DOUBLE}), {}, {"y": codes[5:].astype(np.float64)}, {"w": codes[5:]}, ir=13)
    case(f"quantize_{name}", 28, ("QuantizeLinear", ["x", "s", "z"], ["y"], {}), {"x": numbers}, {"y": (numbers / np.float32(0.5)).astype(dtype)}, {"s": np.float32(0.5).reshape(()), "z": np.zeros((), dtype)}, ir=13)
    case(f"dequantize_{name}", 28, ("DequantizeLinear", ["x", "s"], ["y"], {}), {"x": codes}, {"y": codes.astype(np.float32) * np.float32(0.25)}, {"s": np.float32(0.25).reshape(())}, ir=13)
    case(f"transpose_{name}", 25, ("Transpose", ["x"], ["y"], {}), {"x": codes.reshape(4, 16)}, {"y": codes.reshape(4, 16).T.copy()}, ir=13)

# ---- rotary caches of one batch for all: the function that defines the operator broadcasts them ----------------------------------
x, cosine, sine = f32(2, 3, 5, 8), f32(1, 5, 4), f32(1, 5, 4)
left, right = x[..., :4], x[..., 4:]
case("rotary_one_batch", 23, ("RotaryEmbedding", ["x", "c", "s"], ["y"], {}), {"x": x, "c": cosine, "s": sine}, {"y": np.concatenate([left * cosine - right * sine, right * cosine + left * sine], -1)}, ir=10)

# ---- rare types -------------------------------------------------------------------------------------------------------------------
case("erf_int", 13, ("Erf", ["x"], ["y"], {}), {"x": np.array([-9, -5, -1, 0, 1, 5, 6], np.int32)}, {"y": np.array([-1, 0, 0, 0, 0, 0, 1], np.int32)}, ir=8)
case("erf_uint64", 13, ("Erf", ["x"], ["y"], {}), {"x": np.array([0, 2, 2**64 - 1], np.uint64)}, {"y": np.array([0, 0, 1], np.uint64)}, ir=8)
z = complexes(3, 4)
z[1, 2] = z[2, 0] = 0
z[0, 0] = 1j
case("non_zero_complex", 13, ("NonZero", ["x"], ["y"], {}), {"x": z}, {"y": np.array(np.nonzero(z), np.int64)}, ir=8)
doubled = np.concatenate([z.ravel(), z.ravel()])
unique, first, inverse, counts = np.unique(doubled, True, True, True)
case("unique_complex", 11, ("Unique", ["x"], ["y", "f", "i", "c"], {}), {"x": doubled}, {"y": unique, "f": first, "i": inverse, "c": counts}, ir=8)
index, update = np.array([4, 1, 4, -6], np.int64), complexes(4)
added, multiplied = complexes(6), complexes(6)
case("scatter_elements_add_complex", 18, ("ScatterElements", ["x", "i", "u"], ["y"], {"reduction": "add"}), {"x": added.copy(), "i": index, "u": update}, {"y": added}, ir=8)
case("scatter_nd_mul_complex", 18, ("ScatterND", ["x", "i", "u"], ["y"], {"reduction": "mul"}), {"x": multiplied.copy(), "i": index[:, None], "u": update}, {"y": multiplied}, ir=8)
np.add.at(added, index, update)
np.multiply.at(multiplied, index, update)
# Whole rows to the same place, as graph networks sum what edges bring to nodes; the last row's elements go apart, runs among them.
nodes = np.repeat(np.array([[3], [1], [3], [0], [2], [3]], np.int64), 300, 1)
nodes[5] = integers(0, 4, 300, np.int64)
nodes[4, 7:20] = 1
columns = np.broadcast_to(np.arange(300), nodes.shape)
for how, function in {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}.items():
    for name, dtype in {"float": np.float32, "float16": np.float16, "int8": np.int8}.items():
        held, brought = integers(-9, 9, (4, 300), np.int64).astype(dtype), integers(-3, 4, (6, 300), np.int64).astype(dtype)
        if dtype == np.float32:
            brought[1, 5:9] = np.nan
        for axis, turned in ((0, np.asarray), (1, np.transpose)):
            result = held.copy()
            function.at(result, (nodes, columns), brought)
            x, i, u, y = (np.ascontiguousarray(turned(t)) for t in (held, nodes, brought, result))
            case(f"scatter_rows_{how}_{name}_{axis}", 18, ("ScatterElements", ["x", "i", "u"], ["y"], {"axis": axis, "reduction": how}), {"x": x, "i": i, "u": u}, {"y": y}, ir=8)
for name, places in {"int64": np.array([2, -4, 3], np.int64), "int32": np.array([-1, 0, 1], np.int32)}.items():
    held, brought, rows = f32(4, 300), f32(3, 299), np.repeat(places[:, None], 299, 1)
    result = held.copy()
    result[places, :299] = brought
    case(f"scatter_rows_{name}", 18, ("ScatterElements", ["x", "i", "u"], ["y"], {}), {"x": held, "i": rows, "u": brought}, {"y": result}, ir=8)
x = f32(2, 3)
case("compress_by_mask", 11, ("Compress", ["x", "c"], ["y"], {}), {"x": x, "c": x > 0}, {"y": x[x > 0]}, ir=6)  # as paddle2onnx writes masked_select
signal, window = f32(2, 19), f32(6)  # as torch.stft is exported
frames = np.stack([signal[:, k : k + 6] * window for k in range(0, 14, 4)], 1)
case("stft_without_parts", 17, ("STFT", ["x", "h", "w", "n"], ["y"], {}), {"x": signal}, {"y": np.fft.rfft(frames).astype(np.complex64).view(np.float32).reshape(2, 4, 4, 2)}, {"h": np.array(4, np.int64), "w": window, "n": np.array(6, np.int64)}, ir=8)
case("dropout_ratio_float8", 22, ("Dropout", ["x", "r", "t"], ["y"], {}), {"x": f32(3), "r": np.array(0.5, ml_dtypes.float8_e4m3fn), "t": np.array(False)}, {}, ir=10)
upgrade.cases[-1][4]["y"] = upgrade.cases[-1][3]["x"]
case("blackman_int", 17, ("BlackmanWindow", ["n"], ["y"], {"output_datatype": TensorProto.INT32}), {"n": np.array(2, np.int64)}, {"y": np.array([0, 1], np.int32)}, ir=8)

# ---- nothing to reduce ------------------------------------------------------------------------------------------------------------
# The mean of no elements is undefined; PyTorch's exporter writes the mean of a bag of embeddings so, which is 0 for an empty bag.
for name, dtype in {"float": np.float32, "double": np.float64, "float16": np.float16, "int32": np.int32}.items():
    case(f"reduce_mean_of_nothing_{name}", 18, ("ReduceMean", ["x", "a"], ["y"], {"keepdims": 0}), {"x": np.zeros((2, 0, 3), dtype)}, {"y": np.zeros((2, 3), dtype)}, {"a": np.array([1], np.int64)}, ir=8)
# ---- attention through windows that reach everything --------------------------------------------------------------------------------
q, k, v = f32(1, 1, 3, 4), f32(1, 1, 5, 4), f32(1, 1, 5, 4)
scores = np.exp(q @ k.swapaxes(2, 3) / 2)
case("attention_endless_windows", 25, ("Attention", ["q", "k", "v"], ["y"], {"left_window_size": 2**63 - 1, "right_window_size": 2**63 - 1}), {"q": q, "k": k, "v": v}, {"y": scores / scores.sum(-1, keepdims=True) @ v}, ir=12)

# ---- products of integers, beyond what their type holds ------------------------------------------------------------------------------
ones = np.array([[1, 2]], np.uint32)
case("gemm_uint32_clamped", 13, ("Gemm", ["a", "b"], ["y"], {"alpha": 1e9}), {"a": ones, "b": np.array([[0, 1], [3, 0]], np.uint32)}, {"y": np.array([[2**32 - 1, 10**9]], np.uint32)}, ir=8)
case("gemm_int32_wraps", 13, ("Gemm", ["a", "b", "c"], ["y"], {}), {"a": ones.astype(np.int32), "b": np.array([[2**31 - 1], [0]], np.int32), "c": np.array([1], np.int32)}, {"y": np.array([[-2**31]], np.int32)}, ir=8)

# ---- C that broadcasts in every way, scaled and not --------------------------------------------------------------------------------
for kind, dtype in {"": np.float32, "_double": np.float64, "_int64": np.int64, "_uint32": np.uint32}.items():
    a, b = integers(0, 5, (5, 4), dtype), integers(0, 5, (4, 7), dtype)
    for name, shape in {"none": None, "one": (1,), "scalar": (), "row": (7,), "row_of_two": (1, 7), "column": (5, 1), "whole": (5, 7)}.items():
        for alpha, beta in ((1.0, 1.0), (2.0, 1.0), (1.0, 3.0)):
            c = {} if shape is None else {"c": np.asarray(integers(1, 9, shape, dtype))}
            y = dtype(alpha) * (a @ b) + dtype(beta) * c.get("c", dtype(0))
            case(f"gemm_{name}_{alpha:.0f}_{beta:.0f}{kind}", 13, ("Gemm", ["a", "b", *c], ["y"], {"alpha": alpha, "beta": beta}), {"a": a, "b": b, **c}, {"y": y.astype(dtype)}, ir=8)

# ---- places that a crop takes from outside, along several axes ----------------------------------------------------------------------
for kind, dtype in {"": np.float32, "_uint8": np.uint8, "_double": np.float64}.items():
    x, begin, end, outs = integers(0, 200, (2, 3, 5, 4), dtype), (0, -0.6, 0.1, -0.3), (1, 1.3, 1.4, 0.8), (2, 7, 6, 5)
    places = [b * (n - 1) + np.arange(o) * (e - b) * (n - 1) / (o - 1) for b, e, n, o in zip(begin, end, x.shape, outs)]
    y = x[np.ix_(*(np.clip(np.ceil(p - 0.5), 0, n - 1).astype(int) for p, n in zip(places, x.shape)))]
    for d, (p, n) in enumerate(zip(places, x.shape)):
        y[(slice(None),) * d + ((p < 0) | (p > n - 1),)] = 77
    case(f"resize_crop_axes{kind}", 19, ("Resize", ["x", "r", "", "s"], ["y"], {"mode": "nearest", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 77.0}), {"x": x}, {"y": y}, {"r": np.array(begin + end, np.float32), "s": np.array(outs, np.int64)}, ir=8)

# ---- unpooling of more elements than a block, into the natural shape and a larger one -------------------------------------------------
for kind, dtype in {"": np.float32, "_float16": np.float16, "_double": np.float64}.items():
    x, natural = integers(-99, 99, (2, 3, 9, 11), dtype), (2, 3, 18, 22)
    i = np.sort(random.permutation(np.prod(natural))[:x.size]).astype(np.int64)
    for name, shape in {"": natural, "_larger": (2, 3, 19, 25)}.items():
        y = np.zeros(shape, dtype)
        y[np.unravel_index(i, natural)] = x.ravel()
        case(f"unpool{name}{kind}", 22, ("MaxUnpool", ["x", "i", *(["s"] if name else [])], ["y"], {"kernel_shape": [2, 2], "strides": [2, 2]}), {"x": x, "i": i.reshape(x.shape)}, {"y": y}, {"s": np.array(shape, np.int64)} if name else {}, ir=10)

# ---- Einsum of several operands, and sums that only one of them has ----------------------------------------------------------------
equations = {
    "chain": ("ij,jk,kl->il", (3, 70), (70, 5), (5, 4)),
    "chain_from_its_end": ("ab,cd,bc->ad", (3, 6), (5, 4), (6, 5)),
    "outer": ("i,j,k->kij", (3,), (4,), (5,)),
    "all_summed": ("ij,ij,ji->", (3, 4), (3, 4), (4, 3)),
    "batches": ("bij,bjk,bkl,l->bi", (2, 3, 4), (2, 4, 5), (2, 5, 6), (6,)),
    "ellipsis": ("...i,...ij,...j->...", (2, 3, 4), (3, 4, 5), (2, 1, 5)),
    "diagonals": ("ii,ij,jjk->ki", (4, 4), (4, 3), (3, 3, 2)),
    "alone": ("ij,kl->ik", (3, 4), (5, 6)),
    "alone_and_shared": ("aij,ajk->ak", (2, 3, 4), (2, 4, 5)),
    "alone_of_three": ("abx,bcy,cz->a", (2, 3, 4), (3, 5, 2), (5, 3)),
    "ones": ("ij,jk,kl->il", (3, 1), (4, 5), (1, 6)),
    "unrelated": ("ab,cd,ef->", (2, 3), (4, 5), (6, 2)),
    "no_sums": ("bij,bi->bij", (3, 4, 5), (3, 4)),
    "outer": ("bi,bj->jbi", (3, 7), (3, 5)),
    "each": ("ij,ij->ij", (6, 50), (6, 50)),
}
for name, (equation, *shapes) in equations.items():
    for kind, dtype in {"": np.float32, "_float16": np.float16, "_double": np.float64, "_int32": np.int32, "_int64": np.int64}.items():
        xs = [integers(-3, 4, shape, dtype) if kind else f32(*shape) for shape in shapes]
        # numpy wants labels of equal sizes: what is 1 is repeated.
        sizes = {}
        for labels, shape in zip(equation.split("->")[0].split(","), shapes):
            for label, size in zip(labels, shape) if "." not in labels else ():
                sizes[label] = max(size, sizes.get(label, 1))
        wide = [np.broadcast_to(x, [sizes[label] for label in labels]) if "." not in labels else x for labels, x in zip(equation.split("->")[0].split(","), xs)]
        answer = np.einsum(equation, *(x.astype(np.float64) for x in wide)).astype(dtype)
        case(f"einsum_{name}{kind}", 12, ("Einsum", [f"x{i}" for i in range(len(xs))], ["y"], {"equation": equation}), {f"x{i}": x for i, x in enumerate(xs)}, {"y": answer}, ir=8)

# ---- batches of small products, of which one may be repeated ---------------------------------------------------------------------------
for (m, k, n) in ((1, 1, 1), (3, 3, 3), (4, 4, 1), (1, 5, 7), (2, 0, 3), (5, 5, 5), (6, 6, 6)):
    for kind, dtype in {"": np.float32, "_float16": np.float16}.items():
        a, b = integers(-4, 5, (3, 1, m, k), dtype), integers(-4, 5, (7, k, n), dtype)
        case(f"matmul_small_{m}_{k}_{n}{kind}", 13, ("MatMul", ["a", "b"], ["y"], {}), {"a": a, "b": b}, {"y": np.matmul(a, b)}, ir=8)
a, b = integers(-4, 5, (3, 70, 4, 2), np.float32), integers(-4, 5, (3, 70, 5, 2), np.float32)
b[1, 6], a[2, 8] = np.inf, np.nan
with np.errstate(invalid="ignore"):
    y = 0.5 * np.matmul(a, np.swapaxes(b, 2, 3))
case("matmul_small_transposed", 13, ("FusedMatMul", ["a", "b"], ["y"], {"transB": 1, "alpha": 0.5}), {"a": a, "b": b}, {"y": y}, domain="com.microsoft", ir=8)

# ---- the greatest and least of integers of 16 bits, whose rows have no loop of their own -----------------------------------------------------
for dtype in (np.int16, np.uint16):
    x = integers(*((-32768, 32768) if dtype == np.int16 else (0, 65536)), (3, 700, 5), dtype)
    x[0, 3] = x[0, 9]
    for how, function in {"Max": np.max, "Min": np.min}.items():
        for axis in (1, 2):
            case(f"reduce_{how.lower()}_{np.dtype(dtype)}_{axis}", 20, (f"Reduce{how}", ["x", "a"], ["y"], {}), {"x": x}, {"y": function(x, axis, keepdims=True)}, {"a": np.array([axis], np.int64)}, ir=8)
    for axis in (1, 2):
        for how, function in {"Max": np.argmax, "Min": np.argmin}.items():
            case(f"arg_{how.lower()}_{np.dtype(dtype)}_{axis}", 13, (f"Arg{how}", ["x"], ["y"], {"axis": axis}), {"x": x}, {"y": function(x, axis)[(slice(None),) * axis + (None,)].astype(np.int64)}, ir=8)

# ---- sums of few columns -----------------------------------------------------------------------------------------------------------------
for n in range(1, 6):
    x = integers(-9, 10, (2, n, 700), np.float32)
    x[0, :, 5], x[1, n // 2, 9] = -0.0, np.nan
    for how, function in {"Sum": np.sum, "Mean": np.mean}.items():
        case(f"reduce_{how.lower()}_columns_{n}", 18, (f"Reduce{how}", ["x", "a"], ["y"], {}), {"x": x}, {"y": function(x, 1, keepdims=True)}, {"a": np.array([1], np.int64)}, ir=8)

# ---- sigmoids of doubles, down to subnormal ones -----------------------------------------------------------------------------------------
x = np.concatenate([np.array([-np.inf, np.inf, np.nan, -0.0, -1e300, -745, -744, -710, 710, 1e300]), np.linspace(-720, 40, 700)])
wide = np.exp(-abs(x.astype(np.longdouble)))
case("sigmoid_double", 13, ("Sigmoid", ["x"], ["y"], {}), {"x": x}, {"y": (np.where(x < 0, wide, 1) / (1 + wide)).astype(np.float64)}, ir=8)

# ---- images of twice the size, from rows of odd and even lengths --------------------------------------------------------------------------
for kind, dtype in {"": np.float32, "_int32": np.int32, "_uint8": np.uint8}.items():
    for width, out in ((1, 2), (1, 3), (9, 18), (20, 40), (20, 39), (20, 41)):
        x = integers(0, 99, (2, 3, 4, width), dtype)
        at = np.clip(np.floor(np.arange(out) * (width / out)).astype(int), 0, width - 1)
        case(f"resize_twice_{width}_{out}{kind}", 19, ("Resize", ["x", "", "", "s"], ["y"], {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}), {"x": x}, {"y": x[..., np.arange(8) // 2, :][..., at]}, {"s": np.array([2, 3, 8, out], np.int64)}, ir=8)

# ---- squares and cubes, of numbers that are repeated too, and powers that are none ---------------------------------------------------
for kind, dtype in {"float": np.float32, "double": np.float64, "float16": np.float16, "int32": np.int32, "int64": np.int64}.items():
    x = integers(-9, 10, (3, 1, 700), dtype)
    for exponent in (2, 3, 4):
        for of, number in {"int64": np.int64, "float": np.float32, "double": np.float64}.items():
            e = np.full((2, 1), exponent, number) if exponent == 4 else np.array([[exponent]], number)
            case(f"pow_{kind}_{exponent}_{of}", 15, ("Pow", ["x", "e"], ["y"], {}), {"x": x, "e": e}, {"y": (x.astype(np.int64) ** e.astype(np.int64)).astype(dtype)}, ir=8)
case("pow_double_special", 15, ("Pow", ["x", "e"], ["y"], {}), {"x": np.array([np.nan, np.inf, -np.inf, -0.0, 1e-200, 1e200, -1e150]), "e": np.array(3, np.int64)}, {"y": np.array([np.nan, np.inf, -np.inf, -0.0, 0, np.inf, -np.inf])}, ir=8)
case("pow_wraps", 15, ("Pow", ["x", "e"], ["y"], {}), {"x": np.array([70000, -70000, 2**31 - 1], np.int32), "e": np.array(3, np.int32)}, {"y": np.array([70000, -70000, 2**31 - 1], np.int32) ** np.int32(3)}, ir=8)

# ---- short axes that become the last one, beside long ones in other places -----------------------------------------------------------
for kind, dtype in {"": np.float32, "_uint8": np.uint8, "_int64": np.int64}.items():
    for block in (2, 3, 4, 5):
        x = integers(0, 200, (2, 3 * block * block, 7, 33), dtype)
        for mode, (split, perm) in {"CRD": ((2, 3, block, block, 7, 33), (0, 1, 4, 2, 5, 3)), "DCR": ((2, block, block, 3, 7, 33), (0, 3, 4, 1, 5, 2))}.items():
            y = x.reshape(split).transpose(perm).reshape(2, 3, 7 * block, 33 * block)
            case(f"depth_to_space_{mode}_{block}{kind}", 13, ("DepthToSpace", ["x"], ["y"], {"blocksize": block, "mode": mode}), {"x": x}, {"y": y}, ir=8)
    for shape, perm in (((3, 40, 2, 17), (1, 3, 2, 0)), ((5, 33, 4, 9), (3, 1, 2, 0)), ((2, 3, 50, 4), (3, 0, 2, 1)), ((4, 70), (1, 0)), ((70, 7), (1, 0)), ((3, 4, 5, 6, 20), (4, 2, 0, 3, 1))):
        x = integers(0, 200, shape, dtype)
        case(f"transpose_{'_'.join(map(str, (*shape, *perm)))}{kind}", 13, ("Transpose", ["x"], ["y"], {"perm": perm}), {"x": x}, {"y": x.transpose(perm).copy()}, ir=8)

# ---- RoiAlign of more planes than are taken side by side ------------------------------------------------------------------------------
x, boxes = f32(2, 7, 9, 8), np.array([[-3, 1, 30, 20], [4, 4, 9, 30], [60, 60, 70, 70], [0, 0, 1, 1]], np.float32)
rows, columns = [], []
for box in boxes.astype(np.float64) * 0.25 - 0.5:
    for out, (begin, end), size in ((rows, (box[1], box[3]), 9), (columns, (box[0], box[2]), 8)):
        at = begin + (np.arange(9) + 0.5) / 9 * (end - begin)
        inside, at = (at >= -1) & (at <= size), np.clip(at, 0, size - 1)
        share = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(size))) * inside[:, None]
        out.append(share.reshape(3, 3, size).mean(1))
y = np.stack([np.einsum("ih,chw,jw->cij", r, x[b].astype(np.float64), c) for r, c, b in zip(rows, columns, (0, 1, 0, 1))])
case("roi_align_planes", 16, ("RoiAlign", ["x", "r", "b"], ["y"], {"output_height": 3, "output_width": 3, "sampling_ratio": 3, "spatial_scale": 0.25}), {"x": x, "r": boxes, "b": np.array([0, 1, 0, 1], np.int64)}, {"y": y.astype(np.float32)}, ir=8)

# ---- Celu whose alpha is negative: e^(x / alpha) grows without end ------------------------------------------------------------------
x = np.array([-np.inf, -200, -89, -88.5, -50, -1, -0.0, 0, 1, 300, np.nan], np.float32)
with np.errstate(over="ignore"):
    case("celu_negative_alpha", 12, ("Celu", ["x"], ["y"], {"alpha": -1.0}), {"x": x}, {"y": np.where(x > 0, x, (-np.expm1(-x.astype(np.float64))).astype(np.float32)).astype(np.float32)}, ir=8)

# ---- indices that are no integers are cut to such --------------------------------------------------------------------------------
i, off_on = np.array([1.7, -0.9, -1.4, -2.9, -3.5, 2.99, 3.1, np.nan], np.float32), np.array([2, 5], np.float32)
hot = np.array([1, 0, 2, 1, 0, 2, -1, -1])[:, None] == np.arange(3)
case("one_hot_fractions", 11, ("OneHot", ["i", "d", "v"], ["y"], {}), {"i": i}, {"y": np.where(hot, np.float32(5), np.float32(2))}, {"d": np.array(3, np.int64), "v": off_on}, ir=8)

# ---- rows of nothing: their mean is no number --------------------------------------------------------------------------------------
none, nan = np.zeros((2, 0), np.float32), np.full((2, 1), np.nan, np.float32)
case("layer_norm_of_nothing", 17, ("LayerNormalization", ["x", "s"], ["y", "m", "d"], {}), {"x": none}, {"y": none, "m": nan, "d": nan}, {"s": none[0]}, ir=8)

# ---- weights that a layer and products share, each of which would pack them its own way ------------------------------------------
x, w, r = f32(2, 1, 16), f32(1, 16, 16) / 4, f32(1, 16, 16) / 4
h = np.zeros((1, 16), np.float32)
for step in x:
    h = np.tanh(step @ w[0].T + h @ r[0].T)
products = [("MatMul", [f"h{i}", "w"], [f"h{i + 1}"], {}) for i in range(4)]
case("shared_by_rnn_and_products", 14, [("RNN", ["x", "w", "r"], ["", "h0"], {"hidden_size": 16}), *products], {"x": x}, {"h4": (h @ np.linalg.matrix_power(w[0], 4))[None].astype(np.float32)}, {"w": w, "r": r}, ir=8)

# Rows too short for a loop of their own, more of them than are turned into columns at once.
for n in range(2, 8):
    x = f32(3, 700 // 3, n)
    x[0, 5, n - 1], x[1, 7, 0], x[2, 9, 1] = np.nan, np.inf, -np.inf
    for op, function in {"Sum": np.sum, "Mean": np.mean, "Max": np.max, "Min": np.min}.items():
        case(f"reduce_{op.lower()}_rows_of_{n}", 18, (f"Reduce{op}", ["x", "a"], ["y"], {"keepdims": 0}), {"x": x}, {"y": function(x.astype(np.float64), -1).astype(np.float32)}, {"a": np.array([2], np.int64)}, ir=8)
# A window that is the whole plane, and ones that are as large but stand elsewhere or leave elements out.
x = f32(2, 3, 4, 5)
x[1, 2, 3, 4] = np.nan
for name, function, at in (("average", np.mean, "AveragePool"), ("max", np.max, "MaxPool")):
    case(f"{name}_pool_whole", 11, (at, ["x"], ["y"], {"kernel_shape": [4, 5], "strides": [2, 2]}), {"x": x}, {"y": function(x, (2, 3), keepdims=True)}, ir=6)
    case(f"{name}_pool_padded", 11, (at, ["x"], ["y"], {"kernel_shape": [4, 5], "pads": [1, 0, 0, 0], "strides": [9, 9]}), {"x": x}, {"y": function(x[:, :, :3], (2, 3), keepdims=True)}, ir=6)
case("max_pool_dilated", 11, ("MaxPool", ["x"], ["y"], {"kernel_shape": [4, 5], "dilations": [2, 1], "pads": [0, 0, 3, 0]}), {"x": x}, {"y": x[:, :, ::2].max((2, 3), keepdims=True)}, ir=6)
# Integers of every type in rows longer than a block, with equal ones and the type's limits.
for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
    limits, name = np.iinfo(dtype), np.dtype(dtype).name
    x = integers(0, 90, (2, 700, 2), dtype)
    x[:, [3, 600]], x[:, [4, 500, 699]] = limits.max, limits.min
    for axis, largest in ((1, 1), (1, 0), (2, 0)):
        order = np.argsort(np.flip(x, axis) if largest else x, axis, kind="stable")
        order = x.shape[axis] - 1 - np.flip(order, axis) if largest else order
        i = np.take(order, range(min(9, x.shape[axis])), axis)
        case(f"top_k_{name}_{axis}_{largest}", 24, ("TopK", ["x", "k"], ["y", "i"], {"axis": axis, "largest": largest}), {"x": x}, {"y": np.take_along_axis(x, i, axis), "i": i.astype(np.int64)}, {"k": np.array([i.shape[axis]], np.int64)}, ir=10)
a, b = f32(5, 7, 7), f32(5, 7, 8)
case("matmul_small_batch", 13, ("MatMul", ["a", "b"], ["y"], {}), {"a": a, "b": b}, {"y": np.matmul(a, b)}, ir=8)

# ---- quantised products -----------------------------------------------------------------------------------------------------------
a, b = integers(-128, 128, (2, 1, 2, 3), np.int8), integers(0, 256, (4, 3, 2), np.uint8)
a_zero, b_zero = integers(-128, 128, (2, 1, 2, 1), np.int8), integers(0, 256, (4, 1, 2), np.uint8)
product = np.matmul(a.astype(np.int32) - a_zero, b.astype(np.int32) - b_zero)
case("matmul_integer_rows", 10, ("MatMulInteger", ["a", "b", "p", "q"], ["y"], {}), {"a": a, "b": b, "p": a_zero, "q": b_zero}, {"y": product}, ir=8)
a_scale, b_scale = abs(f32(2, 1, 2, 1)) / 100, abs(f32(4, 1, 2)) / 100
real = np.rint(product * a_scale.astype(np.float64) * b_scale / 0.25)
case("qlinear_matmul_rows", 10, ("QLinearMatMul", ["a", "s", "p", "b", "t", "q", "u", "r"], ["y"], {}), {"a": a, "s": a_scale, "p": a_zero, "b": b, "t": b_scale, "q": b_zero, "u": np.array(0.25, np.float32), "r": np.array(3, np.int8)}, {"y": np.clip(real + 3, -128, 127).astype(np.int8)}, ir=8)
for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"):
    dtype = getattr(ml_dtypes, name)
    a, b, zero = f32(2, 3).astype(dtype), f32(2, 3, 4).astype(dtype), np.zeros((), dtype)
    real = np.matmul(a.astype(np.float64), b.astype(np.float64)) * 0.5 * 0.25 / 0.125
    case(f"qlinear_matmul_{name}", 21, ("QLinearMatMul", ["a", "s", "z", "b", "t", "z", "u", "z"], ["y"], {}), {"a": a, "s": np.array(0.5, np.float32), "b": b, "t": np.array(0.25, np.float32), "u": np.array(0.125, np.float32), "z": zero}, {"y": real.astype(np.float32).astype(dtype)}, ir=10)
for name in ("float8_e4m3fn", "float8_e5m2"):
    dtype = getattr(ml_dtypes, name)
    a, b, zero, most = f32(2, 3).astype(dtype), integers(-128, 128, (3, 4), np.int8), np.array(5, np.int8), float(ml_dtypes.finfo(dtype).max)
    real = np.matmul(a.astype(np.float64), b.astype(np.float64) - 5) * 0.5 * 0.25 / 0.125
    of = {"s": np.array(0.5, np.float32), "t": np.array(0.25, np.float32), "u": np.array(0.125, np.float32)}
    case(f"qlinear_matmul_{name}_int8", 21, ("QLinearMatMul", ["a", "s", "z", "b", "t", "q", "u", "z"], ["y"], {}), {"a": a}, {"y": real.astype(np.float32).astype(dtype)}, of | {"b": b, "q": zero, "z": np.zeros((), dtype)}, ir=10)
    case(f"qlinear_matmul_int8_{name}", 21, ("QLinearMatMul", ["b", "s", "q", "a", "t", "z", "u", "q"], ["y"], {}), {"b": b.T.copy()}, {"y": np.clip(np.rint(np.matmul(b.T.astype(np.float64) - 5, a.T.astype(np.float64)) * 1.0 + 5), -128, 127).astype(np.int8)}, of | {"a": a.T.copy(), "q": zero, "z": np.zeros((), dtype)}, ir=10)
    case(f"qlinear_matmul_to_{name}", 21, ("QLinearMatMul", ["c", "s", "q", "b", "t", "q", "u", "z"], ["y"], {}), {"c": b[:2, :3].copy()}, {"y": np.clip(np.matmul(b[:2, :3].astype(np.float64) - 5, b.astype(np.float64) - 5), -most, most).astype(np.float32).astype(dtype)}, of | {"b": b, "q": zero, "z": np.zeros((), dtype)}, ir=10)
words = np.array([[[["a", "b"], ["c", "d"]]]], object)
case("grid_sample_words", 20, ("GridSample", ["x", "g"], ["y"], {"mode": "nearest"}), {"x": words, "g": np.array([[[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-3, 0]]]], np.float32)}, {"y": np.array([[[["a", "b", "d", ""]]]], object)}, ir=8)
x, scale = f32(1024), np.array(0.3, np.float32)
half = (x.astype(np.float16) / scale.astype(np.float16)).astype(np.float16)
case("quantize_precision", 23, ("QuantizeLinear", ["x", "s"], ["y"], {"precision": TensorProto.FLOAT16, "output_dtype": TensorProto.FLOAT8E4M3FN}), {"x": x, "s": scale}, {"y": half.astype(np.float32).astype(ml_dtypes.float8_e4m3fn)}, ir=11)

# ---- minus infinity, of which the formulas make 0 times infinity -------------------------------------------------------------------
x = np.array([-np.inf, -1e30, -200, -0.0, 0, 200, 1e30, np.inf, np.nan] * 3, np.float32)
x, gone = np.insert(x, 3, -np.inf), np.array([np.nan, 0, 0, 0, 0, 200, 1e30, np.inf, np.nan] * 3, np.float32)
gone = np.insert(gone, 3, np.nan)
for kind, dtype in {"": np.float32, "_double": np.float64}.items():
    for name, opset, op, attributes in (("mish", 18, "Mish", {}), ("gelu", 20, "Gelu", {}), ("gelu_tanh", 20, "Gelu", {"approximate": "tanh"}), ("swish", 24, "Swish", {}), ("quick_gelu", 24, "Swish", {"alpha": 1.702}), ("hard_swish", 14, "HardSwish", {})):
        case(f"{name}_of_infinity{kind}", opset, (op, ["x"], ["y"], attributes), {"x": x.astype(dtype)}, {"y": gone.astype(dtype)}, ir=9)
    case(f"silu_of_infinity{kind}", 14, [("Sigmoid", ["x"], ["s"], {}), ("Mul", ["x", "s"], ["y"], {})], {"x": x.astype(dtype)}, {"y": gone.astype(dtype)}, ir=8)
    y = np.where(np.isfinite(x), np.float32(0.3), np.float32(np.nan))
    case(f"hard_sigmoid_level{kind}", 14, ("HardSigmoid", ["x"], ["y"], {"alpha": 0.0, "beta": 0.3}), {"x": x.astype(dtype)}, {"y": y.astype(dtype)}, ir=8)

# ---- negative indices of OneHot, which opset 11 lets count from the end ------------------------------------------------------------
i, off_on = np.array([[0, -1], [2, -3]], np.int64), np.array([2, 5], np.float32)
for opset in (9, 10, 11):
    hot = (i % 3 if opset > 10 else i)[..., None] == np.arange(3)
    case("one_hot_negative", opset, ("OneHot", ["i", "d", "v"], ["y"], {}), {"i": i}, {"y": np.where(hot, np.float32(5), np.float32(2))}, {"d": np.array(3, np.int64), "v": off_on}, ir=6)

# ---- what PyTorch's exporters write though the specification does not have it --------------------------------------------------------
places = np.array([[1, -1], [0, 2], [-1, 0]], np.int32)
x, updates = f32(2, 3, 4), f32(3, 4)
y = x.copy()
y[places[:, 0], places[:, 1]] = updates
case("scatter_nd_int32", 18, ("ScatterND", ["x", "i", "u"], ["y"], {}), {"x": x, "i": places, "u": updates}, {"y": y}, ir=8)
case("gather_nd_int32", 13, ("GatherND", ["x", "i"], ["y"], {}), {"x": x, "i": places}, {"y": x[places[:, 0], places[:, 1]]}, ir=8)
case("gather_nd_int32_batch", 13, ("GatherND", ["x", "i"], ["y"], {"batch_dims": 1}), {"x": x, "i": np.array([[-1], [1]], np.int32)}, {"y": x[[0, 1], [2, 1]]}, ir=8)
for axis in (0, -1):
    for op, y in {"Max": 5, "Sum": 5, "Mean": 5, "LogSumExp": 5, "L2": 5}.items():
        case(f"reduce_{op.lower()}_scalar_{axis % 2}", 11, (f"Reduce{op}", ["x"], ["y"], {"axes": [axis]}), {"x": np.array(5, np.float32)}, {"y": np.array(y, np.float32)}, ir=6)

# ---- loops of no turn, whose outputs have the shape that a turn's would have had -----------------------------------------------------
def shapeless(nodes, inputs, outputs):
    """A body that declares no shapes; inputs and outputs: name -> element type."""
    infos = [[helper.make_value_info(name, helper.make_tensor_type_proto(kind, None)) for name, kind in values.items()] for values in (inputs, outputs)]
    return helper.make_graph([helper.make_node(*n[:3], **n[3]) for n in nodes], "body", *infos)


nodes = [("Identity", ["go"], ["on"], {}), ("Neg", ["a"], ["b"], {}), ("Concat", ["a", "c"], ["both"], {"axis": 1}), ("Identity", ["c"], ["captured"], {}), ("Cast", ["n"], ["number"], {"to": TensorProto.INT32})]
body = shapeless(nodes, {"n": TensorProto.INT64, "go": TensorProto.BOOL, "a": TensorProto.FLOAT}, {"on": TensorProto.BOOL, **dict.fromkeys(["b", "both", "captured"], TensorProto.FLOAT), "number": TensorProto.INT32})
a, c = f32(2, 3), f32(2, 4)
for turns in (0, 2):
    ends = {"end": a, "all": np.stack([np.concatenate([a * (-1) ** k, c], 1) for k in range(turns)]) if turns else np.zeros((0, 2, 7), np.float32), "same": np.repeat(c[None], turns, 0), "numbers": np.arange(turns, dtype=np.int32)}
    case(f"loop_of_{turns}", 16, ("Loop", ["m", "", "a"], list(ends), {"body": body}), {"m": np.array(turns, np.int64), "a": a, "c": c}, ends, ir=8)
body = shapeless([("Identity", ["go"], ["on"], {}), ("MatMul", ["a", "c"], ["b"], {})], {"n": TensorProto.INT64, "go": TensorProto.BOOL, "a": TensorProto.FLOAT}, {"on": TensorProto.BOOL, "b": TensorProto.FLOAT})
case("loop_of_0_that_could_not_turn", 16, ("Loop", ["m", "", "a"], ["end"], {"body": body}), {"m": np.array(0, np.int64), "a": a, "c": c}, {"end": a}, ir=8)
body = shapeless([("Identity", ["go"], ["on"], {}), ("Identity", ["a"], ["same"], {}), ("MatMul", ["a", "c"], ["b"], {})], {"n": TensorProto.INT64, "go": TensorProto.BOOL, "a": TensorProto.FLOAT}, {"on": TensorProto.BOOL, "same": TensorProto.FLOAT, "b": TensorProto.FLOAT})
case("loop_of_0_whose_yields_could_not_be", 16, ("Loop", ["m", "", "a"], ["end", "all"], {"body": body}), {"m": np.array(0, np.int64), "a": a, "c": c}, {"end": a, "all": np.zeros(0, np.float32)}, ir=8)
body = shapeless([("Add", ["a", "x"], ["b"], {}), ("Concat", ["b", "x"], ["both"], {"axis": 0})], dict.fromkeys("ax", TensorProto.FLOAT), dict.fromkeys(["b", "both"], TensorProto.FLOAT))
for turns in (0, 2):
    x, a = f32(3, turns), f32(3)
    totals = np.cumsum(np.concatenate([a[:, None], x], 1, dtype=np.float32), 1)
    case(f"scan_of_{turns}", 16, ("Scan", ["a", "x"], ["end", "all"], {"body": body, "num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [1]}), {"a": a, "x": x}, {"end": totals[:, -1], "all": np.concatenate([totals[:, 1:], x], 0)}, ir=8)

if __name__ == "__main__":
    upgrade.main(pathlib.Path(sys.argv[1]), "edges")
