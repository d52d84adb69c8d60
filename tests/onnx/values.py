#!/usr/bin/env python3
"""values.py OUT_DIR: writes models that hand values through, in the same layout as generate.py's cases (kind `values`): every
element type as a tensor, scalar and empty, in sequences, optionals, maps and sequences of maps, and as sparse tensors that a
model holds. Needs onnx and numpy."""
import itertools
import json
import pathlib
import sys

import numpy as np
from onnx import (AttributeProto, MapProto, OptionalProto, SequenceProto, SparseTensorProto, TensorProto, helper,
                  numpy_helper)

BITS = {"float32": 32, "uint8": 8, "int8": 8, "uint16": 16, "int16": 16, "int32": 32, "int64": 64, "string": 0, "bool": 8,
        "float16": 16, "double": 64, "uint32": 32, "uint64": 64, "complex64": 64, "complex128": 128, "bfloat16": 16,
        "float8e4m3fn": 8, "float8e4m3fnuz": 8, "float8e5m2": 8, "float8e5m2fnuz": 8, "uint4": 4, "int4": 4, "float4e2m1": 4,
        "float8e8m0": 8, "uint2": 2, "int2": 2, "float6e2m3": 6, "float6e3m2": 6}
ID = {name: number for number, name in enumerate(BITS, 1)}
KEYS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 string".split()
WORDS = ["", "grüß 😀", "a\0b", "日本", "\ufeffx", "plain"]
NUMPY = {"float32": np.float32, "float16": np.float16, "double": np.float64, "complex64": np.complex64,
         "complex128": np.complex128}


def tensor(kind, shape, start=0, name=""):
    """Elements that differ, with the largest and smallest of integers among them."""
    count = int(np.prod(shape))
    proto = TensorProto(name=name, data_type=ID[kind], dims=shape)
    if kind == "string":
        proto.string_data.extend(w.encode() for w in itertools.islice(itertools.cycle(WORDS), start, start + count))
    elif kind == "bool":
        proto.raw_data = bytes((start + i) % 2 for i in range(count))
    elif kind in NUMPY:
        values = (np.arange(count) - 1.5 + start).astype(NUMPY[kind])
        proto.raw_data = (values * NUMPY[kind](1 + 0.5j) if "complex" in kind else values).tobytes()
    elif BITS[kind] < 8:
        bits = "".join(f"{(5 * (start + i) + 1) % 2 ** BITS[kind]:0{BITS[kind]}b}"[::-1] for i in range(count))
        proto.raw_data = bytes(int(bits[k:k + 8][::-1], 2) for k in range(0, len(bits), 8))
    else:
        size = BITS[kind] // 8
        extremes = [b"\xff" * (size - 1) + b"\x7f", b"\0" * (size - 1) + b"\x80", b"\xff" * size]
        patterns = [*(extremes if "int" in kind else []), *(bytes([k]) + b"\1" * (size - 1) for k in range(1, 60))]
        proto.raw_data = b"".join(itertools.islice(itertools.cycle(patterns), start, start + count))
    return proto


def sequence(items):
    return SequenceProto(elem_type=SequenceProto.TENSOR, tensor_values=items)


def optional(value):
    if value is None:
        return OptionalProto(elem_type=OptionalProto.UNDEFINED)
    if isinstance(value, SequenceProto):
        return OptionalProto(elem_type=OptionalProto.SEQUENCE, sequence_value=value)
    return OptionalProto(elem_type=OptionalProto.TENSOR, tensor_value=value)


def entries(keys, kind, start=0):
    proto = MapProto(key_type=ID[keys])
    if keys == "string":
        proto.string_keys.extend(w.encode() for w in WORDS[:3])
    else:
        proto.keys.extend([3, 0, 127] if keys[0] == "u" else [3, -128, 127])
    proto.values.CopyFrom(sequence([tensor(kind, (), start + i) for i in range(3)]))
    return proto


