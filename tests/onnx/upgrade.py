#!/usr/bin/env python3
"""upgrade.py OUT_DIR: writes small models of old opsets, in the same layout as generate.py's cases (kind `upgrade`).

Each model has one operator in a form that a later opset changed; the expected outputs are computed here with numpy from the
old specification's words. They test that loading rewrites every old form to the newest one without changing what it means.
Needs onnx and numpy."""
import json
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(7)
cases = []


def f32(*shape):
    return random.standard_normal(shape).astype(np.float32)


def case(name, opset, nodes, inputs, outputs, constants=None, ir=3, domain=""):
    """nodes: (op, inputs, outputs, attributes) or a list of them; inputs, outputs, constants: name -> array."""
    cases.append((f"{name}_opset{opset}", opset, nodes if isinstance(nodes, list) else [nodes], inputs, outputs, constants or {}, ir, domain))


def build(opset, nodes, inputs, outputs, constants, ir, domain):
    def info(name, array):
        kind = TensorProto.STRING if array.dtype.kind in "OU" else helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, array.shape)

    graph = helper.make_graph(
        [helper.make_node(op, i, o, name=f"the_{op}", domain=domain, **a) for op, i, o, a in nodes],
        "upgrade",
        [info(n, a) for n, a in inputs.items()] + ([info(n, a) for n, a in constants.items()] if ir < 4 else []),
        [info(n, a) for n, a in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=ir)


# ---- broadcasting before version 7 -----------------------------------------------------------------------------------------
x, y = f32(2, 3, 4, 5), f32(3, 4)
for op, function in (("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)):
    case(f"{op.lower()}_axis", 6, (op, ["x", "y"], ["z"], {"broadcast": 1, "axis": 1}), {"x": x, "y": y}, {"z": function(x, y[:, :, None])})
    case(f"{op.lower()}_suffix", 1, (op, ["x", "y"], ["z"], {"broadcast": 1}), {"x": x, "y": x[0, 0]}, {"z": function(x, x[0, 0])})
case("pow_axis", 6, ("Pow", ["x", "y"], ["z"], {"broadcast": 1, "axis": 0}), {"x": abs(x), "y": x[:, 0, 0, 0]}, {"z": abs(x) ** x[:, 0, 0, 0][:, None, None, None]})
case("less_axis", 1, ("Less", ["x", "y"], ["z"], {"broadcast": 1, "axis": 1}), {"x": x, "y": y}, {"z": x < y[:, :, None]})
case("and_axis", 1, ("And", ["x", "y"], ["z"], {"broadcast": 1, "axis": 1}), {"x": x > 0, "y": y > 0}, {"z": (x > 0) & (y > 0)[:, :, None]})
case("add_axis_from_the_end", 6, ("Add", ["x", "y"], ["z"], {"broadcast": 1, "axis": -3}), {"x": x, "y": y}, {"z": x + y[:, :, None]})
case("or_axis_from_the_end", 1, ("Or", ["x", "y"], ["z"], {"broadcast": 1, "axis": -2}), {"x": x > 0, "y": y[0] > 0}, {"z": (x > 0) | (y[0] > 0)[:, None]})
case("gemm_broadcast", 6, ("Gemm", ["a", "b", "c"], ["y"], {"broadcast": 1, "alpha": 0.5}), {"a": f32(2, 3)}, {}, {"b": f32(3, 4), "c": f32(4)})
cases[-1][4]["y"] = (0.5 * cases[-1][3]["a"] @ cases[-1][5]["b"] + cases[-1][5]["c"]).astype(np.float32)
slope = f32(3)
case("prelu_channel", 6, ("PRelu", ["x", "s"], ["y"], {}), {"x": x}, {"y": np.where(x < 0, x * slope[:, None, None], x)}, {"s": slope})
case("prelu_scalar", 6, ("PRelu", ["x", "s"], ["y"], {}), {"x": x[0, 0, 0, 0]}, {"y": np.where(x < 0, x * slope[:1], x)[0, 0, 0, 0]}, {"s": slope[:1]})
case("prelu_shared", 6, ("PRelu", ["x", "s"], ["y"], {}), {"x": x}, {"y": np.where(x < 0, x * slope[:1], x)}, {"s": slope[:1]})

# ---- attributes that became inputs ---------------------------------------------------------------------------------------------
case("clip", 6, ("Clip", ["x"], ["y"], {"min": -0.5, "max": 0.25}), {"x": x}, {"y": np.clip(x, np.float32(-0.5), np.float32(0.25))})
case("clip_half", 6, ("Clip", ["x"], ["y"], {"max": 0.25}), {"x": x.astype(np.float16)}, {"y": np.minimum(x.astype(np.float16), np.float16(0.25))})
case("clip_double", 1, ("Clip", ["x"], ["y"], {"min": 0.5}), {"x": x.astype(np.float64)}, {"y": np.maximum(x.astype(np.float64), 0.5)})
wide, last = np.array([-np.inf, -3, np.nan, np.inf], np.float32), np.finfo(np.float32).max
case("clip_infinity", 1, ("Clip", ["x"], ["y"], {"min": -1.0}), {"x": wide}, {"y": np.array([-1, -1, np.nan, np.inf], np.float32)})
case("clip_infinity", 6, ("Clip", ["x"], ["y"], {"min": -1.0}), {"x": wide}, {"y": np.array([-1, -1, np.nan, last], np.float32)})
case("clip_default", 10, ("Clip", ["x"], ["y"], {}), {"x": wide}, {"y": np.array([-last, -3, np.nan, last], np.float32)})
case("slice", 1, ("Slice", ["x"], ["y"], {"starts": [1, -3], "ends": [3, 1000], "axes": [1, 3]}), {"x": x}, {"y": x[:, 1:3, :, -3:]})
case("slice_no_axes", 9, ("Slice", ["x"], ["y"], {"starts": [0, 1], "ends": [1, -1]}), {"x": x}, {"y": x[0:1, 1:-1]})
case("split", 2, ("Split", ["x"], ["a", "b"], {"axis": 3, "split": [2, 3]}), {"x": x}, {"a": x[..., :2], "b": x[..., 2:]})
case("split_float_input", 1, ("Split", ["x", "s"], ["a", "b"], {"axis": 2}), {"x": x}, {"a": x[:, :, :1], "b": x[:, :, 1:]}, {"s": np.array([1, 3], np.float32)})
case("split_input", 1, ("Split", ["x", "s"], ["a", "b"], {"axis": 2}), {"x": x}, {"a": x[:, :, :1], "b": x[:, :, 1:]}, {"s": np.array([1, 3], np.int64)})
case("split_even", 11, ("Split", ["x"], ["a", "", "c", ""], {"axis": 2}), {"x": x}, {"a": x[:, :, :1], "c": x[:, :, 2:3]})
case("squeeze", 1, ("Squeeze", ["x"], ["y"], {"axes": [0, 2]}), {"x": x[:1, :, :1]}, {"y": x[0, :, 0]})
case("squeeze_all", 11, ("Squeeze", ["x"], ["y"], {}), {"x": x[:1, :, :1]}, {"y": x[0, :, 0]})
case("unsqueeze", 11, ("Unsqueeze", ["x"], ["y"], {"axes": [0, -1]}), {"x": y}, {"y": y[None, ..., None]})
case("reshape", 1, ("Reshape", ["x"], ["y"], {"shape": [0, -1, 10]}), {"x": x}, {"y": x.reshape(2, 6, 10)})
case("pad", 1, ("Pad", ["x"], ["y"], {"paddings": [0, 1, 0, 2], "mode": "constant", "value": 1.5}), {"x": y}, {"y": np.pad(y, ((0, 0), (1, 2)), constant_values=1.5)})
case("pad_reflect", 2, ("Pad", ["x"], ["y"], {"pads": [1, 0, 2, 1], "mode": "reflect"}), {"x": y}, {"y": np.pad(y, ((1, 2), (0, 1)), mode="reflect")})
case("pad_half", 10, ("Pad", ["x"], ["y"], {"pads": [0, 0, 1, 0], "value": 2.0}), {"x": y.astype(np.float16)}, {"y": np.pad(y.astype(np.float16), ((0, 1), (0, 0)), constant_values=2)})
case("tile", 1, ("Tile", ["x", "t", "a"], ["y"], {}), {"x": y}, {"y": np.tile(y, (1, 3))}, {"t": np.array([3], np.float32), "a": np.array([1], np.float32)})
for op, function in (("Sum", np.sum), ("Mean", np.mean), ("Max", np.max), ("Min", np.min), ("Prod", np.prod)):
    case(f"reduce_{op.lower()}", 11, ("Reduce" + op, ["x"], ["y"], {"axes": [1, -1], "keepdims": 0}), {"x": x}, {"y": function(x, axis=(1, 3))})
case("reduce_sum_all", 1, ("ReduceSum", ["x"], ["y"], {}), {"x": x}, {"y": np.sum(x, axis=(0, 1, 2, 3), keepdims=True)})
case("reduce_l2", 13, ("ReduceL2", ["x"], ["y"], {"axes": [2]}), {"x": x}, {"y": np.sqrt(np.sum(x * x, axis=2, keepdims=True))})
case("reduce_log_sum_exp", 17, ("ReduceLogSumExp", ["x"], ["y"], {"axes": [0]}), {"x": x}, {"y": np.log(np.sum(np.exp(x), axis=0, keepdims=True))})
# converters raise a model's opset and leave attributes where they were
case("reduce_mean_attribute_left", 22, ("ReduceMean", ["x"], ["y"], {"axes": [-1]}), {"x": x}, {"y": x.mean(-1, keepdims=True)})
case("reduce_sum_attribute_left", 18, ("ReduceSum", ["x"], ["y"], {"axes": [1], "keepdims": 0}), {"x": x}, {"y": x.sum(1)})
case("squeeze_attribute_left", 18, ("Squeeze", ["x"], ["y"], {"axes": [0]}), {"x": x[:1, :, :1]}, {"y": x[0, :, :1]})
case("unsqueeze_attribute_left", 18, ("Unsqueeze", ["x"], ["y"], {"axes": [1]}), {"x": x}, {"y": x[:, None]})
order = np.argsort(-x, axis=-1, kind="stable")[..., :2]
case("top_k", 1, ("TopK", ["x"], ["v", "i"], {"k": 2}), {"x": x}, {"v": np.take_along_axis(x, order, -1), "i": order.astype(np.int64)})
case("dropout", 1, ("Dropout", ["x"], ["y"], {"ratio": 0.3, "is_test": 1}), {"x": x}, {"y": x})
case("dropout_float_mask", 7, ("Dropout", ["x"], ["y", "m"], {"ratio": 0.3}), {"x": x}, {"y": x, "m": np.ones(x.shape, np.float32)})
case("dropout_mask", 10, ("Dropout", ["x"], ["y", "m"], {"ratio": 0.3}), {"x": x}, {"y": x, "m": np.ones(x.shape, bool)})
signal = f32(2, 8, 1)
spectrum = np.fft.fft(signal[..., 0], axis=1)
case("dft", 17, ("DFT", ["x"], ["y"], {"axis": 1}), {"x": signal}, {"y": np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)}, ir=8)
case("dft_default", 17, ("DFT", ["x"], ["y"], {}), {"x": signal}, {"y": np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)}, ir=8)
case("add_attributes_left", 14, ("Add", ["x", "y"], ["z"], {"broadcast": 1, "axis": 1}), {"x": x, "y": y}, {"z": x + y[:, :, None]})
case("clip_attributes_left", 22, ("Clip", ["x"], ["y"], {"min": -0.5, "max": 0.25}), {"x": x}, {"y": np.clip(x, np.float32(-0.5), np.float32(0.25))})
case("clip_attribute_left", 13, ("Clip", ["x"], ["y"], {"max": 0.25}), {"x": wide}, {"y": np.array([-np.inf, -3, np.nan, 0.25], np.float32)})
pairs = f32(2, 3, 4, 2)
turned = np.fft.fft(pairs[..., 0] + 1j * pairs[..., 1], axis=1)
case("dft_attribute_left", 20, ("DFT", ["x"], ["y"], {"axis": 1}), {"x": pairs}, {"y": np.stack([turned.real, turned.imag], -1).astype(np.float32)}, ir=8)
case("pad_attributes_left", 13, ("Pad", ["x"], ["y"], {"pads": [0, 1, 0, 2], "value": 1.5}), {"x": y}, {"y": np.pad(y, ((0, 0), (1, 2)), constant_values=1.5)})
case("reshape_attribute_left", 13, ("Reshape", ["x"], ["y"], {"shape": [0, -1, 10]}), {"x": x}, {"y": x.reshape(2, 6, 10)})
case("slice_attributes_left", 13, ("Slice", ["x"], ["y"], {"starts": [1, -3], "ends": [3, 1000], "axes": [1, 3]}), {"x": x}, {"y": x[:, 1:3, :, -3:]})
case("split_attribute_left", 13, ("Split", ["x"], ["a", "b"], {"axis": 3, "split": [2, 3]}), {"x": x}, {"a": x[..., :2], "b": x[..., 2:]})
case("split_attribute_left", 18, ("Split", ["x"], ["a", "b"], {"axis": 3, "split": [2, 3]}), {"x": x}, {"a": x[..., :2], "b": x[..., 2:]})
case("top_k_attribute_left", 11, ("TopK", ["x"], ["v", "i"], {"k": 2}), {"x": x}, {"v": np.take_along_axis(x, order, -1), "i": order.astype(np.int64)})
# and some write what a later opset takes
case("clip_inputs", 10, ("Clip", ["x", "l", "h"], ["y"], {}), {"x": x}, {"y": np.clip(x, np.float32(-0.5), np.float32(0.25))}, {"l": np.array(-0.5, np.float32), "h": np.array(0.25, np.float32)})
case("dft_input", 17, ("DFT", ["x", "", "a"], ["y"], {}), {"x": signal}, {"y": np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)}, {"a": np.array(-2, np.int64)}, ir=8)


