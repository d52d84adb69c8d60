#!/usr/bin/env python3
"""versions.py OUT_DIR: writes a case for each version of an operator that no other case is of, so that each has one, in the same
layout as generate.py's cases (kind `versions`). The expected outputs are computed here with numpy from the specification's words;
random operators get what leaves them no choice. Needs onnx and numpy."""
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper

import upgrade
from upgrade import case, f32

upgrade.cases.clear()
x = f32(2, 3, 4)


def ir_of(opset):
    return 3 if opset < 9 else 8 if opset < 21 else 10


def plain(op, opsets, inputs, outputs, constants=None, **attributes):
    """One node in each of the versions."""
    for opset in opsets:
        case(op, opset, (op, list(inputs | (constants or {})), list(outputs), attributes), inputs, outputs, constants, ir=ir_of(opset))


# ---- one node ------------------------------------------------------------------------------------------------------------------
blocks = f32(1, 8, 2, 3)
plain("Cast", [6], {"x": x * 10}, {"y": (x * 10).astype(np.int64)}, to=TensorProto.INT64)
plain("CastLike", [21], {"x": x * 10, "like": np.zeros(1, np.int32)}, {"y": (x * 10).astype(np.int32)})
plain("DepthToSpace", [1], {"x": blocks}, {"y": blocks.reshape(1, 2, 2, 2, 2, 3).transpose(0, 3, 4, 1, 5, 2).reshape(1, 2, 4, 6)}, blocksize=2)
plain("Dropout", [6], {"x": x}, {"y": x, "mask": np.ones_like(x)}, ratio=0.4, is_test=1)
plain("Erfc", [17], {"x": np.array([0, -np.inf, np.inf], np.float32)}, {"y": np.array([1, 2, 0], np.float32)})
small = np.array([1e-10, -1e-5, 0.75, 3, np.inf], np.float32)
plain("Expm1", [17], {"x": small}, {"y": np.expm1(small.astype(np.float64)).astype(np.float32)})
plain("Log1p", [17], {"x": small}, {"y": np.log1p(small.astype(np.float64)).astype(np.float32)})
a, b, c = f32(3, 2), f32(4, 3), f32(2, 4)
plain("Gemm", [1], {"a": a, "b": b, "c": c}, {"y": 0.5 * a.T @ b.T + 2 * c}, transA=1, transB=1, alpha=0.5, beta=2.0)
plain("GlobalLpPool", [2, 22], {"x": x}, {"y": np.cbrt((abs(x) ** 3).sum(2, keepdims=True))}, p=3)
plain("OneHot", [9], {"i": np.array([1, -1], np.int64), "d": np.array([3], np.int64), "v": np.array([2, 5], np.float32)}, {"y": np.array([[2, 5, 2], [2, 2, 2]], np.float32).T.copy()}, axis=0)
index = np.array([[[2, 0, 1, 1]]], np.int64)
changed = x.copy()
np.put_along_axis(changed[:1], index, 9, 1)
plain("Scatter", [11], {"x": x, "i": index, "u": np.full(index.shape, 9, np.float32)}, {"y": changed}, axis=1)
plain("Upsample", [10], {"x": blocks}, {"y": blocks.repeat(2, 2).repeat(3, 3)}, constants={"s": np.array([1, 1, 2, 3], np.float32)}, mode="nearest")
plain("SimplifiedLayerNormalization", [17], {"x": x, "s": f32(4)}, {"y": x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3)}, epsilon=1e-3)
upgrade.cases[-1][4]["y"] = (upgrade.cases[-1][4]["y"] * upgrade.cases[-1][3]["s"]).astype(np.float32)

# ---- reductions ----------------------------------------------------------------------------------------------------------------
reductions = {
    "L1": ([1, 13], lambda v: abs(v).sum(1, keepdims=True)), "L2": ([1], lambda v: np.sqrt((v * v).sum(1, keepdims=True))),
    "LogSum": ([1, 11, 13], lambda v: np.log(v.sum(1, keepdims=True))), "LogSumExp": ([1], lambda v: np.log(np.exp(v).sum(1, keepdims=True))),
    "SumSquare": ([1, 11, 13], lambda v: (v * v).sum(1, keepdims=True))}
for name, (opsets, function) in reductions.items():
    plain(f"Reduce{name}", opsets, {"x": abs(x)}, {"y": function(abs(x))}, axes=[1])

# ---- windows of images, recurrences ------------------------------------------------------------------------------------------------
image, rois = f32(2, 1, 4, 6), np.array([[1, 0, 0, 5, 3], [0, 2, 2, 3, 3]], np.float32)
whole, corner = image[1, 0].reshape(2, 2, 2, 3).max((1, 3)), image[0, 0, 2:, 2:4]
plain("MaxRoiPool", [1, 22], {"x": image, "r": rois}, {"y": np.stack([whole, corner])[:, None]}, pooled_shape=[2, 2])
means = (image[0, 0, :2, :2] + image[0, 0, 1:3, :2] + image[0, 0, :2, 1:3] + image[0, 0, 1:3, 1:3]) / 4
plain("RoiAlign", [10], {"x": image, "r": np.array([[0, 0, 2, 2]], np.float32), "b": np.zeros(1, np.int64)}, {"y": means[None, None]}, output_height=2, output_width=2, sampling_ratio=1)
steps, w, r = f32(2, 1, 3), f32(1, 2, 3), f32(1, 2, 2)
first = np.tanh(steps[0] @ w[0].T)
both = np.stack([first, np.tanh(steps[1] @ w[0].T + first @ r[0].T)])
plain("RNN", [1], {"x": steps}, {"y": both[:, None], "h": both[1:]}, constants={"w": w, "r": r}, hidden_size=2, output_sequence=1)

