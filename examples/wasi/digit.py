"""A host that embeds weft_reactor.wasm: reads a digit from a picture.

    python digit.py dist/weft_reactor.wasm models/digits/digits.onnx models/digits/sample_7.npy

Needs wasmtime and numpy. The reactor exports the C functions of weft.h as they are: pointers are 32-bit offsets into
the module's memory, statuses are numbers (0: good), and a weft_error is a status followed by its message."""
import sys

import numpy as np
import wasmtime

ERROR_SIZE, MESSAGE = 2048, 4
FLOAT = 1  # as TensorProto.DataType numbers it


class Weft:
    """The module and its memory."""

    def __init__(self, path):
        self.store = wasmtime.Store()
        self.store.set_wasi(wasmtime.WasiConfig())
        linker = wasmtime.Linker(self.store.engine)
        linker.define_wasi()
        module = wasmtime.Module.from_file(self.store.engine, path)
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        self.exports["_initialize"](self.store)
        self.memory = self.exports["memory"]
        self.error = self.call("malloc", ERROR_SIZE)
        self.arguments = []

    def call(self, name, *arguments):
        return self.exports[name](self.store, *arguments)

    def put(self, data):
        """A copy of the bytes in the module's memory, until the next free_arguments."""
        at = self.call("malloc", max(len(data), 1))
        self.memory.write(self.store, data, at)
        self.arguments.append(at)
        return at

    def free_arguments(self):
        while self.arguments:
            self.call("free", self.arguments.pop())

    def put_text(self, text):
        return self.put(text.encode() + b"\0")

    def put_pointers(self, *values):
        return self.put(b"".join(value.to_bytes(4, "little") for value in values))

    def pointer(self, at):
        return int.from_bytes(self.memory.read(self.store, at, at + 4), "little")

    def check(self, status):
        if status != 0:
            text = bytes(self.memory.read(self.store, self.error + MESSAGE, self.error + ERROR_SIZE))
            raise RuntimeError(text.partition(b"\0")[0].decode())

    def load(self, model):
        out = self.put_pointers(0)
        self.check(self.call("weft_session_create_from_bytes", self.put(model), len(model), 0, out, self.error))
        session = self.pointer(out)
        self.free_arguments()
        return session

    def tensor(self, array):
        dims, out = self.put(np.array(array.shape, "<i8").tobytes()), self.put_pointers(0)
        self.check(self.call("weft_value_create_tensor", FLOAT, array.ndim, dims, out, self.error))
        value = self.pointer(out)
        self.memory.write(self.store, array.tobytes(), self.call("weft_value_data", value))
        self.free_arguments()
        return value

    def run(self, session, name, value, output):
        names, values = self.put_pointers(self.put_text(name)), self.put_pointers(value)
        outputs, out = self.put_pointers(self.put_text(output)), self.put_pointers(0)
        self.check(self.call("weft_session_run", session, 1, names, values, 1, outputs, out, self.error))
        found = self.pointer(out)
        data = self.call("weft_value_data", found)
        array = np.frombuffer(self.memory.read(self.store, data, data + self.call("weft_value_bytes", found)), "<f4")
        self.call("weft_value_release", found)
        self.free_arguments()
        return array


def main(module, model, picture):
    weft = Weft(module)
    with open(model, "rb") as file:
        session = weft.load(file.read())
    probabilities = weft.run(session, "image", weft.tensor(np.load(picture)), "probabilities")
    print(f"This is a {probabilities.argmax()} ({100 * probabilities.max():.1f}%).")


main(*sys.argv[1:])
