#!/usr/bin/env python3
"""variants.py OUT_DIR: writes a case for every version of every operator and every type that it is specified for, in the same
layout as generate.py's cases (kind `variants`).

The onnx package has cases for most operators, nearly all of them of the newest version and with floats. Here each of its
single-node cases lends its shapes and attributes to the versions and types that it fits: its inputs are rounded to the type, and
the package's reference evaluator says what must come out, in float where the type is a shorter float. Combinations that the
reference does not know are left out; so are those of `apart`, with the reason. Needs onnx, numpy and ml_dtypes."""
import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper
from onnx.backend.test import loader
from onnx.reference import ReferenceEvaluator

# Operator, version and type (None: any), and why the reference's answer says nothing.
apart = {
    ("AveragePool", 1, None): "the reference counts the padding, which version 1 excludes",
    ("BatchNormalization", 9, None): "the reference normalises as if it were training",
    ("Bernoulli", None, None): "random",
    ("BitCast", 26, None): "a type of another width needs another attribute",
    ("DequantizeLinear", None, "float4e2m1"): "the zero point that is lent is not 0, as it must be for floats",
    **{("GridSample", None, f"{u}int{bits}"): "the reference cuts off at every step" for u in ("", "u") for bits in (8, 16, 32, 64)},
    ("OptionalGetElement", None, "bfloat16"): "the reference's answer is a float",
    ("OptionalGetElement", None, "float16"): "the reference's answer is a float",
    ("TfIdfVectorizer", 9, "string"): "the pool that is lent is of numbers",
}

# Two roundings, relatively; of doubles that of attributes, which are floats.
relative = {"double": 1e-6, "float": 1e-4, "float16": 2e-3, "bfloat16": 1.6e-2}
shorter_floats = ("float16", "bfloat16")


def short(type_str):
    return type_str[7:-1] if type_str.startswith("tensor(") else None


def numpy_type(name):
    return helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(name.upper()))


def type_name(array):
    if array.dtype.kind in "OU":
        return "string"
    return onnx.TensorProto.DataType.Name(helper.np_dtype_to_tensor_dtype(array.dtype)).lower()


def converted(array, name):
    """The same elements as far as the type has them; None where it has nothing of the kind."""
    if type_name(array) == name:
        return array
    if array.dtype.kind in "OUc":
        return None
    if name == "string":
        return np.array([f"{float(x):g}" for x in array.reshape(-1)], dtype=object).reshape(array.shape)
    if name.startswith("uint") or name == "float8e8m0":
        array = abs(array.astype(np.float64))
    return array.astype(np.float32).astype(numpy_type(name)) if name not in ("double", "int64", "uint64") else array.astype(numpy_type(name))


def fits(schema, node):
    """Whether the node may be of that version: its attributes exist, and so many inputs and outputs."""
    known = all(a.name in schema.attributes for a in node.attribute)
    required = all(any(a.name == n for a in node.attribute) for n, d in schema.attributes.items() if d.required)
    present = [bool(n) for n in node.input]
    enough = all(present[i : i + 1] == [True] for i, p in enumerate(schema.inputs) if p.option == defs.OpSchema.FormalParameterOption.Single)
    return known and required and enough and len(node.input) <= schema.max_input and len(node.output) <= schema.max_output and not schema.deprecated


def parameter(parameters, i):
    """Parameter i, of which the last may stand for any number."""
    return parameters[min(i, len(parameters) - 1)]