def sparse(kind, name=""):
    """[0, a, 0, 0, b, c] as [2, 3]; and the same dense."""
    values = tensor(kind, (3,), name=name)
    indices = numpy_helper.from_array(np.array([1, 4, 5], np.int64))
    proto = SparseTensorProto(values=values, indices=indices, dims=(2, 3))
    dense = TensorProto(data_type=ID[kind], dims=(2, 3))
    if kind == "string":
        dense.string_data.extend([b"", values.string_data[0], b"", b"", *values.string_data[1:]])
    elif BITS[kind] >= 8:
        size, raw = BITS[kind] // 8, values.raw_data
        zero = b"\0" * size
        dense.raw_data = zero + raw[:size] + 2 * zero + raw[size:]
    else:
        bits = BITS[kind]
        number = int.from_bytes(values.raw_data, "little")
        parts = [(number >> (bits * i)) % 2**bits for i in range(3)]
        whole = sum(p << (bits * place) for p, place in zip(parts, (1, 4, 5)))
        dense.raw_data = whole.to_bytes(-(-6 * bits // 8), "little")
    return proto, dense


def write(folder, name, graph, inputs, outputs):
    data = folder / name / "test_data_set_0"
    data.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)
    (folder / name / "model.onnx").write_bytes(model.SerializeToString())
    (folder / name / "data.json").write_text(json.dumps({"rtol": 0, "atol": 0}))
    for prefix, values in (("input", inputs), ("output", outputs)):
        for k, value in enumerate(values):
            (data / f"{prefix}_{k}.pb").write_bytes(value.SerializeToString())


def through(folder, name, kind, values, node="Identity"):
    """Several values of one type: each is an output as well. Without an operator the outputs are the inputs themselves."""
    ins = [f"x{k}" for k in range(len(values))]
    outs = [f"y{k}" for k in range(len(values))] if node else ins
    nodes = [helper.make_node(node, [i], [o]) for i, o in zip(ins, outs)] if node else []
    graph = helper.make_graph(nodes, "values", [helper.make_value_info(n, kind) for n in ins],
                              [helper.make_value_info(n, kind) for n in outs])
    write(folder, name, graph, values, values)


def cases_of(folder, kind):
    plain = helper.make_tensor_type_proto(ID[kind], None)
    listed = helper.make_sequence_type_proto(plain)
    tensors = [tensor(kind, shape, k) for k, shape in enumerate([(2, 3), (), (0,), (2, 0, 3), (1,)])]
    through(folder, f"{kind}_tensors", plain, tensors)
    through(folder, f"{kind}_sequences", listed, [sequence(tensors), sequence([])])
    through(folder, f"{kind}_optionals", helper.make_optional_type_proto(plain), [optional(v) for v in (tensors[0], tensors[1], None)])
    through(folder, f"{kind}_optional_sequences", helper.make_optional_type_proto(listed),
            [optional(v) for v in (sequence(tensors), sequence([]), None)])
    through(folder, f"{kind}_map_values", helper.make_map_type_proto(ID["int64"], plain), [entries("int64", kind)], None)
    maps = SequenceProto(elem_type=SequenceProto.MAP, map_values=[entries("string", kind), entries("string", kind, 1)])
    through(folder, f"{kind}_maps_in_a_sequence", helper.make_sequence_type_proto(helper.make_map_type_proto(ID["string"], plain)),
            [maps], None)

    output = helper.make_tensor_value_info("y", ID[kind], None)
    held, dense = sparse(kind, "w")
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "values", [], [output], sparse_initializer=[held])
    write(folder, f"{kind}_sparse_initializer", graph, [], [dense])
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.append(AttributeProto(name="sparse_value", type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse(kind)[0]))
    graph = helper.make_graph([constant, helper.make_node("Identity", ["c"], ["y"])], "values", [], [output])
    write(folder, f"{kind}_sparse_constant", graph, [], [dense])


def main():
    folder = pathlib.Path(sys.argv[1]) / "values"
    for kind in BITS:
        cases_of(folder, kind)
    for keys in KEYS:
        kind = helper.make_map_type_proto(ID[keys], helper.make_tensor_type_proto(ID["float32"], None))
        through(folder, f"{keys}_map_keys", kind, [entries(keys, "float32")], None)


if __name__ == "__main__":
    main()
