# Toolchain file of the preset `web`: Emscripten's own, from wherever set-up found or put it.
include(${CMAKE_CURRENT_LIST_DIR}/../.toolchain/paths.cmake)
include(${WEFT_EMSCRIPTEN_ROOT}/cmake/Modules/Platform/Emscripten.cmake)

# Emscripten names one LLVM version as its own; any that is not older than that one serves.
set(CMAKE_C_FLAGS_INIT "-Wno-version-check")
