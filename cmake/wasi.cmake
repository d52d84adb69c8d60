# Toolchain file of the preset `wasi`: a wasi-sdk when WASI_SDK_PREFIX named one at set-up, else Debian's clang, wasi-libc
# and compiler runtime.
include(${CMAKE_CURRENT_LIST_DIR}/../.toolchain/paths.cmake)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
set(CMAKE_SYSTEM_NAME WASI)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
set(CMAKE_C_COMPILER_TARGET wasm32-wasi)
if(WEFT_WASI_SDK)
  set(CMAKE_C_COMPILER ${WEFT_WASI_SDK}/bin/clang)
  set(CMAKE_AR ${WEFT_WASI_SDK}/bin/llvm-ar)
  set(CMAKE_RANLIB ${WEFT_WASI_SDK}/bin/llvm-ranlib)
  set(CMAKE_SYSROOT ${WEFT_WASI_SDK}/share/wasi-sysroot)
else()
  set(CMAKE_C_COMPILER ${WEFT_LLVM_BIN}/clang)
  set(CMAKE_AR ${WEFT_LLVM_BIN}/llvm-ar)
  set(CMAKE_RANLIB ${WEFT_LLVM_BIN}/llvm-ranlib)
endif()
set(CMAKE_C_FLAGS_INIT -Wno-deprecated)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# clang runs any wasm-opt that it finds on PATH after linking; an old one spoils the module. An older wasi-sdk's clang does
# neither know the flag nor need it.
execute_process(
  COMMAND ${CMAKE_C_COMPILER} --target=wasm32-wasi --no-wasm-opt -fsyntax-only -x c /dev/null
  RESULT_VARIABLE weft_no_wasm_opt OUTPUT_QUIET ERROR_QUIET)
if(weft_no_wasm_opt EQUAL 0)
  set(CMAKE_EXE_LINKER_FLAGS_INIT --no-wasm-opt)
endif()
