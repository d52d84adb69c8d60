"""wasmtime_host.py MODULE FOLDER [ARGUMENT...]: runs a WASI command in wasmtime. The command sees FOLDER as its current
folder, and the exit code is its own."""
import sys

import wasmtime

module, folder, *arguments = sys.argv[1:]
config = wasmtime.WasiConfig()
config.argv = ["weft", *arguments]
config.preopen_dir(folder, ".")
config.inherit_stdin()
config.inherit_stdout()
config.inherit_stderr()
store = wasmtime.Store()
store.set_wasi(config)
linker = wasmtime.Linker(store.engine)
linker.define_wasi()
try:
    instance = linker.instantiate(store, wasmtime.Module.from_file(store.engine, module))
    instance.exports(store)["_start"](store)
except wasmtime.ExitTrap as exit:
    sys.exit(exit.code)
