"""native.py MODEL SPEC: times MODEL in native ONNX Runtime as node.mjs does in JavaScript, and prints one line of JSON. SPEC
is the same."""
import json
import statistics
import sys
import time

import numpy
import onnxruntime


def fill(index, spec):
    name, dtype, shape = spec["name"], spec["dtype"], spec["shape"]
    random = numpy.random.default_rng(index + 1)
    if dtype == "int64":
        if "mask" in name:
            return numpy.ones(shape, dtype)
        if "position" in name or "type" in name:
            return numpy.zeros(shape, dtype)
        return random.integers(0, spec.get("below", 1000), shape, dtype)
    if "below" in spec:
        return random.integers(0, spec["below"], shape).astype(dtype)
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype in ("uint8", "int8"):
        return random.integers(0, 256, shape).astype(dtype)
    if "above" in spec:
        return (spec["above"] + random.random(shape)).astype(dtype)
    return (2 * random.random(shape) - 1).astype(dtype)


def round_of(session, feeds, seconds):
    begin = time.perf_counter()
    runs = 0
    while runs == 0 or time.perf_counter() - begin < seconds:
        session.run(None, feeds)
        runs += 1
    return (time.perf_counter() - begin) / runs * 1e3


def main(path, spec):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {one["name"]: fill(i, one) for i, one in enumerate(spec["inputs"])}
    round_of(session, feeds, spec["warm"] / 1e3)
    times = [round_of(session, feeds, spec["ms"] / 1e3) for _ in range(spec["rounds"])]
    print(json.dumps({"time": statistics.median(times)}))


main(sys.argv[1], json.loads(sys.argv[2]))