def build(case, schema, inputs, outputs):
    node = case.model.graph.node[0]
    graph = helper.make_graph(
        [node],
        "variant",
        [helper.make_tensor_value_info(n, onnx.TensorProto.DataType.Value(type_name(a).upper()), a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info(n, onnx.TensorProto.DataType.Value(type_name(a).upper()), a.shape) for n, a in outputs.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(schema.domain, schema.since_version)], ir_version=10)


def is_tensor(a):
    return isinstance(a, np.ndarray) and (a.dtype.kind != "O" or all(isinstance(x, (str, bytes)) for x in a.reshape(-1)))


def are_of(schema, case, inputs, outputs):
    """Whether the outputs have types that the version allows: the reference computes some in others."""
    node = case.model.graph.node[0]
    bound = {parameter(schema.inputs, i).type_str: type_name(inputs[n]) for i, n in enumerate(node.input) if n in inputs}
    parameters = {n: parameter(schema.outputs, i) for i, n in enumerate(node.output)}
    return all(
        type_name(a) == bound.get(parameters[n].type_str, type_name(a)) and f"tensor({type_name(a)})" in parameters[n].types
        for n, a in outputs.items()
    )


def evaluate(case, schema, inputs):
    """The reference's answers, or None where it has none."""
    names = [o.name for o in case.model.graph.output]
    placeholder = {n: np.zeros((), np.float32) for n in names}
    try:
        with np.errstate(all="ignore"):
            answers = ReferenceEvaluator(build(case, schema, inputs, placeholder)).run(None, inputs)
    except Exception:
        return None
    outputs = dict(zip(names, answers))
    return outputs if all(is_tensor(a) for a in answers) and are_of(schema, case, inputs, outputs) else None


def vary(case, schema, name):
    """(inputs, outputs) of the case in that version and type, or None."""
    node = case.model.graph.node[0]
    given = {i.name: a for i, a in zip(case.model.graph.input, case.data_sets[0][0])}
    if not all(isinstance(a, np.ndarray) for a in given.values()):
        return None
    of_type = {n for i, n in enumerate(node.input) if n in given and parameter(schema.inputs, i).type_str == schema.inputs[0].type_str}
    inputs = {n: converted(a, name) if n in of_type else a for n, a in given.items()}
    if any(a is None for a in inputs.values()):
        return None
    for i, n in enumerate(node.input):
        if n in inputs and f"tensor({type_name(inputs[n])})" not in parameter(schema.inputs, i).types:
            return None
    if name not in shorter_floats:
        outputs = evaluate(case, schema, inputs)
        return outputs and (inputs, outputs)
    wide = evaluate(case, schema, {n: a.astype(np.float32) if n in of_type else a for n, a in inputs.items()})
    if wide is None:
        return None
    follows = {n for i, n in enumerate(node.output) if parameter(schema.outputs, i).type_str == schema.inputs[0].type_str}
    return inputs, {n: converted(a, name) if n in follows else a for n, a in wide.items()}


def single_node_cases():
    """The package's cases by operator; random ones have nothing to be compared with."""
    found = {}
    for case in loader.load_model_tests(kind="node"):
        nodes = case.model.graph.node
        if len(nodes) != 1 or case.model.functions or not nodes[0].input or any(a.HasField("g") for a in nodes[0].attribute):
            continue
        found.setdefault((nodes[0].domain, nodes[0].op_type), []).append(case)
    return found


def write(folder, case, schema, name, inputs, outputs):
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    rtol = relative.get(name, 1e-4)
    (folder / "data.json").write_text(json.dumps({"rtol": max(rtol, case.rtol if name == "float" else 0), "atol": rtol / 100}))
    (folder / "model.onnx").write_bytes(build(case, schema, inputs, outputs).SerializeToString())
    for stem, arrays in (("input", inputs), ("output", outputs)):
        for i, (n, a) in enumerate(arrays.items()):
            (data / f"{stem}_{i}.pb").write_bytes(numpy_helper.from_array(a, n).SerializeToString())


def is_apart(schema, name):
    return any(n == schema.name and v in (None, schema.since_version) and t in (None, name) for n, v, t in apart)


def main(out):
    warnings.simplefilter("ignore")
    cases = single_node_cases()
    count = 0
    for schema in defs.get_all_schemas_with_history():
        mine = [c for c in cases.get((schema.domain, schema.name), []) if fits(schema, c.model.graph.node[0])]
        if not mine:
            continue
        for name in sorted(filter(None, map(short, schema.inputs[0].types))):
            if is_apart(schema, name):
                continue
            varied = next(((c, v) for c in mine if (v := vary(c, schema, name))), None)
            if varied:
                write(out / "variants" / f"{schema.name}_{schema.since_version}_{name}", varied[0], schema, name, *varied[1])
                count += 1
    print(f"{count} cases")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