# ---- the matrix that Softmax saw -------------------------------------------------------------------------------------------------
def rows(function, axis):
    matrix = x.reshape(int(np.prod(x.shape[:axis])), -1)
    return function(matrix).reshape(x.shape).astype(np.float32)


def softmax(m):
    e = np.exp(m - m.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def hardmax(m):
    return np.eye(m.shape[1])[m.argmax(1)]


for axis in (0, 1, 2, 3):
    case(f"softmax_axis{axis}", 11, ("Softmax", ["x"], ["y"], {"axis": axis}), {"x": x}, {"y": rows(softmax, axis)})
case("softmax_default", 1, ("Softmax", ["x"], ["y"], {}), {"x": x}, {"y": rows(softmax, 1)})
case("softmax_negative", 12, ("Softmax", ["x"], ["y"], {"axis": -2}), {"x": x}, {"y": rows(softmax, 2)})
case("log_softmax", 9, ("LogSoftmax", ["x"], ["y"], {}), {"x": x}, {"y": rows(lambda m: np.log(softmax(m)), 1)})
case("hardmax", 1, ("Hardmax", ["x"], ["y"], {}), {"x": x}, {"y": rows(hardmax, 1)})

# ---- defaults and names -----------------------------------------------------------------------------------------------------------
case("concat_default", 1, ("Concat", ["x", "z"], ["y"], {}), {"x": x, "z": x}, {"y": np.concatenate([x, x], 1)})
case("cast", 1, ("Cast", ["x"], ["y"], {"to": "INT32"}), {"x": x * 10}, {"y": (x * 10).astype(np.int32)})
case("selu", 1, ("Selu", ["x"], ["y"], {}), {"x": x}, {"y": np.where(x > 0, 1.0507 * x, 1.0507 * (1.6732 * np.exp(x) - 1.6732)).astype(np.float32)})
case("global_lp_pool", 1, ("GlobalLpPool", ["x"], ["y"], {"p": 1.0}), {"x": x}, {"y": np.abs(x).sum((2, 3), keepdims=True)})
index = np.array([[0, 1], [2, 0]], np.int64)
scattered = y[:, :2].copy()
np.put_along_axis(scattered, index, f32(2, 2) * 0 + 9, 0)
case("scatter", 9, ("Scatter", ["x", "i", "u"], ["y"], {"axis": 0}), {"x": y[:, :2].copy(), "i": index, "u": np.full((2, 2), 9, np.float32)}, {"y": scattered})

# ---- resizing ---------------------------------------------------------------------------------------------------------------------
image = f32(1, 2, 2, 3)
big = image.repeat(2, 2).repeat(3, 3)
scales = np.array([1, 1, 2, 3], np.float32)
case("upsample", 1, ("Upsample", ["x"], ["y"], {"height_scale": 2.0, "width_scale": 3.0, "mode": "nearest"}), {"x": image}, {"y": big})
case("upsample", 7, ("Upsample", ["x"], ["y"], {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}), {"x": image}, {"y": big})
case("upsample", 9, ("Upsample", ["x", "s"], ["y"], {"mode": "nearest"}), {"x": image}, {"y": big}, {"s": scales})
case("resize", 10, ("Resize", ["x", "s"], ["y"], {"mode": "nearest"}), {"x": image}, {"y": big}, {"s": scales})
case("upsample_attribute_left", 9, ("Upsample", ["x"], ["y"], {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}), {"x": image}, {"y": big})
case("upsample_input", 6, ("Upsample", ["x", "s"], ["y"], {"mode": "nearest"}), {"x": image}, {"y": big}, {"s": scales})
case("resize_inputs", 10, ("Resize", ["x", "", "s"], ["y"], {"mode": "nearest"}), {"x": image}, {"y": big}, {"s": scales})
line = np.array([[[[1, 2, 3, 4]]]], np.float32)
both = np.repeat(image, 2, 2)[..., [0, 2]]
case("resize_both_ways", 10, ("Resize", ["x", "s"], ["y"], {"mode": "nearest"}), {"x": image}, {"y": both}, {"s": np.array([1, 1, 2, 0.8], np.float32)})
case("resize_scales_fed", 10, ("Resize", ["x", "s"], ["y"], {"mode": "nearest"}), {"x": image, "s": np.array([1, 1, 2, 0.8], np.float32)}, {"y": both})
case("resize_down", 10, ("Resize", ["x", "s"], ["y"], {"mode": "nearest"}), {"x": line}, {"y": line[..., [0, 2]]}, {"s": np.array([1, 1, 1, 0.6], np.float32)})
case("upsample_down", 9, ("Upsample", ["x", "s"], ["y"], {"mode": "nearest"}), {"x": line}, {"y": line[..., [0, 1]]}, {"s": np.array([1, 1, 1, 0.6], np.float32)})
case("upsample_linear", 9, ("Upsample", ["x", "s"], ["y"], {"mode": "linear"}), {"x": line}, {"y": np.array([[[[1, 1.5, 2, 2.5, 3, 3.5, 4, 4]]]], np.float32)}, {"s": np.array([1, 1, 1, 2], np.float32)})

# ---- normalisation ----------------------------------------------------------------------------------------------------------------
scale, bias, mean, variance = f32(3), f32(3), f32(3), abs(f32(3)) + 1


def normal(s, b, m, v):
    return ((x - m) / np.sqrt(v + np.float32(1e-5)) * s + b).astype(np.float32)


channel = {"s": scale, "b": bias, "m": mean, "v": variance}
names = ["x", "s", "b", "m", "v"]
expected = normal(*(a[:, None, None] for a in channel.values()))
case("batch_normalization", 1, ("BatchNormalization", names, ["y"], {"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]}), {"x": x}, {"y": expected}, channel)
case("batch_normalization", 7, ("BatchNormalization", names, ["y"], {}), {"x": x}, {"y": expected}, channel)
case("batch_normalization_five_outputs", 9, ("BatchNormalization", names, ["y", "a", "b2", "c", "d"], {}), {"x": x}, {"y": expected}, channel)
element = {"s": f32(3, 4, 5), "b": f32(3, 4, 5), "m": f32(3, 4, 5), "v": abs(f32(3, 4, 5)) + 1}
case("batch_normalization_spatial", 7, ("BatchNormalization", names, ["y"], {"spatial": 0}), {"x": x}, {"y": normal(*element.values())}, element)
wide = f32(2, 4, 3)
groups = wide.reshape(2, 2, -1)
unit = ((groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-5)).reshape(2, 4, 3)
factor, shift = f32(2), f32(2)
case("group_normalization", 18, ("GroupNormalization", ["x", "s", "b"], ["y"], {"num_groups": 2}), {"x": wide}, {"y": (unit * factor.repeat(2)[:, None] + shift.repeat(2)[:, None]).astype(np.float32)}, {"s": factor, "b": shift}, ir=8)

# ---- operators that are gone --------------------------------------------------------------------------------------------------------
case("affine", 1, ("Affine", ["x"], ["y"], {"alpha": 2.0, "beta": 0.5}), {"x": x}, {"y": 2 * x + np.float32(0.5)})
case("tensorflow_bitcast", 15, ("Bitcast", ["x"], ["y"], {"type": TensorProto.INT32}), {"x": x}, {"y": x.view(np.int32)})
case("scaled_tanh", 1, ("ScaledTanh", ["x"], ["y"], {"alpha": 2.0, "beta": 0.5}), {"x": x}, {"y": 2 * np.tanh(np.float32(0.5) * x)})
case("image_scaler", 7, ("ImageScaler", ["x"], ["y"], {"scale": 2.0, "bias": [1.0, 2.0, 3.0]}), {"x": x}, {"y": 2 * x + np.array([1, 2, 3], np.float32)[:, None, None]})
sizes = np.array([2, 3], np.int64)
case("constant_fill", 7, ("ConstantFill", ["s"], ["y"], {"input_as_shape": 1, "value": 2.5, "extra_shape": [4]}), {"s": sizes}, {"y": np.full((2, 3, 4), 2.5, np.float32)})
case("constant_fill_like", 1, ("ConstantFill", ["x"], ["y"], {"value": 3.0, "dtype": TensorProto.INT32}), {"x": x}, {"y": np.full(x.shape, 3, np.int32)})
case("constant_fill_shape", 1, ("ConstantFill", [], ["y"], {"shape": [2, 3]}), {}, {"y": np.zeros((2, 3), np.float32)})
case("crop", 1, ("Crop", ["x"], ["y"], {"border": [1, 0, 1, 2]}), {"x": x}, {"y": x[:, :, :-2, 1:-1]})
starts, ends, axes = (np.array(a, np.int64) for a in ([0, -3], [2**63 - 1, -1], [1, -1]))
case("dynamic_slice", 9, ("DynamicSlice", ["x", "starts", "ends", "axes"], ["y"], {}), {"x": x}, {"y": x[..., -3:-1]}, {"starts": starts, "ends": ends, "axes": axes})
case("dynamic_slice_fed", 9, ("DynamicSlice", ["x", "starts", "ends"], ["y"], {}), {"x": x, "starts": starts, "ends": ends}, {"y": x[:, -3:-1]})

# ---- control flow, ai.onnx.ml -------------------------------------------------------------------------------------------------------
step = helper.make_graph(
    [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Mul", ["t", "factor"], ["o"])], "step",
    [helper.make_tensor_value_info("s", TensorProto.FLOAT, [4]), helper.make_tensor_value_info("e", TensorProto.FLOAT, [4])],
    [helper.make_tensor_value_info("t", TensorProto.FLOAT, [4]), helper.make_tensor_value_info("o", TensorProto.FLOAT, [4])])
start, steps, factor = f32(2, 4), f32(2, 3, 4), f32(4)
sums = start[:, None] + np.cumsum(steps, 1)
case("scan", 8, ("Scan", ["", "start", "steps"], ["end", "all"], {"body": step, "num_scan_inputs": 1}), {"start": start, "steps": steps, "factor": factor}, {"end": sums[:, -1], "all": sums * factor})
backwards = start[:, None] + np.cumsum(steps[:, ::-1], 1)
case("scan_reverse", 8, ("Scan", ["", "start", "steps"], ["end", "all"], {"body": step, "num_scan_inputs": 1, "directions": [1]}), {"start": start, "steps": steps, "factor": factor}, {"end": backwards[:, -1], "all": backwards * factor})
lengths = np.array([2, 3], np.int64)
ends = np.stack([sums[0, 1], sums[1, 2]])
stacked = sums * factor
stacked[0, 2] = 0
case("scan_lengths", 8, ("Scan", ["lengths", "start", "steps"], ["end", "all"], {"body": step, "num_scan_inputs": 1}), {"lengths": lengths, "start": start, "steps": steps, "factor": factor}, {"end": ends, "all": stacked})
words = np.array(["b", "c", "?"], object)
case("label_encoder", 1, ("LabelEncoder", ["x"], ["y"], {"classes_strings": ["a", "b", "c"], "default_int64": -7}), {"x": words}, {"y": np.array([1, 2, -7], np.int64)}, domain="ai.onnx.ml")
case("label_encoder_back", 1, ("LabelEncoder", ["x"], ["y"], {"classes_strings": ["a", "b", "c"], "default_string": "?"}), {"x": np.array([2, 0, 5], np.int64)}, {"y": np.array(["c", "a", "?"], object)}, domain="ai.onnx.ml")


def main(out, kind):
    for name, opset, nodes, inputs, outputs, constants, ir, domain in cases:
        folder = out / kind / name
        data = folder / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (folder / "data.json").write_text(json.dumps({"rtol": 1e-4, "atol": 1e-6}))
        model = build(opset, nodes, inputs, outputs, constants, ir, domain)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        for stem, arrays in (("input", inputs), ("output", outputs)):
            for i, (n, a) in enumerate(arrays.items()):
                (data / f"{stem}_{i}.pb").write_bytes(numpy_helper.from_array(a, n).SerializeToString())
    (out / f"{kind}.json").write_text(json.dumps([c[0] for c in cases]))
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), "upgrade")
