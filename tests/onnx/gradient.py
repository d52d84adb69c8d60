#!/usr/bin/env python3
"""gradient.py OUT_DIR: writes small models with ai.onnx.preview.training's Gradient, in the same layout as generate.py's cases
(kind `gradient`). The expected derivatives are finite differences of what onnx.reference computes in double precision. Needs
onnx and numpy."""
import json
import math
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

random = np.random.default_rng(5)
STEP = 1e-5


class Erf(OpRun):
    """onnx.reference's own has single precision."""
    def _run(self, x):
        return (np.vectorize(math.erf)(x),)


class Gelu(OpRun):
    """The same."""
    def _run(self, x, approximate="none"):
        if approximate == "tanh":
            return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)
        return (0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),)


class Mean(OpRun):
    """onnx.reference's own does not broadcast."""
    def _run(self, *xs):
        return (sum(xs) / len(xs),)


class AveragePool(OpRun):
    """onnx.reference's own counts wrongly where windows reach beyond the padding."""
    def _run(self, x, kernel_shape=None, strides=None, pads=None, ceil_mode=0, count_include_pad=0, **_):
        axes = len(kernel_shape)
        strides, pads = strides or [1] * axes, pads or [0] * 2 * axes
        spans = [n + pads[d] + pads[axes + d] - k for d, (n, k) in enumerate(zip(x.shape[2:], kernel_shape))]
        counts = [-(-s // t) + 1 if ceil_mode else s // t + 1 for s, t in zip(spans, strides)]
        counts = [c - ((c - 1) * t >= n + pads[d]) for d, (c, t, n) in enumerate(zip(counts, strides, x.shape[2:]))]
        y = np.empty((*x.shape[:2], *counts))
        for place in np.ndindex(*counts):
            begins = [p * t - pads[d] for d, (p, t) in enumerate(zip(place, strides))]
            window = x[(..., *(slice(max(b, 0), b + k) for b, k in zip(begins, kernel_shape)))]
            padded = [min(b + k, n + pads[axes + d]) - b for d, (b, k, n) in enumerate(zip(begins, kernel_shape, x.shape[2:]))]
            whole = np.prod(padded) if count_include_pad else np.prod(window.shape[2:])
            y[(..., *place)] = window.sum(tuple(range(2, x.ndim))) / whole
        return (y,)


class GroupNormalization(OpRun):
    """onnx.reference's own has single precision."""
    def _run(self, x, scale, bias, epsilon=1e-5, num_groups=1, stash_type=None):
        groups = x.reshape(len(x), num_groups, -1)
        normal = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + epsilon)
        channels = normal.reshape(*x.shape[:2], -1) * scale[:, None] + bias[:, None]
        return (channels.reshape(x.shape),)


class MeanVarianceNormalization(OpRun):
    """onnx.reference's own is a function that adds to the square root in single precision."""
    def _run(self, x, axes=None):
        x = x - x.mean(tuple(axes or (0, 2, 3)), keepdims=True)
        return (x / (np.sqrt((x * x).mean(tuple(axes or (0, 2, 3)), keepdims=True)) + 1e-9),)


class LpNormalization(OpRun):
    """onnx.reference's own adds numbers with their signs."""
    def _run(self, x, axis=-1, p=2):
        return (x / (abs(x) ** p).sum(axis, keepdims=True) ** (1 / p),)


class LRN(OpRun):
    """onnx.reference's own has single precision."""
    def _run(self, x, size, alpha=1e-4, beta=0.75, bias=1.0):
        squares = np.zeros_like(x)
        for c in range(x.shape[1]):
            squares[:, c] = (x[:, max(c - (size - 1) // 2, 0):c + size // 2 + 1] ** 2).sum(1)
        return (x / (bias + alpha / size * squares) ** beta,)


class Scan(OpRun):
    """onnx.reference's own knows the first axis and one direction only."""
    def need_context(self):
        return True

    def _run(self, *values, context=None, scan_input_axes=None, scan_input_directions=None, scan_output_axes=None, scan_output_directions=None, bindings=None, **_):
        first, names, seen = len(values) - self.num_scan_inputs, self.body.input_names, []
        states, scanned = list(values[:first]), [np.moveaxis(x, a, 0)[::1 - 2 * d] for x, a, d in zip(values[first:], scan_input_axes or [0], scan_input_directions or [0])]
        for each in zip(*scanned):
            results = self._run_body({**(context or {}), **dict(zip(names, [*states, *each]))}, bindings=bindings)
            states = results[:first]
            seen.append(results[first:])
        stacks = [np.moveaxis(np.stack(y)[::1 - 2 * d], 0, a) for y, a, d in zip(zip(*seen), scan_output_axes or [0], scan_output_directions or [0])]
        return (*states, *stacks)


def evaluator(model):
    return ReferenceEvaluator(model, new_ops=[AveragePool, Erf, GRU, Gelu, GroupNormalization, LRN, LSTM, LpNormalization, Mean,
                                              MeanVarianceNormalization, RNN, Scan])


def real(*shape):
    """Away from 0, and any two further apart than a step."""
    values = np.linspace(0.2, 1.7, int(np.prod(shape))) * random.choice([-1, 1], int(np.prod(shape)))
    return random.permutation(values).reshape(shape)


def positive(*shape):
    return np.abs(real(*shape))


def ints(*values):
    return np.array(values, np.int64)


class Case:
    def __init__(self, name, nodes, xs, constants=None, of="y"):
        """nodes: (operator, inputs, outputs, attributes); xs: name -> array, the variables; the last value is `of`."""
        self.name, self.nodes, self.xs, self.constants, self.of = name, nodes, xs, constants or {}, of

    def forward(self):
        return [helper.make_node(op, i.split(","), o.split(","), **a) for op, i, o, a in self.nodes]

    def graph(self, nodes, outputs):
        info = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, a.shape) for n, a in self.xs.items()]
        held = [numpy_helper.from_array(a, n) for n, a in self.constants.items()]
        graph = helper.make_graph(nodes, "gradient", info, [helper.make_empty_tensor_value_info(o) for o in outputs], held)
        opsets = [helper.make_opsetid("", 24), helper.make_opsetid("ai.onnx.preview.training", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def value(self, forward, xs):
        return float(np.sum(forward.run(None, xs)[0]))

    def differences(self):
        forward = evaluator(self.graph(self.forward(), [self.of]))
        for name, x in self.xs.items():
            result = np.zeros_like(x)
            for place in np.ndindex(x.shape):
                ends = []
                for step in (STEP, -STEP):
                    moved = x.copy()
                    moved[place] += step
                    ends.append(self.value(forward, {**self.xs, name: moved}))
                result[place] = (ends[0] - ends[1]) / (2 * STEP)
            yield name, result

    def write(self, folder):
        data = folder / self.name / "test_data_set_0"
        data.mkdir(parents=True)
        names = list(self.xs)
        gradient = helper.make_node("Gradient", names, [f"d{n}" for n in names], domain="ai.onnx.preview.training",
                                    name="the_gradient", xs=names, y=self.of)
        (folder / self.name / "data.json").write_text(json.dumps({"rtol": 1e-4, "atol": 1e-5}))
        model = self.graph([*self.forward(), gradient], [f"d{n}" for n in names])
        (folder / self.name / "model.onnx").write_bytes(model.SerializeToString())
        for k, (name, x) in enumerate(self.xs.items()):
            (data / f"input_{k}.pb").write_bytes(numpy_helper.from_array(x, name).SerializeToString())
        for k, (name, d) in enumerate(self.differences()):
            (data / f"output_{k}.pb").write_bytes(numpy_helper.from_array(d, f"d{name}").SerializeToString())


def weighted(name, op, xs, constants=None, outputs="t", domain=(), label=None, **attributes):
    """y = op(xs, constants) times numbers that differ, so that no two derivatives are the same by chance."""
    inputs = ",".join(n.strip("-") for n in [*xs, *(constants or {})])  # without a name, or "-": absent
    constants = {n: a for n, a in (constants or {}).items() if a is not None}
    nodes = [(op, inputs, outputs, attributes), ("Mul", f"{outputs.split(',')[-1]},w", "y", {})]
    case = Case(name, nodes, xs, constants)
    shape = evaluator(case.graph(case.forward()[:1], [outputs.split(",")[-1]])).run(None, xs)[0].shape
    case.constants = {**(constants or {}), "w": random.uniform(0.5, 2, shape)}
    return case


def unary_cases():
    for op in "Abs Asinh Atan Cos Cosh Elu Erf Exp HardSwish Identity LeakyRelu Mish Neg Reciprocal Relu Selu Sigmoid Sin Sinh " \
              "Softplus Softsign Sqrt Tan Tanh Ceil Floor Round Sign HardSigmoid ThresholdedRelu Celu Log Softmax LogSoftmax " \
              "Flatten GlobalAveragePool".split():
        x = positive(2, 3, 4) if op in ("Sqrt", "Log") else real(2, 3, 4) * (0.6 if op == "Round" else 1)
        yield weighted(op.lower(), op, {"x": x})
    for op, x in (("Acos", real(5) / 2), ("Asin", real(5) / 2), ("Atanh", real(5) / 2), ("Acosh", positive(5) + 1)):
        yield weighted(op.lower(), op, {"x": x})
    yield weighted("global_max_pool", "GlobalMaxPool", {"x": real(2, 3, 2, 2)})
    yield weighted("elu_alpha", "Elu", {"x": real(6)}, alpha=0.3)
    yield weighted("celu_alpha", "Celu", {"x": real(6)}, alpha=0.3)
    yield weighted("selu_attributes", "Selu", {"x": real(6)}, alpha=0.7, gamma=2.0)
    yield weighted("hard_sigmoid_alpha", "HardSigmoid", {"x": real(6)}, alpha=0.9, beta=0.4)
    yield weighted("gelu", "Gelu", {"x": real(6)})
    yield weighted("gelu_tanh", "Gelu", {"x": real(6)}, approximate="tanh")
    yield weighted("swish_alpha", "Swish", {"x": real(6)}, alpha=0.7)
    yield weighted("softmax_axis", "Softmax", {"x": real(2, 3, 4)}, axis=1)
    yield weighted("log_softmax_axis", "LogSoftmax", {"x": real(2, 3, 4)}, axis=0)
    yield weighted("clip", "Clip", {"x": real(8)}, {"low": np.array(-0.7), "high": np.array(1.1)})
    yield weighted("dropout", "Dropout", {"x": real(6)}, {"ratio": np.array(0.5)})
    yield weighted("cumsum", "CumSum", {"x": real(3, 4)}, {"axis": np.array(1)})
    yield weighted("cumsum_exclusive", "CumSum", {"x": real(3, 4)}, {"axis": np.array(0)}, exclusive=1, reverse=1)


def binary_cases():
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"):
        yield weighted(op.lower(), op, {"x": real(2, 3), "z": real(2, 3) * 1.1})
        yield weighted(f"{op.lower()}_broadcast", op, {"x": real(3, 1), "z": real(2, 1, 4) * 1.1})
    for op in ("Max", "Sum", "Mean"):
        yield weighted(f"{op.lower()}_three", op, {"x": real(3), "z": real(2, 3) * 1.1, "u": real(1) * 1.3})
    yield weighted("pow", "Pow", {"x": positive(2, 3), "z": real(3)})
    yield weighted("pow_integer", "Pow", {"x": real(5)}, {"e": ints(3)})
    yield weighted("mod", "Mod", {"x": real(2, 3) * 3.3, "z": real(3)}, fmod=1)
    yield weighted("prelu", "PRelu", {"x": real(2, 3), "z": real(3)})
    yield weighted("expand", "Expand", {"x": real(3, 1)}, {"s": ints(2, 3, 4)})
    nodes = [("Greater", "x,z", "c", {}), ("Where", "c,x,z", "t", {}), ("Mul", "t,x", "y", {})]
    yield Case("where", nodes, {"x": real(2, 3), "z": real(3) * 1.1})
    nodes = [("Mul", "x,x", "s", {}), ("Exp", "s", "e", {}), ("Add", "e,s", "t", {}), ("Cast", "t", "y", {"to": 11})]
    yield Case("used_twice", nodes, {"x": real(3)})


def product_cases():
    shapes = {"": ((2, 3), (3, 4)), "_stacks": ((2, 1, 2, 3), (5, 3, 4)), "_vector_left": ((3,), (2, 3, 4)),
              "_vector_right": ((2, 2, 3), (3,)), "_vectors": ((3,), (3,)), "_matrix_stack": ((2, 3), (2, 3, 2))}
    for name, (a, b) in shapes.items():
        yield weighted(f"matmul{name}", "MatMul", {"x": real(*a), "z": real(*b)})
    for a_turned in (0, 1):
        for b_turned in (0, 1):
            a, b = real(2, 3), real(3, 4)
            xs = {"x": a.T if a_turned else a, "z": b.T if b_turned else b, "u": real(4)}
            yield weighted(f"gemm_{a_turned}{b_turned}", "Gemm", xs, alpha=0.5, beta=1.5, transA=a_turned, transB=b_turned)
    for name, equation, shapes in (("ij,jk->ki", None, ((2, 3), (3, 4))), ("bij, bj -> bi", "batch", ((2, 3, 4), (2, 4))),
                                   ("...ij,...jk->...ik", "dots", ((2, 1, 2, 3), (3, 3, 2))), ("ij->ji", "one", ((2, 3),)),
                                   ("i,j,k->kij", "three", ((2,), (3,), (2,))), ("ij->", "all", ((2, 3),)),
                                   ("ij,kl->jl", "lonely", ((2, 3), (2, 4))), ("...ji,ik", "implicit", ((2, 2, 3), (3, 2)))):
        xs = dict(zip("xzu", (real(*s) for s in shapes)))
        yield weighted(f"einsum_{equation or 'matrix'}", "Einsum", xs, equation=name)


def window_cases():
    for name, image, weights, attributes in (
            ("plain", (2, 2, 5), (3, 2, 3), {}),
            ("strides", (1, 2, 6, 7), (2, 2, 3, 2), {"strides": [2, 3], "pads": [1, 0, 0, 1]}),
            ("dilations", (2, 1, 7, 6), (2, 1, 2, 3), {"dilations": [3, 2], "pads": [1, 2, 0, 1], "strides": [2, 1]}),
            ("groups", (2, 4, 5), (6, 2, 3), {"group": 2, "pads": [1, 1]}),
            ("depthwise", (1, 3, 5, 5), (3, 1, 3, 3), {"group": 3, "strides": [2, 2]}),
            ("same_upper", (1, 2, 6), (2, 2, 4), {"auto_pad": "SAME_UPPER", "strides": [2]}),
            ("same_lower", (1, 2, 6), (2, 2, 4), {"auto_pad": "SAME_LOWER", "strides": [2]})):
        xs = {"x": real(*image), "z": real(*weights), "u": real(weights[0])}
        yield weighted(f"conv_{name}", "Conv", xs, **attributes)
    for name, image, weights, attributes in (
            ("plain", (2, 2, 4, 2), (2, 3, 3, 1), {}),
            ("strides", (1, 2, 3, 4), (2, 2, 3, 2), {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}),
            ("dilations", (1, 2, 4, 3), (2, 1, 2, 2), {"dilations": [2, 1]})):
        xs = {"x": real(*image), "z": real(*weights)}
        yield weighted(f"conv_transpose_{name}", "ConvTranspose", xs, **attributes)
    for name, image, attributes in (("plain", (2, 3, 6), {"kernel_shape": [2]}),
                                    ("overlapping", (1, 2, 5, 6), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]})):
        yield weighted(f"max_pool_{name}", "MaxPool", {"x": real(*image)}, **attributes)
        yield weighted(f"average_pool_{name}", "AveragePool", {"x": real(*image)}, **attributes)
        yield weighted(f"average_pool_{name}_with_pads", "AveragePool", {"x": real(*image)}, count_include_pad=1, **attributes)


    yield weighted("average_pool_ceil", "AveragePool", {"x": real(1, 2, 5, 6)}, kernel_shape=[3, 2], strides=[2, 3], ceil_mode=1)
    yield weighted("average_pool_ceil_pads", "AveragePool", {"x": real(1, 2, 6)}, kernel_shape=[3], strides=[3], pads=[1, 0], ceil_mode=1)
    yield weighted("average_pool_ceil_with_pads", "AveragePool", {"x": real(1, 2, 6)}, kernel_shape=[3], strides=[3], pads=[1, 0], ceil_mode=1, count_include_pad=1)


def norm_cases():
    names = {"m": real(3), "v": positive(3)}
    nodes = [("BatchNormalization", "x,z,u,m,v", "t,p,q", {"training_mode": 1, "epsilon": 0.01, "momentum": 0.7}), ("Mul", "t,w", "y", {})]
    yield Case("batch_norm_training", nodes, {"x": real(2, 3, 4), "z": real(3), "u": real(3)}, {**names, "w": random.uniform(0.5, 2, (2, 3, 4))})
    nodes = [*nodes[:1], ("Add", "p,q", "r", {}), ("Mul", "r,n", "y", {})]
    yield Case("batch_norm_training_statistics", nodes, {"x": real(2, 3, 4)}, {**names, "z": real(3), "u": real(3), "n": random.uniform(0.5, 2, 3)})
    xs = {"x": real(2, 4, 3, 2), "z": real(4), "u": real(4)}
    yield weighted("group_norm", "GroupNormalization", xs, num_groups=2, epsilon=0.01)
    yield weighted("instance_norm", "InstanceNormalization", xs, epsilon=0.01)
    yield weighted("mean_variance_norm", "MeanVarianceNormalization", {"x": real(2, 3, 2, 2)})
    yield weighted("mean_variance_norm_axes", "MeanVarianceNormalization", {"x": real(2, 3, 4)}, axes=[-1, 0])
    yield weighted("lp_norm_1", "LpNormalization", {"x": real(2, 3)}, p=1, axis=0)
    yield weighted("lp_norm_2", "LpNormalization", {"x": real(2, 3)})
    for size in (3, 4):
        yield weighted(f"lrn_{size}", "LRN", {"x": real(1, 6, 2)}, size=size, alpha=0.3, beta=0.6, bias=1.2)
    yield weighted("dropout_training", "Dropout", {"x": real(6)}, {"ratio": np.array(0.0), "training": np.array(True)})
    yield weighted("batch_norm", "BatchNormalization", {"x": real(2, 3, 4), "z": real(3), "u": real(3)},
                   {"m": real(3), "v": positive(3)}, epsilon=0.01)
    for axis in (-1, 1, -2):
        shape = (2, 3, 4)[axis:]
        yield weighted(f"layer_norm_{axis % 3}{'n' if axis < 0 else ''}", "LayerNormalization",
                       {"x": real(2, 3, 4), "z": real(*shape), "u": real(*shape)}, axis=axis)
    yield weighted("layer_norm_no_bias", "LayerNormalization", {"x": real(3, 4), "z": real(4)}, epsilon=0.1)
    yield weighted("rms_norm", "RMSNormalization", {"x": real(3, 4), "z": real(4)}, epsilon=0.1)


def reduction_cases():
    for kind in ("Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSumExp"):
        for name, axes, attributes in (("all", None, {}), ("axes", ints(0, 2), {"keepdims": 0}), ("kept", ints(-2), {})):
            yield weighted(f"reduce_{kind.lower()}_{name}", f"Reduce{kind}", {"x": real(2, 3, 4)},
                           {} if axes is None else {"axes": axes}, **attributes)
    yield weighted("reduce_log_sum", "ReduceLogSum", {"x": positive(2, 3)}, {"axes": ints(1)})


def moving_cases():
    for name, op, shape, constants, attributes in (
            ("reshape", "Reshape", (2, 6), {"s": ints(3, -1)}, {}),
            ("transpose", "Transpose", (2, 3, 4), {}, {"perm": [2, 0, 1]}),
            ("transpose_all", "Transpose", (2, 3, 4), {}, {}),
            ("squeeze", "Squeeze", (2, 1, 3), {"a": ints(1)}, {}),
            ("unsqueeze", "Unsqueeze", (2, 3), {"a": ints(0, 2)}, {}),
            ("slice", "Slice", (4, 5), {"b": ints(3, 1), "e": ints(0, 5), "a": ints(0, 1), "s": ints(-1, 2)}, {}),
            ("gather", "Gather", (4, 3), {"i": np.array([[0, 3], [3, -1]])}, {}),
            ("gather_axis", "Gather", (2, 4), {"i": ints(2, 2)}, {"axis": 1}),
            ("gather_elements", "GatherElements", (3, 2), {"i": np.array([[0, 2], [2, 2]])}, {}),
            ("gather_nd", "GatherND", (3, 2), {"i": np.array([[0, 1], [0, 1], [2, 0]])}, {}),
            ("tile", "Tile", (2, 3), {"r": ints(2, 3)}, {}),
            ("trilu", "Trilu", (3, 4), {}, {"upper": 0}),
            ("pad", "Pad", (2, 3), {"p": ints(1, 0, 2, 3)}, {}),
            ("pad_value", "Pad", (2, 3), {"p": ints(1, 0, 2, 1), "v": np.array(3.0)}, {}),
            ("pad_reflect", "Pad", (3, 4), {"p": ints(2, 1, 1, 2)}, {"mode": "reflect"}),
            ("resize_nearest", "Resize", (1, 2, 3, 2), {"": None, "s": np.array([1, 1, 2, 1.5], np.float32)}, {}),
            ("resize_nearest_sizes", "Resize", (1, 1, 4, 5), {"": None, "-": None, "s": ints(1, 1, 2, 3)}, {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}),
            ("compress", "Compress", (3, 4), {"c": np.array([True, False, True])}, {"axis": 0}),
            ("max_unpool", "MaxUnpool", (1, 1, 2, 2), {"i": np.array([[[[5, 7], [13, 15]]]])}, {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("resize_linear", "Resize", (1, 2, 3, 4), {"": None, "s": np.array([1, 1, 2, 0.7], np.float32)}, {"mode": "linear"}),
            ("resize_linear_corners", "Resize", (2, 4), {"": None, "-": None, "s": ints(3, 7)}, {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
            ("resize_antialias", "Resize", (1, 6, 5), {"": None, "s": np.array([0.5, 0.6], np.float32)}, {"mode": "linear", "antialias": 1, "axes": [1, 2]}),
            ("resize_cubic", "Resize", (1, 1, 4, 5), {"": None, "-": None, "s": ints(6, 9)}, {"mode": "cubic", "axes": [2, 3], "cubic_coeff_a": -0.5, "exclude_outside": 1}),
            ("resize_cubic_pytorch", "Resize", (3, 4), {"": None, "s": np.array([2.5, 1], np.float32)}, {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel"}),
            ("resize_crop", "Resize", (3, 5), {"r": np.array([0, 0.2, 0.8, 1.3]), "-": None, "s": ints(4, 6)}, {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 2.5}),
            ("shrink", "Shrink", (2, 3), {}, {"lambd": 0.6, "bias": 0.3}),
            ("center_crop_pad", "CenterCropPad", (4, 5), {"s": ints(2, 8)}, {}),
            ("depth_to_space", "DepthToSpace", (1, 8, 2, 1), {}, {"blocksize": 2}),
            ("space_to_depth", "SpaceToDepth", (1, 2, 2, 4), {}, {"blocksize": 2})):
        yield weighted(name, op, {"x": real(*shape)}, constants, **attributes)
    yield weighted("concat", "Concat", {"x": real(2, 3), "z": real(2, 1), "u": real(2, 2)}, axis=-1)
    yield weighted("split_last", "Split", {"x": real(2, 7)}, {"s": ints(2, 4, 1)}, outputs="a,b,t", axis=1)
    nodes = [("Split", "x", "a,b", {"axis": 0, "num_outputs": 2}), ("Mul", "a,b", "y", {})]
    yield Case("split_both", nodes, {"x": real(4, 3)})
    yield weighted("scatter_elements", "ScatterElements", {"x": real(4)}, {"i": ints(2, 0), "v": real(2)})
    nodes = [("ScatterElements", "x,i,z", "t", {"reduction": "add"}), ("Mul", "t,t", "y", {})]
    yield Case("scatter_add", nodes, {"x": real(4), "z": real(2)}, {"i": ints(2, 0)})
    yield weighted("scatter_nd", "ScatterND", {"x": real(3, 2)}, {"i": ints(2, 0).reshape(2, 1), "v": real(2, 2)})
    nodes = [("ScatterND", "x,i,z", "t", {}), ("Mul", "t,t", "y", {})]
    yield Case("scatter_nd_updates", nodes, {"x": real(3, 2), "z": real(2)}, {"i": np.array([[2, 0], [0, 1]])})
    nodes = [("TopK", "x,k", "t,i", {}), ("Mul", "t,t", "y", {})]
    yield Case("top_k", nodes, {"x": real(2, 4)}, {"k": ints(2)})


def loss_cases():
    for op in ("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"):
        short = "cross_entropy" if op.startswith("S") else "likelihood"
        for reduction in ("none", "sum", "mean"):
            yield weighted(f"{short}_{reduction}", op, {"x": real(3, 4)}, {"l": ints(1, 3, 0)}, reduction=reduction)
            yield weighted(f"{short}_{reduction}_weights", op, {"x": real(2, 3, 2)},
                           {"l": np.array([[0, 2], [2, 1]]), "v": positive(3)}, reduction=reduction, ignore_index=2)


def network_cases():
    nodes = [("Conv", "x,k", "a", {"pads": [1, 1, 1, 1]}), ("Relu", "a", "b", {}), ("MaxPool", "b", "c", {"kernel_shape": [2, 2], "strides": [2, 2]}),
             ("Flatten", "c", "d", {}), ("Gemm", "d,m,n", "e", {}), ("SoftmaxCrossEntropyLoss", "e,l", "y", {})]
    yield Case("network", nodes, {"k": real(2, 1, 3, 3), "m": real(8, 3), "n": real(3)}, {"x": real(2, 1, 4, 4), "l": ints(2, 0)})
    nodes = [("MatMul", "x,q", "a", {}), ("Transpose", "a", "b", {"perm": [0, 2, 1]}), ("MatMul", "a,b", "c", {}),
             ("Softmax", "c", "d", {}), ("MatMul", "d,x", "e", {}), ("Add", "e,x", "f", {}),
             ("LayerNormalization", "f,s", "g", {}), ("Mul", "g,v", "y", {})]
    yield Case("attention", nodes, {"q": real(4, 4), "s": real(4)}, {"x": real(2, 3, 4), "v": real(2, 3, 4)})


def attention_cases():
    four = {"x": real(1, 2, 3, 2), "z": real(1, 2, 4, 2), "u": real(1, 2, 4, 3)}
    three = {"x": real(2, 3, 8), "z": real(2, 3, 4), "u": real(2, 3, 6)}
    grouped = {"q_num_heads": 4, "kv_num_heads": 2}
    yield weighted("attention_heads", "Attention", four)
    yield weighted("attention_scale", "Attention", four, scale=0.3, softcap=0.5)
    yield weighted("attention_grouped", "Attention", three, is_causal=1, **grouped)
    yield weighted("attention_mask", "Attention", three, {"m": real(3, 3)}, **grouped)
    yield weighted("attention_bool_mask", "Attention", four, {"m": np.array([[1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]], bool)})
    yield weighted("attention_learnt_mask", "Attention", {**four, "m": real(3, 4)})


class Recurrent(OpRun):
    """onnx.reference's own knows one direction and few outputs."""
    def cell(self, x, h, c, w, r, b, p, functions, resets_after):
        size, gates = r.shape[1], len(w) // r.shape[1]
        i, s = x @ w.T + b[:len(w)], h @ r.T + b[len(w):]
        cut = lambda v, k: v[..., k * size:(k + 1) * size]
        if gates == 1:
            return functions[0](i + s), c
        if gates == 3:
            f, g = functions
            update, reset = f(cut(i + s, 0)), f(cut(i + s, 1))
            inner = reset * cut(s, 2) if resets_after else (reset * h) @ cut(r.T, 2) + cut(b[len(w):], 2)
            new = g(cut(i, 2) + inner)
            return (1 - update) * new + update * h, c
        f, g, last = functions
        c, before = f(cut(i + s, 2) + cut(p, 2) * c) * c + f(cut(i + s, 0) + cut(p, 0) * c) * g(cut(i + s, 3)), c
        return f(cut(i + s, 1) + cut(p, 1) * c) * last(c), c

    def _run(self, x, w, r, b=None, lengths=None, h=None, c=None, p=None, direction="forward", activations=None, linear_before_reset=0, **_):
        known = {"Sigmoid": lambda v: 1 / (1 + np.exp(-v)), "Tanh": np.tanh, "Relu": lambda v: np.maximum(v, 0), "Softsign": lambda v: v / (1 + abs(v))}
        each = {1: ["Tanh"], 3: ["Sigmoid", "Tanh"], 4: ["Sigmoid", "Tanh", "Tanh"]}[w.shape[1] // r.shape[2]]
        functions = [known[f] for f in activations or each * len(w)]
        ys, ends = [], []
        for d in range(len(w)):
            state = [np.zeros((x.shape[1], r.shape[2])) if v is None else v[d] for v in (h, c)]
            seen = []
            for step in (x[::-1] if d == 1 or direction == "reverse" else x):
                state = self.cell(step, *state, w[d], r[d], np.zeros(2 * len(w[d])) if b is None else b[d], np.zeros(3 * r.shape[2]) if p is None else p[d],
                                  functions[d * len(each):(d + 1) * len(each)], linear_before_reset)
                seen.append(state[0])
            ys.append(np.stack(seen[::-1] if d == 1 or direction == "reverse" else seen))
            ends.append(state)
        return tuple([np.stack(ys, 1), np.stack([e[0] for e in ends]), np.stack([e[1] for e in ends])][:3 if len(each) == 3 else 2])


LSTM, GRU, RNN = (type(name, (Recurrent,), {}) for name in ("LSTM", "GRU", "RNN"))


def recurrent_cases():
    for name, op, gates, directions, extra, attributes in (
            ("plain", "LSTM", 4, 1, "", {}), ("all", "LSTM", 4, 2, "bhcp", {"direction": "bidirectional", "activations": ["Sigmoid", "Softsign", "Tanh", "Sigmoid", "Tanh", "Softsign"]}),
            ("plain", "GRU", 3, 1, "b", {"direction": "reverse"}), ("after", "GRU", 3, 2, "bh", {"direction": "bidirectional", "linear_before_reset": 1}),
            ("plain", "RNN", 1, 1, "h", {}), ("both", "RNN", 1, 2, "b", {"direction": "bidirectional", "activations": ["Softsign", "Tanh"]})):
        size = 2
        inputs = {"x": real(3, 2, 3), "w": real(directions, gates * size, 3), "r": real(directions, gates * size, size)}
        for letter, shape in (("b", (2 * gates * size,)), ("-", None), ("h", (2, size)), ("c", (2, size)), ("p", (3 * size,))):
            if letter in extra:
                inputs[letter] = real(directions, *shape)
        places = ["x", "w", "r", *(n if n in inputs else "" for n in ("b", "-", "h", "c", "p"))]
        nodes = [(op, ",".join(places).rstrip(","), "t,o" + (",q" if op == "LSTM" else ""), {"hidden_size": size, **attributes}), ("Mul", "t,u", "y1", {}), ("Add", "y1,o", "y2", {}),
                 ("Mul", f"y2,{'q' if op == 'LSTM' else 'o'}", "y", {})]
        yield Case(f"{op.lower()}_{name}", nodes, inputs, {"u": random.uniform(0.5, 2, (3, directions, 2, size))})


def subgraph(nodes, inputs, outputs):
    """inputs: "name", a variable, or "name:type"."""
    info = [helper.make_tensor_value_info(n, int(t or TensorProto.DOUBLE), None) for n, _, t in (i.partition(":") for i in inputs)]
    return helper.make_graph([helper.make_node(op, i.split(","), o.split(","), **a) for op, i, o, a in nodes], "inner", info,
                             [helper.make_empty_tensor_value_info(o) for o in outputs])


def flow_cases():
    """If, Loop and Scan; their subgraphs' outputs need not be all there is to derive, nor what they read all variables."""
    squared, others = subgraph([("Mul", "m,m", "t", {}), ("Identity", "x", "t2", {})], [], ["t", "t2"]), subgraph([("Neg", "z", "e", {}), ("Add", "x,z", "e2", {})], [], ["e", "e2"])
    for name, sign in (("then", 1), ("else", -1)):
        nodes = [("Mul", "x,z", "m", {}), ("ReduceSum", "x", "s", {"keepdims": 0}), ("Greater", "s,zero", "c", {}), ("If", "c", "a,b", {"then_branch": squared, "else_branch": others}), ("Mul", "a,b", "y", {})]
        yield Case(f"if_{name}", nodes, {"x": sign * positive(3), "z": real(3)}, {"zero": np.array(0.0)})
    body = subgraph([("Identity", "go", "on", {}), ("Mul", "w,s", "m", {}), ("Add", "m,x", "a", {}), ("Tanh", "a", "next", {}), ("Mul", "next,s", "each", {})], ["i:7", "go:9", "s"], ["on", "next", "each"])
    nodes = [("Loop", "M,go0,s0", "f,ys", {"body": body}), ("ReduceSum", "ys", "r", {"keepdims": 0}), ("Mul", "f,r", "y", {})]
    yield Case("loop", nodes, {"s0": real(2, 3), "w": real(3), "x": real(2, 3)}, {"M": np.array(3), "go0": np.array(True)})
    yield Case("loop_constant_start", [("Loop", "M,go0,s0", "y", {"body": body})], {"w": real(3), "x": real(2, 3)}, {"M": np.array(3), "go0": np.array(True), "s0": np.ones((2, 3))})
    body = subgraph([("Gather", "x,i", "xi", {}), ("Mul", "s,xi", "next", {}), ("ReduceSum", "next", "sum", {"keepdims": 0}), ("Abs", "sum", "size", {}), ("Less", "size,limit", "on", {}), ("Cast", "i", "f", {"to": 11}),
                     ("Mul", "xi,f", "each", {}), ("Add", "n,one", "more", {})], ["i:7", "go:9", "s", "n:7"], ["on", "next", "more", "each"])
    nodes = [("Loop", "M,go0,s0,n0", "f,n,ys", {"body": body}), ("ReduceSum", "ys", "r", {"keepdims": 0}), ("Mul", "f,r", "y", {})]
    yield Case("loop_while", nodes, {"s0": positive(2), "x": positive(6, 2) + 0.6}, {"M": np.array(6), "go0": np.array(True), "limit": np.array(8.0), "n0": np.array(0), "one": np.array(1)})
    body = subgraph([("Mul", "s,w", "m", {}), ("Add", "m,e", "next", {}), ("Sin", "next", "each", {})], ["s", "e"], ["next", "each"])
    for axis, way in ((1, 0), (2, 1)):
        nodes = [("Scan", "s0,x", "f,ys", {"body": body, "num_scan_inputs": 1, "scan_input_axes": [axis], "scan_input_directions": [way], "scan_output_axes": [1], "scan_output_directions": [1 - way]}),
                 ("ReduceSum", "f", "r", {"keepdims": 0}), ("Mul", "ys,r", "y", {})]
        yield Case(f"scan_{axis}", nodes, {"s0": real(*np.delete((2, 4, 3), axis)), "x": real(2, 4, 3), "w": real(1)})
    inner = subgraph([("Mul", "s2,e", "t2", {}), ("Add", "t2,w", "next2", {})], ["s2", "e"], ["next2"])
    turn = {"then_branch": subgraph([("Scan", "s,x", "q", {"body": inner, "num_scan_inputs": 1})], [], ["q"]), "else_branch": subgraph([("Sin", "s", "q2", {})], [], ["q2"])}
    body = subgraph([("Identity", "go", "on", {}), ("Greater", "i,zero", "c", {}), ("If", "c", "next", turn)], ["i:7", "go:9", "s"], ["on", "next"])
    yield Case("loop_nested", [("Loop", "M,go0,s0", "y", {"body": body})], {"s0": real(3), "x": real(2, 3), "w": real(3)}, {"M": np.array(3), "go0": np.array(True), "zero": np.array(0)})


def main():
    folder = pathlib.Path(sys.argv[1]) / "gradient"
    for cases in (unary_cases, binary_cases, product_cases, window_cases, norm_cases, reduction_cases, moving_cases, loss_cases,
                  network_cases, attention_cases, recurrent_cases, flow_cases):
        for case in cases():
            case.write(folder)


if __name__ == "__main__":
    main()