# ---- random numbers without a choice -------------------------------------------------------------------------------------------------
certain = np.array([[0, 1, 1, 0]], np.float32)
plain("Bernoulli", [15], {"p": certain}, {"y": certain})
plain("Multinomial", [7, 22], {"x": np.array([[-1e6, 0, -1e6]], np.float32)}, {"y": np.ones((1, 4), np.int64)}, sample_size=4, dtype=TensorProto.INT64)
three = np.full((2, 3), 3, np.float32)
plain("RandomNormal", [1, 22], {}, {"y": three}, shape=[2, 3], mean=3.0, scale=0.0)
plain("RandomUniform", [1, 22], {}, {"y": three.astype(np.float64)}, shape=[2, 3], low=3.0, high=3.0, dtype=TensorProto.DOUBLE)
plain("RandomNormalLike", [1, 22], {"x": f32(2, 3)}, {"y": three}, mean=3.0, scale=0.0)
plain("RandomUniformLike", [1], {"x": f32(2, 3)}, {"y": three}, low=3.0, high=3.0)


# ---- control flow, optionals --------------------------------------------------------------------------------------------------------
def info(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def branch(op):
    return helper.make_graph([helper.make_node(op, ["x"], ["z"])], op, [], [info("z", shape=x.shape)])


for opset in (1, 21, 23, 24, 25):
    yes, flag = opset % 2 == 1, np.array(opset % 2 == 1)
    case("If", opset, ("If", ["c"], ["y"], {"then_branch": branch("Neg"), "else_branch": branch("Abs")}), {"c": flag, "x": x}, {"y": -x if yes else abs(x)}, ir=ir_of(opset))
sums = np.stack([x * 2, x * 4, x * 8])
body = helper.make_graph(
    [helper.make_node("Add", ["s", "s"], ["t"]), helper.make_node("Identity", ["t"], ["o"]), helper.make_node("Identity", ["go"], ["on"])], "body",
    [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("s", shape=x.shape)],
    [info("on", TensorProto.BOOL, []), info("t", shape=x.shape), info("o", shape=x.shape)])
for opset in (1, 21, 23, 24):
    case("Loop", opset, ("Loop", ["n", "go", "x"], ["end", "all"], {"body": body}), {"n": np.array(3, np.int64), "go": np.array(True), "x": x}, {"end": x * 8, "all": sums}, ir=ir_of(opset))
step = helper.make_graph(
    [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Identity", ["t"], ["o"])], "step",
    [info("s", shape=[4]), info("e", shape=[4])], [info("t", shape=[4]), info("o", shape=[4])])
start, rows = f32(4), f32(3, 4)
running = start + np.cumsum(rows, 0)
for opset in (11, 16, 23, 24):
    case("Scan", opset, ("Scan", ["s", "e"], ["end", "all"], {"body": step, "num_scan_inputs": 1, "scan_output_directions": [1]}), {"s": start, "e": rows}, {"end": running[-1], "all": running[::-1].copy()}, ir=ir_of(opset))
case("Optional", 28, [("Optional", ["x"], ["o"], {}), ("OptionalGetElement", ["o"], ["y"], {})], {"x": x}, {"y": x}, ir=11)

# ---- trees of old versions -----------------------------------------------------------------------------------------------------------
ml = "ai.onnx.ml"
tree = {
    "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [1, 0, 0], "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0]}
points = np.array([[9, 0.5], [0, 0.75], [0, -3]], np.float32)
left = points[:, 1] <= 0.5
for opset in (3, 5):
    case("TreeEnsembleClassifier", opset, ("TreeEnsembleClassifier", ["x"], ["label", "scores"], tree | {
        "class_treeids": [0, 0, 0], "class_nodeids": [1, 2, 2], "class_ids": [0, 1, 2], "class_weights": [1.0, 0.75, 0.25],
        "classlabels_int64s": [7, 8, 9]}), {"x": points}, {"label": np.where(left, 7, 8), "scores": np.where(left[:, None], [1, 0, 0], [0, 0.75, 0.25]).astype(np.float32)}, ir=8, domain=ml)
case("TreeEnsembleRegressor", 5, ("TreeEnsembleRegressor", ["x"], ["y"], tree | {
    "target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [2.0, -1.0], "base_values": [0.5],
    "n_targets": 1}), {"x": points}, {"y": np.where(left, 2.5, -0.5).astype(np.float32)[:, None]}, ir=8, domain=ml)

if __name__ == "__main__":
    upgrade.main(pathlib.Path(sys.argv[1]), "versions")
