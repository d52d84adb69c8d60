#!/usr/bin/env python3
"""neural.py OUT_DIR: writes small models of neural-network, signal and function forms that the onnx package has no case for,
in the same layout as generate.py's cases (kind `neural`). The expected outputs are computed here with numpy from the
specification's words. Needs onnx and numpy."""
import json
import pathlib
import sys

import numpy as np
from onnx import AttributeProto, TensorProto, helper, numpy_helper, parser

random = np.random.default_rng(23)
cases = []


def f32(*shape):
    return random.standard_normal(shape).astype(np.float32)


def info(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def case(name, op, inputs, outputs, opset, constants=(), rtol=1e-4, atol=1e-5, **attributes):
    """inputs: arrays, None where absent; outputs: arrays; constants: positions of inputs that the model holds."""
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    fed = {names[k]: a for k, a in enumerate(inputs) if a is not None and k not in constants}
    made = {f"o{k}": a for k, a in enumerate(outputs)}
    graph = helper.make_graph(
        [helper.make_node(op, names, list(made), name=f"the_{op}", **attributes)], "neural",
        [info(n, a) for n, a in fed.items()], [info(n, a) for n, a in made.items()],
        [numpy_helper.from_array(inputs[k], names[k]) for k in constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    cases.append((name, model, fed, made, rtol, atol))


def text(name, source, inputs, outputs):
    """A whole model in onnx's text form; inputs and outputs: name -> array."""
    cases.append((name, parser.parse_model(source), inputs, outputs, 1e-4, 1e-5))


# ---- resizing: length_resized is scale * length_original, also where that has a fraction ---------------------------------------
def linear(x, at):
    at = np.clip(np.asarray(at), 0, len(x) - 1)
    low = np.minimum(np.floor(at).astype(int), len(x) - 2)
    return (x[low] * (low + 1 - at) + x[low + 1] * (at - low)).astype(np.float32)


line, nothing = f32(5), np.zeros(0, np.float32)
case("resize_crop_fraction", "Resize", [line, np.array([0.25, 1], np.float32), np.array([0.5], np.float32)], [linear(line, [1, 1 + 0.75 * 4 / 1.5])], 19, (1, 2), mode="linear", coordinate_transformation_mode="tf_crop_and_resize")
case("resize_pytorch_fraction", "Resize", [line, None, np.array([0.3], np.float32)], [linear(line, [0.5 / 0.3 - 0.5])], 19, (2,), mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
case("resize_pytorch_one", "Resize", [line, None, np.array([0.2], np.float32)], [line[:1]], 19, (2,), mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
case("resize_corners_fraction", "Resize", [line, None, np.array([0.7], np.float32)], [linear(line, np.arange(3) * 4 / 2.5)], 19, (2,), mode="linear", coordinate_transformation_mode="align_corners")
case("resize_corners_pytorch", "Resize", [line, None, np.array([0.7], np.float32)], [linear(line, [0, 2, 4])], 19, (2,), mode="linear", coordinate_transformation_mode="align_corners")
cases[-1][1].producer_name = "pytorch"  # which means the elements that there are
case("resize_scalar", "Resize", [f32(), None, nothing], [], 19, (2,))
cases[-1][3]["o0"] = cases[-1][2]["i0"]
cases[-1][1].graph.node[0].output.append("o0")
cases[-1][1].graph.output.append(info("o0", cases[-1][3]["o0"]))

# ---- sampling: beyond a border every one of the cubic's four places is the border's, the place itself stays where it is --------------
def cubic(x):
    x = np.abs(x)
    return np.where(x <= 1, (1.25 * x - 2.25) * x * x + 1, np.where(x < 2, ((-0.75 * x + 3.75) * x - 6) * x + 3, 0))


spots = np.array([-1.6, -0.3, 0.5, 4.25, 5.5, 9])
around = np.floor(spots)[:, None] + np.arange(-1, 3)
case("grid_sample_cubic_border", "GridSample", [line[None, None], (spots / 2 - 1).astype(np.float32)[None, :, None]], [(line[np.clip(around, 0, 4).astype(int)] * cubic(spots[:, None] - around)).sum(1).astype(np.float32)[None, None]], 22, mode="cubic", padding_mode="border", align_corners=1)

# ---- convolution without filters -------------------------------------------------------------------------------------------------
case("conv_no_filters", "Conv", [f32(1, 3, 5, 5), f32(0, 3, 3, 3)], [f32(1, 0, 3, 3)], 22)

# padding below alone: output positions follow the input's until they end
x, w = f32(1, 4, 3, 5), f32(2, 4, 1, 1)
below = np.einsum("nchw,fc->nfhw", np.pad(x, ((0, 0), (0, 0), (0, 2), (0, 0))), w[:, :, 0, 0])
case("conv_1x1_padded_below", "Conv", [x, w], [below], 22, pads=(0, 0, 2, 0))
case("conv_1x1_of_padding", "Conv", [f32(1, 4, 0, 5), w], [np.zeros((1, 2, 2, 5), np.float32)], 22, pads=(0, 0, 2, 0))

# ---- convolution of many channels: filters that are constants and that are not, planes of every size ---------------------------------
def convolved(x, w, pads, dilations=None, strides=None):
    rank = x.ndim - 2
    dilations, strides = dilations or (1,) * rank, strides or (1,) * rank
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:])])
    last = [d * (k - 1) for d, k in zip(dilations, w.shape[2:])]
    return sum(
        np.einsum("nc...,fc->nf...", padded[(..., *(slice(t * d, n - l + t * d, s) for t, d, n, l, s in zip(tap, dilations, padded.shape[2:], last, strides)))], w[(..., *tap)].astype(np.float64))
        for tap in np.ndindex(w.shape[2:])).astype(np.float32)


for name, channels, filters, height, width, pads in (
    ("blocks", 150, 36, 9, 21, (1, 1, 1, 1)), ("small", 130, 17, 7, 7, (1, 1, 1, 1)), ("wide", 17, 33, 30, 70, (0, 2, 1, 0)), ("tiny", 16, 16, 3, 4, (1, 1, 1, 1)),
):
    x, w = f32(2, channels, height, width), f32(filters, channels, 3, 3) / np.float32(3 * channels**0.5)
    for constants in ((), (1,)):
        case(f"conv_3x3_{name}{'_constant' if constants else ''}", "Conv", [x, w], [convolved(x, w, pads)], 22, constants, pads=pads)
x, w = f32(1, 200, 14, 14), f32(200, 200, 3, 3) / np.float32(40)
case("conv_3x3_large_constant", "Conv", [x, w], [convolved(x, w, (1, 1, 1, 1))], 22, (1,), pads=(1, 1, 1, 1))
# empty lists stand for the defaults
x, w = np.arange(60, dtype=np.float32).reshape(1, 2, 5, 6), np.arange(54, dtype=np.float32).reshape(3, 2, 3, 3)
case("conv_empty_lists", "Conv", [x, w], [convolved(x, w, (0, 0, 0, 0))], 22)
cases[-1][1].graph.node[0].attribute.extend(AttributeProto(name=name, type=AttributeProto.INTS) for name in ("pads", "strides", "dilations", "kernel_shape"))
case("conv_empty_auto_pad", "Conv", [x, w], [convolved(x, w, (1, 1, 1, 1))], 22, pads=(1, 1, 1, 1), auto_pad="")
q = np.array([[[[0.0, 0.5]]]], np.float32)
case("attention_softmax_of_no_type", "Attention", [q, q, q], [q], 24, softmax_precision=0)

# integers of channels by themselves, whose rows or windows are too long for a kernel's buffers, and large weights
def each_channel(x, w, zero, pads):
    filters = len(w) // x.shape[1]
    return np.concatenate([convolved(x[:, f // filters : f // filters + 1].astype(np.float64) - zero, w[f : f + 1].astype(np.float64), pads) for f in range(len(w))], 1).astype(np.int32)


for name, shape, window, pads in (
    ("wide", (1, 2, 4, 3001), (3, 3), (1, 1, 1, 1)), ("long", (2, 2, 9001), (5,), (2, 0)), ("taps", (1, 2, 2500), (2101,), (7, 8)), ("usual", (1, 3, 9, 20), (3, 3), (1, 1, 1, 1)),
):
    x, w = random.integers(0, 256, shape).astype(np.uint8), random.integers(-128, 128, (2 * shape[1], 1, *window)).astype(np.int8)
    for constants in ((), (1,)):
        case(f"conv_integer_channels_{name}{'_constant' if constants else ''}", "ConvInteger", [x, w, np.uint8(77)], [each_channel(x, w, 77, pads)], 10, constants, 0, 0, pads=pads, group=shape[1])
for k, greatest in ((16, 127), (40, 90), (200, 127), (200, 64)):
    x, w = random.integers(0, 256, (1, k, 5, 11)).astype(np.uint8), random.integers(-greatest, greatest + 1, (10, k, 1, 1)).astype(np.int8)
    x[..., 0] = 255
    summed = np.einsum("nchw,fc->nfhw", x.astype(np.int32) - 3, w[..., 0, 0].astype(np.int32)).astype(np.int32)
    case(f"conv_integer_{k}_{greatest}", "ConvInteger", [x, w, np.uint8(3)], [summed], 10, (1,), 0, 0)
    a = x.reshape(k, 55).T.copy()
    case(f"matmul_integer_{k}_{greatest}", "MatMulInteger", [a, w.reshape(10, k).T.copy(), np.uint8(3)], [(summed.reshape(10, 55).T).astype(np.int32)], 10, (1,), 0, 0)

# in groups, and signals, volumes, filters in pieces, dilations whose phases differ in length
x, w = f32(2, 3 * 18, 10, 23), f32(3 * 21, 18, 3, 3) / np.float32(13)
in_groups = np.concatenate([convolved(part, filters, (1, 1, 1, 1)) for part, filters in zip(np.split(x, 3, 1), np.split(w, 3))], 1)
case("conv_3x3_groups", "Conv", [x, w], [in_groups], 22, (1,), pads=(1, 1, 1, 1), group=3)
for name, size, kernel, pads, more in (
    ("signal", (200,), (3,), (1, 1), {}), ("signal_of_7_taps", (131,), (7,), (3, 3), {}), ("signal_of_11_taps_dilated", (301,), (11,), (25, 20), {"dilations": (5,)}),
    ("row_taps", (9, 70), (1, 7), (0, 3, 0, 3), {}), ("column_taps", (30, 37), (5, 1), (2, 0, 2, 0), {}), ("5x5", (19, 33), (5, 5), (2, 2, 2, 2), {}), ("4x7", (20, 20), (4, 7), (0, 3, 1, 3), {}),
    ("dilated", (31, 40), (3, 3), (2, 3, 2, 3), {"dilations": (2, 3)}), ("volume", (5, 12, 13), (3, 3, 3), (1, 1, 1, 1, 1, 1), {}),
    ("volume_strided", (7, 16, 9), (3, 3, 3), (2, 1, 1, 2, 1, 1), {"strides": (2, 1, 1), "dilations": (2, 1, 1)}), ("volume_beside", (2, 8, 8), (1, 3, 3), (2, 1, 1, 1, 1, 1), {}),
):
    x, w = f32(2, 20, *size), f32(36, 20, *kernel) / np.float32((20 * np.prod(kernel)) ** 0.5)
    case(f"conv_{name}", "Conv", [x, w], [convolved(x, w, pads, **more)], 22, (1,), pads=pads, **more)

# every other tap, and every third, meets elements of its own; few channels and filters, and many where only then that pays
for name, channels, filters, size, kernel, pads, more in (
    ("stride_2", 52, 60, (63, 71), (3, 3), (1, 1, 1, 1), {"strides": (2, 2)}), ("stride_2_even", 52, 60, (48, 61), (3, 3), (0, 1, 1, 0), {"strides": (2, 2)}),
    ("5x5_stride_2", 52, 60, (31, 63), (5, 5), (2, 2, 2, 2), {"strides": (2, 2)}), ("7x7_stride_2", 52, 60, (35, 31), (7, 7), (3, 3, 3, 3), {"strides": (2, 2)}),
    ("5x5_stride_3", 52, 60, (47, 48), (5, 5), (1, 1, 2, 2), {"strides": (3, 3)}), ("stride_2_beside", 52, 60, (30, 61), (3, 3), (1, 1, 1, 1), {"strides": (1, 2)}),
    ("stride_2_dilated", 52, 60, (61, 65), (3, 5), (2, 3, 3, 4), {"strides": (2, 2), "dilations": (2, 3)}), ("2x2", 52, 60, (30, 33), (2, 2), (1, 0, 0, 1), {}),
    ("signal_stride_2", 150, 200, (638,), (3,), (0, 1), {"strides": (2,)}), ("signal_of_9_taps_stride_2", 52, 60, (301,), (9,), (4, 4), {"strides": (2,)}),
    ("row_taps_stride_2", 150, 200, (31, 79), (1, 3), (0, 1, 0, 1), {"strides": (2, 2)}), ("column_taps_stride_2", 52, 60, (127, 23), (5, 1), (2, 0, 2, 0), {"strides": (2, 1)}),
    ("volume_stride_2", 150, 200, (3, 31, 31), (3, 3, 3), (1, 1, 1, 1, 1, 1), {"strides": (2, 2, 2)}),
    # and one tap along a volume's last dimension
    ("planes_of_one", 1, 16, (14, 13, 12), (5, 5, 1), (2, 2, 0, 2, 2, 0), {}), ("planes_of_one_dilated", 1, 9, (15, 14, 7), (5, 3, 1), (2, 1, 0, 2, 2, 0), {"strides": (2, 1, 1), "dilations": (1, 2, 1)}),
    ("signals_of_a_volume", 20, 36, (19, 5, 6), (3, 1, 1), (1, 0, 0, 1, 0, 0), {}), ("planes_of_one_padded", 1, 6, (9, 8, 5), (3, 3, 1), (1, 1, 1, 1, 1, 0), {}),
):
    x, w = f32(2, channels, *size), f32(filters, channels, *kernel) / np.float32((channels * np.prod(kernel)) ** 0.5)
    case(f"conv_many_{name}", "Conv", [x, w], [convolved(x, w, pads, **more)], 22, (1,), pads=pads, **more)

# one to three filters of several channels: planes added up, part by part
for name, size, kernel, pads, more in (
    ("image", (50, 100), (3, 3), (1, 1, 1, 1), {}), ("image_strided", (61, 203), (3, 3), (1, 0, 1, 2), {"strides": (2, 2)}), ("image_dilated", (40, 95), (3, 2), (3, 2, 0, 1), {"dilations": (2, 3)}),
    ("image_of_7x7", (23, 131), (7, 7), (3, 3, 3, 3), {}), ("small", (7, 7), (3, 3), (1, 1, 1, 1), {}), ("one_row", (1, 900), (1, 5), (0, 2, 0, 2), {}), ("wide", (4, 4100), (3, 3), (1, 1, 1, 1), {}),
    ("signal", (5000,), (7,), (3, 3), {}), ("signal_strided", (8300,), (5,), (2, 1), {"strides": (2,)}), ("signal_in_padding", (3,), (3,), (2300, 2200), {}), ("signal_dilated", (4500,), (3,), (0, 900), {"dilations": (400,)}),
    ("signal_far_apart", (2200,), (2,), (1000, 0), {"dilations": (2100,)}), ("volume", (5, 33, 70), (3, 3, 3), (1, 1, 1, 1, 1, 1), {}), ("volume_strided", (7, 16, 9), (3, 3, 2), (2, 1, 1, 3, 1, 1), {"strides": (2, 1, 2), "dilations": (2, 1, 1)}),
):
    for filters in (1, 2, 3):
        x, w = f32(2, 5, *size), f32(filters, 5, *kernel) / np.float32((5 * np.prod(kernel)) ** 0.5)
        bias = f32(filters)
        y = convolved(x, w, pads, **more) + bias.reshape(-1, *(1,) * len(size))
        case(f"conv_{name}_{filters}_filters", "Conv", [x, w, bias], [y], 22, (1,), pads=pads, **more)
x, w = f32(2, 6, 30, 71), f32(4, 3, 3, 3) / np.float32(5)
in_groups = np.concatenate([convolved(part, filters, (1, 1, 1, 1)) for part, filters in zip(np.split(x, 2, 1), np.split(w, 2))], 1)
case("conv_2_filters_in_groups", "Conv", [x, w], [in_groups], 22, (1,), pads=(1, 1, 1, 1), group=2)

# ---- transposed convolution whose windows do not meet ----------------------------------------------------------------------------
def spread(x, w, b, strides, groups=1):
    """Kernels no larger than strides: every place of the result has one product at most."""
    size = [n * s for n, s in zip(x.shape[2:], strides)]
    parts = []
    for part, filters in zip(np.split(x, groups, 1), np.split(w, groups)):
        y = np.zeros((x.shape[0], w.shape[1], *size), np.float64)
        for tap in np.ndindex(*w.shape[2:]):
            at = tuple(slice(t, None, s) for t, s in zip(tap, strides))
            y[(slice(None), slice(None), *at)] = np.einsum("nc...,cm->nm...", part.astype(np.float64), filters[(slice(None), slice(None), *tap)])
        parts.append(y)
    y = np.concatenate(parts, 1)
    return (y + b.reshape(-1, *(1,) * len(size))).astype(np.float32)


for name, channels, filters, size, kernel, strides, groups in (
    ("image", 64, 32, (37, 41), (2, 2), (2, 2), 1), ("image_of_gaps", 48, 5, (50, 33), (2, 1), (3, 2), 1), ("groups", 96, 8, (33, 70), (2, 2), (2, 2), 2),
    ("signal", 40, 6, (2100,), (4,), (4,), 1), ("volume", 32, 4, (9, 14, 11), (2, 2, 2), (2, 2, 2), 1),
):
    x, w, bias = f32(2, channels, *size), f32(channels, filters, *kernel) / np.float32(channels ** 0.5), f32(filters * groups)
    last = [(n - 1) * s + k for n, s, k in zip(size, strides, kernel)]
    y = spread(x, w, bias, strides, groups)[(slice(None), slice(None), *(slice(n) for n in last))]
    case(f"conv_transpose_{name}_apart", "ConvTranspose", [x, w, bias], [y], 22, (1,), strides=strides, group=groups)

# ---- batch normalisation of rows of features, and of rows far from zero ---------------------------------------------------------------
for name, shape, mean in (("rows", (37, 21), 0), ("rows_far_away", (5, 9), 1000), ("rows_of_one_place", (4, 6, 1, 1), 0)):
    x, (scale, bias, means) = f32(*shape) + np.float32(mean), f32(3, shape[1])
    variances, around = np.abs(f32(shape[1])) + np.float32(0.1), (-1, *(1,) * (len(shape) - 2))
    means = means + np.float32(mean)
    normal = (x.astype(np.float64) - means.reshape(around)) / np.sqrt(variances.astype(np.float64) + 1e-5).reshape(around) * scale.reshape(around) + bias.reshape(around)
    case(f"batch_normalization_{name}", "BatchNormalization", [x, scale, bias, means, variances], [normal.astype(np.float32)], 22)

# ---- transforms of lengths with factors of all kinds --------------------------------------------------------------------------------
for n in (1, 2, 3, 8, 12, 37, 60, 62, 400, 1009):
    for kind, rtol, atol in ((np.float32, 1e-4, 1e-5), (np.float64, 1e-10, 1e-11)):
        x = random.standard_normal((2, n, 3, 2)).astype(kind)
        numbers = x[..., 0].astype(complex) + 1j * x[..., 1]
        for inverse, transform in ((0, np.fft.fft), (1, np.fft.ifft)):
            y = transform(numbers, axis=1)
            scale = np.sqrt(n) if inverse == 0 else 1
            case(f"dft_{n}_{kind.__name__}_{inverse}", "DFT", [x, None, np.array(1, np.int64)], [np.stack([y.real, y.imag], -1).astype(kind)], 20, (2,), rtol, atol * scale, inverse=inverse)


# ---- softmax of 16 bits: every step of its function has the tensor's type -----------------------------------------------------------
def steps(x, kind, logarithm=False):
    x = x.astype(kind)
    shifted = (x - x.max(-1, keepdims=True)).astype(kind)
    powers = np.exp(shifted.astype(np.float64)).astype(kind)
    total = powers.astype(np.float64).sum(-1, keepdims=True).astype(kind)
    if logarithm:
        return (shifted - np.log(total.astype(np.float64)).astype(kind)).astype(kind)
    return (powers.astype(np.float64) / total.astype(np.float64)).astype(kind)


scores = (3 * f32(3, 7)).astype(np.float16)
case("softmax_half_steps", "Softmax", [scores], [steps(scores, np.float16)], 13, rtol=0, atol=0)
case("log_softmax_half_steps", "LogSoftmax", [scores], [steps(scores, np.float16, True)], 13, rtol=0, atol=0)
q, k, v = f32(1, 1, 4, 1), f32(1, 1, 6, 1), f32(1, 1, 6, 1)
for name, precision, kind in (("half", TensorProto.FLOAT16, np.float16), ("double", TensorProto.DOUBLE, np.float64)):
    weights = steps(q @ k.swapaxes(2, 3), kind).astype(np.float32)
    case(f"attention_softmax_{name}", "Attention", [q, k, v], [weights @ v, weights], 25, rtol=1e-6, atol=1e-6, scale=1.0, softmax_precision=precision, qk_matmul_output_mode=3)
    cases[-1][1].graph.node[0].output[:] = ["o0", "", "", "o1"]

weights, half_v = steps(q @ k.swapaxes(2, 3), np.float16).astype(np.float32), v.astype(np.float16).astype(np.float32)
case("flex_attention_half", "FlexAttention", [q, k, v], [(weights @ half_v).astype(np.float16).astype(np.float32)], 26, domain="ai.onnx.preview", scale=1.0, softmax_precision=TensorProto.FLOAT16)
cases[-1][1].opset_import.append(helper.make_opsetid("ai.onnx.preview", 1))

# ---- scans without a step: of the shape that one would have made --------------------------------------------------------------------------
no_steps, start = np.zeros((3, 0), np.float32), f32(3)
case("scan_no_steps", "Scan", [start, no_steps], [start, no_steps], 21, num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1], body=helper.make_graph(
    [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Neg", ["t"], ["u"])], "body",
    [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "se"], [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "tu"]))

# ---- functions: attributes that nobody gives -----------------------------------------------------------------------------------------
x = f32(4)
imports = '<ir_version: 9, opset_import: ["" : 18, "local" : 1]>'
elu = np.where(x < 0, np.exp(x) - 1, x)
text("function_attribute_absent", f"""{imports} g (float[4] x) => (float[4] y) {{ y = local.f (x) }}
<domain: "local", opset_import: ["" : 18]> f <alpha, unused> (x) => (y) {{ y = Elu <alpha: float = @alpha> (x) }}""", {"x": x}, {"y": elu.astype(np.float32)})
text("function_inner_default", f"""{imports} g (float[4] x) => (float[4] y) {{ y = local.f (x) }}
<domain: "local", opset_import: ["" : 18, "local" : 1]> f <alpha> (x) => (y) {{ y = local.inner <alpha: float = @alpha> (x) }}
<domain: "local", opset_import: ["" : 18]> inner <alpha: float = 0.5> (x) => (y) {{ y = Elu <alpha: float = @alpha> (x) }}""", {"x": x}, {"y": np.where(x < 0, elu / 2, x).astype(np.float32)})

# ---- functions: what a caller leaves out, attributes that reach into a branch, and overloads --------------------------------------------
high = np.array(0.4, np.float32)
text("function_input_absent", f"""{imports} g (float[4] x, float high) => (float[4] y) {{ y = local.f (x, , high) }}
<domain: "local", opset_import: ["" : 18]> f (x, low, high) => (y) {{ y = Clip (x, low, high) }}""", {"x": x, "high": high}, {"y": np.minimum(x, high)})
text("function_output_unused", f"""{imports} g (float[4] x) => (float[2] z) {{ y, z = local.f (x) }}
<domain: "local", opset_import: ["" : 18]> f (x) => (y, z) {{ y, z = Split <num_outputs = 2> (x) }}""", {"x": x}, {"z": x[2:]})
cases[-1][1].graph.node[0].output[0] = ""
for name, below in (("then", True), ("else", False)):
    text(f"function_branch_{name}", f"""{imports} g (float[4] x, bool below) => (float[2, 2] y) {{ y = local.f <alpha = 0.5, shape = [2, 2]> (x, below) }}
<domain: "local", opset_import: ["" : 18]> f <alpha, shape> (x, below) => (y) {{ k = Constant <value_ints: ints = @shape> () y = If (below) <
    then_branch = a () => (t) {{ r = Reshape (x, k) t = Elu <alpha: float = @alpha> (r) }},
    else_branch = b () => (e) {{ s = LeakyRelu <alpha: float = @alpha> (x) e = Reshape (s, k) }}> }}""",
         {"x": x, "below": np.array(below)}, {"y": np.where(x < 0, (elu if below else x) / 2, x).astype(np.float32).reshape(2, 2)})
text("function_overloads", f"""{imports} g (float[4] x) => (float[4] y) {{ z = local.f (x) y = local.f (z) }}
<domain: "local", opset_import: ["" : 18]> f (x) => (y) {{ y = Exp (x) }}
<domain: "local", opset_import: ["" : 18]> f (x) => (y) {{ y = Neg (x) }}""", {"x": x}, {"y": -np.exp(x)})
for name, node, function in zip("ab", cases[-1][1].graph.node, cases[-1][1].functions):
    node.overload = function.overload = name
cases[-1][1].ir_version = 10


def main(out):
    for name, model, inputs, outputs, rtol, atol in cases:
        folder = out / "neural" / name
        data = folder / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (folder / "data.json").write_text(json.dumps({"rtol": rtol, "atol": atol}))
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        for stem, arrays in (("input", inputs), ("output", outputs)):
            for i, (n, a) in enumerate(arrays.items()):
                (data / f"{stem}_{i}.pb").write_bytes(numpy_helper.from_array(a, n).SerializeToString())
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
