"""decoder.py FOLDER: a language model whose cache grows, written to FOLDER: GPT-2's sizes, random weights.

Batch and rows are symbols, as in what users export, and sizes of heads are computed in the graph. models.json gets its
inputs and, as `loop`, which results are the next step's feeds. Needs the PyPI packages onnx and numpy."""
import json
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

NAME, LAYERS, HEADS, SIZE, VOCABULARY, POSITIONS, PAST = "gpt2_decode_loop", 12, 12, 64, 50257, 1024, 128
WIDTH = HEADS * SIZE


class Graph:
    def __init__(self):
        self.nodes, self.constants, self.random = [], {}, np.random.default_rng(1)

    def constant(self, name, array):
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(array), name))
        return name

    def integers(self, *values):
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def weights(self, name, *shape):
        return self.constant(name, self.random.standard_normal(shape, np.float32) * np.float32(0.02))

    def add(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x, name, rows, columns):
        return self.add("Add", self.add("MatMul", x, self.weights(f"{name}.w", rows, columns)), self.weights(f"{name}.b", columns))

    def normalise(self, x, name):
        return self.add("LayerNormalization", x, self.constant(f"{name}.g", np.ones(WIDTH, np.float32)), self.weights(f"{name}.b", WIDTH))


def attention(g, x, layer):
    """The keys and values so far, and the new ones, are what the results `present` are."""
    length = g.add("Gather", g.add("Shape", x), g.integers(0, 1))
    cut = g.add("Concat", length, g.integers(HEADS, SIZE), axis=0)
    parts = g.add("Split", g.linear(x, f"{layer}.qkv", WIDTH, 3 * WIDTH), outputs=3, axis=-1, num_outputs=3)
    q, k, v = (g.add("Transpose", g.add("Reshape", part, cut), perm=[0, 2, 1, 3]) for part in parts)
    for kind, rows in (("key", k), ("value", v)):
        g.nodes.append(helper.make_node("Concat", [f"past.{layer}.{kind}", rows], [f"present.{layer}.{kind}"], axis=2))
    scores = g.add("MatMul", q, g.add("Transpose", f"present.{layer}.key", perm=[0, 1, 3, 2]))
    weights = g.add("Softmax", g.add("Mul", scores, g.constant("scale", np.float32(SIZE**-0.5))), axis=-1)
    rows = g.add("Transpose", g.add("MatMul", weights, f"present.{layer}.value"), perm=[0, 2, 1, 3])
    joined = g.add("Reshape", rows, g.add("Concat", length, g.integers(WIDTH), axis=0))
    return g.linear(joined, f"{layer}.out", WIDTH, WIDTH)


def make():
    g = Graph()
    table = g.weights("tokens", VOCABULARY, WIDTH)
    x = g.add("Add", g.add("Gather", table, "input_ids"), g.add("Gather", g.weights("positions", POSITIONS, WIDTH), "position_ids"))
    for layer in range(LAYERS):
        x = g.add("Add", x, attention(g, g.normalise(x, f"{layer}.before"), layer))
        wide = g.add("Gelu", g.linear(g.normalise(x, f"{layer}.between"), f"{layer}.wide", WIDTH, 4 * WIDTH), approximate="tanh")
        x = g.add("Add", x, g.linear(wide, f"{layer}.narrow", 4 * WIDTH, WIDTH))
    g.nodes.append(helper.make_node("MatMul", [g.normalise(x, "last"), g.add("Transpose", table, perm=[1, 0])], ["logits"]))
    cache = [f"{layer}.{kind}" for layer in range(LAYERS) for kind in ("key", "value")]
    value = helper.make_tensor_value_info
    inputs = [value(name, TensorProto.INT64, ["batch", "rows"]) for name in ("input_ids", "position_ids")]
    inputs += [value(f"past.{name}", TensorProto.FLOAT, ["batch", HEADS, "past", SIZE]) for name in cache]
    outputs = [value("logits", TensorProto.FLOAT, ["batch", "rows", VOCABULARY])]
    outputs += [value(f"present.{name}", TensorProto.FLOAT, ["batch", HEADS, "total", SIZE]) for name in cache]
    graph = helper.make_graph(g.nodes, NAME, inputs, outputs, list(g.constants.values()))
    feeds = [{"name": name, "dtype": "int64", "shape": [1, 1]} for name in ("input_ids", "position_ids")]
    feeds += [{"name": f"past.{name}", "dtype": "float32", "shape": [1, HEADS, PAST, SIZE]} for name in cache]
    loop = {f"past.{name}": f"present.{name}" for name in cache}
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), {"inputs": feeds, "loop": loop}


def main():
    folder = pathlib.Path(sys.argv[1])
    listing = folder / "models.json"
    models = json.loads(listing.read_text()) if listing.exists() else {}
    model, models[NAME] = make()
    (folder / f"{NAME}.onnx").write_bytes(model.SerializeToString())
    listing.write_text(json.dumps(models, indent=1))


if __name__ == "__main__":
    main()
