#!/usr/bin/env python3
"""generate.py OUT_DIR: writes the operator and model tests of the PyPI package onnx as folders.

OUT_DIR/KIND/NAME/ holds model.onnx, test_data_set_K/{input,output}_N.pb and data.json with the tolerances, for the kinds node,
simple, pytorch-converted, pytorch-operator and light. The `light` models come with expected outputs for one made input, which is
made here as the package's own runner makes it. OUT_DIR/index.json lists all cases; it is written last, so that it tells a
complete folder. Needs onnx and numpy."""
import json
import pathlib
import shutil
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader


def encode(value, info):
    """The bytes of one input or output file, in the message that its declared type asks for."""
    kind = info.type.WhichOneof("value")
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    if kind == "map_type":
        return numpy_helper.from_dict(value, info.name).SerializeToString()
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name).SerializeToString()
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name).SerializeToString()
    return numpy_helper.from_array(np.asarray(value), info.name).SerializeToString()


def write_sets(folder, model, data_sets):
    for k, (inputs, outputs) in enumerate(data_sets):
        data = folder / f"test_data_set_{k}"
        data.mkdir(parents=True)
        for stem, values, infos in (("input", inputs, model.graph.input), ("output", outputs, model.graph.output)):
            for j, value in enumerate(values):
                (data / f"{stem}_{j}.pb").write_bytes(encode(value, infos[j]))


def write_case(out, kind, name, rtol, atol):
    folder = out / kind / name
    folder.mkdir(parents=True)
    (folder / "data.json").write_text(json.dumps({"rtol": rtol, "atol": atol}))
    return folder


def write_node_cases(out):
    names = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = loader.load_model_tests(kind="node")
    for case in cases:
        folder = write_case(out, "node", case.name, case.rtol, case.atol)
        (folder / "model.onnx").write_bytes(case.model.SerializeToString())
        write_sets(folder, case.model, case.data_sets)
        names.append(case.name)
    return names


def copy_cases(out, kind, data):
    names = []
    for case in loader.load_model_tests(kind=kind):
        folder = write_case(out, kind, case.name, case.rtol, case.atol)
        for item in pathlib.Path(case.model_dir).iterdir():
            if item.is_dir():
                shutil.copytree(item, folder / item.name)
            elif item.name != "data.json":
                shutil.copy(item, folder)
        names.append(case.name)
    return names


def made_input(info):
    """Rising values in [0, 1): what the package's runner feeds to the light models."""
    shape = [d.dim_value if d.HasField("dim_value") else 1 for d in info.type.tensor_type.shape.dim]
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


def write_light_cases(out, data):
    names = []
    for path in sorted((data / "light").glob("*.onnx")):
        model = onnx.load(path)
        folder = write_case(out, "light", path.stem, 1e-3, 1e-7)
        shutil.copy(path, folder / "model.onnx")
        weights = {t.name for t in model.graph.initializer}
        infos = [i for i in model.graph.input if i.name not in weights]
        sets = folder / "test_data_set_0"
        sets.mkdir()
        for j, info in enumerate(infos):
            (sets / f"input_{j}.pb").write_bytes(encode(made_input(info), info))
        for j in range(len(model.graph.output)):
            shutil.copy(path.with_name(f"{path.stem}_output_{j}.pb"), sets / f"output_{j}.pb")
        names.append(path.stem)
    return names


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    data = pathlib.Path(loader.DATA_DIR)
    index = {"node": write_node_cases(out)}
    for kind in ("simple", "pytorch-converted", "pytorch-operator"):
        index[kind] = copy_cases(out, kind, data)
    index["light"] = write_light_cases(out, data)
    (out / "index.json").write_text(json.dumps({"onnx": onnx.__version__, "cases": index}))
    print(", ".join(f"{kind} {len(names)}" for kind, names in index.items()))


main()
