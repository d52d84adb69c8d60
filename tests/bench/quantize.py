"""quantize.py FOLDER: 4-bit variants of the full-size models in FOLDER, written beside them.

Products with constant weights become com.microsoft MatMulNBits in blocks of 32 along a column, as onnxruntime's tools write
them: without accuracy_level, symmetric or with zero points; one variant asks for level 4. A Gemm becomes a product and a
sum. models.json gets the new models' inputs. Needs the PyPI packages onnx and numpy."""
import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

BLOCK = 32

# name: the model it is made of, with zero points, accuracy_level (None: left out)
VARIANTS = {
    "minilm_l6_4bit": ("minilm_l6", False, None),
    "minilm_l6_4bit_zeros": ("minilm_l6", True, None),
    "minilm_l6_4bit_level4": ("minilm_l6", False, 4),
    "whisper_tiny_decoder_step_4bit": ("whisper_tiny_decoder_step", True, None),
    "gpt2_decode_step_4bit": ("gpt2_decode_step", False, None),
    "gpt2_decode_loop_4bit": ("gpt2_decode_loop", False, None),
}


def pack(nibbles):
    """The first of two numbers in the low half of a byte; an odd row ends with a half that is zero."""
    if nibbles.shape[-1] % 2:
        nibbles = np.concatenate([nibbles, np.zeros_like(nibbles[..., :1])], axis=-1)
    return nibbles[..., 0::2] | nibbles[..., 1::2] << 4


def quantize(weights, with_zeros):
    """[k, n] floats: packed blocks [n, blocks, 16], scales [n, blocks], packed zero points or None."""
    k, n = weights.shape
    blocks = -(-k // BLOCK)
    columns = np.zeros((n, blocks * BLOCK), np.float32)
    columns[:, :k] = weights.T
    columns = columns.reshape(n, blocks, BLOCK)
    if with_zeros:
        least = np.minimum(columns.min(axis=2), 0)
        greatest = np.maximum(columns.max(axis=2), 0)
        scales = np.where(greatest > least, (greatest - least) / 15, 1).astype(np.float32)
        zeros = np.clip(np.rint(-least / scales), 0, 15)
    else:
        largest = np.abs(columns).max(axis=2)
        scales = np.where(largest > 0, largest / 7, 1).astype(np.float32)
        zeros = np.full(scales.shape, 8)
    steps = np.clip(np.rint(columns / scales[..., None]) + zeros[..., None], 0, 15).astype(np.uint8)
    return pack(steps), scales, pack(zeros.astype(np.uint8)) if with_zeros else None


class Weights:
    """The constants of a graph, and which of them are read through a Transpose."""

    def __init__(self, graph):
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.turned = {}
        for node in graph.node:
            if node.op_type == "Transpose" and node.input[0] in self.constants:
                if len(self.constants[node.input[0]].dims) == 2:
                    self.turned[node.output[0]] = node.input[0]

    def find(self, name):
        if name in self.constants and len(self.constants[name].dims) == 2:
            return numpy_helper.to_array(self.constants[name])
        return numpy_helper.to_array(self.constants[self.turned[name]]).T if name in self.turned else None


def small_product(node, weights, with_zeros, level):
    """The nodes and constants that stand for a product."""
    plain = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if plain.get("alpha", 1) != 1 or plain.get("beta", 1) != 1 or plain.get("transA", 0):
        raise ValueError(f"{node.name}: no such Gemm is expected")
    matrix = weights.T if plain.get("transB", 0) else weights
    blocks, scales, zeros = quantize(matrix, with_zeros)
    constants = [numpy_helper.from_array(blocks, f"{node.output[0]}.blocks"), numpy_helper.from_array(scales, f"{node.output[0]}.scales")]
    if zeros is not None:
        constants.append(numpy_helper.from_array(zeros, f"{node.output[0]}.zeros"))
    has_bias = node.op_type == "Gemm" and len(node.input) > 2
    product = f"{node.output[0]}.product" if has_bias else node.output[0]
    attributes = dict(K=matrix.shape[0], N=matrix.shape[1], bits=4, block_size=BLOCK)
    if level is not None:
        attributes["accuracy_level"] = level
    inputs = [node.input[0]] + [constant.name for constant in constants]
    nodes = [helper.make_node("MatMulNBits", inputs, [product], domain="com.microsoft", **attributes)]
    if has_bias:
        nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]]))
    return nodes, constants


def make(model, with_zeros, level):
    graph = model.graph
    known = Weights(graph)
    nodes, constants = [], []
    for node in graph.node:
        weights = known.find(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
        made, more = small_product(node, weights, with_zeros, level) if weights is not None else ([node], [])
        nodes += made
        constants += more
    read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    nodes = [node for node in nodes if node.op_type != "Transpose" or node.output[0] in read]
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read] + constants
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    if all(entry.domain != "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def main():
    folder = pathlib.Path(sys.argv[1])
    listing = folder / "models.json"
    models = json.loads(listing.read_text())
    for name, (origin, with_zeros, level) in VARIANTS.items():
        if origin in models and (folder / f"{origin}.onnx").exists():
            model = make(onnx.load(folder / f"{origin}.onnx"), with_zeros, level)
            (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
            models[name] = {key: models[origin][key] for key in ("inputs", "loop") if key in models[origin]}
    listing.write_text(json.dumps(models, indent=1))


if __name__ == "__main__":
    main()
