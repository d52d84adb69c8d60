#!/usr/bin/env python3
"""operators.py: what the coverage table is made of, as JSON on standard output.

Standard input is JSON, case -> folder with a model.onnx. `specified` lists every version of every operator that the PyPI package
onnx specifies: [domain, name, version, deprecated, types of the first typed parameter]. `used` tells, for each case, what its
model uses, subgraphs and local functions included: [domain, name, version of the operator, element type or null]. Needs onnx."""
import json
import pathlib
import sys

import onnx
from onnx import defs, helper

schemas = defs.get_all_schemas_with_history()
versions = {}
for schema in schemas:
    versions.setdefault((schema.domain, schema.name), []).append(schema.since_version)


def short(type_str):
    """'tensor(float)' -> 'float'; other kinds of values are left as they are."""
    return type_str[7:-1] if type_str.startswith("tensor(") else type_str


def first_types(schema):
    """The types that the operator is made for: those of its first input, or output, that may have more than one."""
    parameters = [*schema.inputs, *schema.outputs]
    lists = [sorted(short(t) for t in p.types) for p in parameters]
    return next((types for types in lists if len(types) > 1), lists[0] if lists else [])


def type_name(info):
    kind = info.type.tensor_type.elem_type if info.type.HasField("tensor_type") else 0
    return helper.tensor_dtype_to_string(kind).split(".")[1].lower() if kind else None


def used_by(model):
    """Every operator of a model with the version in force and the type of the first value that it is given or gives."""
    try:
        model = onnx.shape_inference.infer_shapes(model)
    except Exception:  # a model that cannot be inferred tells fewer types
        pass
    found = set()

    def walk(nodes, imports, types):
        for node in nodes:
            domain = "" if node.domain == "ai.onnx" else node.domain
            known = [v for v in versions.get((domain, node.op_type), []) if v <= imports.get(domain, 1)]
            values = [*node.input, *node.output]
            kind = next((types[v] for v in values if types.get(v)), None)
            found.add((domain, node.op_type, max(known, default=1), kind))  # others than ONNX's have one version
            for attribute in node.attribute:
                for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                    walk(graph.node, imports, {**types, **types_in(graph)})

    def types_in(graph):
        infos = {i.name: type_name(i) for i in (*graph.input, *graph.output, *graph.value_info)}
        return infos | {t.name: helper.tensor_dtype_to_string(t.data_type).split(".")[1].lower() for t in graph.initializer if t.data_type}

    def imports_of(message):
        return {"" if i.domain == "ai.onnx" else i.domain: i.version for i in message.opset_import}

    walk(model.graph.node, imports_of(model), types_in(model.graph))
    for function in model.functions:
        walk(function.node, imports_of(function), {})
    return sorted(found, key=str)


cases = json.load(sys.stdin)
print(json.dumps({
    "specified": [[s.domain, s.name, s.since_version, s.deprecated, first_types(s)] for s in schemas],
    "used": {name: used_by(onnx.load(pathlib.Path(folder) / "model.onnx", load_external_data=False)) for name, folder in cases.items()},
}))
