# Rooms and what is made of them.
#
#   weft_room(<room> <file>...)   says, in a room's CMakeLists.txt, which files it has. A room may be named twice.
#   weft_objects(<target> ROOMS <room>... [SIMD] [RELAXED] [THREADS] [HOT] [FACE])
#                                 compiles rooms for one variant. In wasm, HOT code is compiled for speed and all other
#                                 code for size; natively everything is compiled for speed. FACE says that all of it is
#                                 linked, called or not; of other rooms a module takes the files it needs.
#
# WEFT_SIMD is defined in rooms compiled with SIMD, WEFT_RELAXED in those with relaxed SIMD; only `kernels` and `simd` may be.
# WEFT_THREADS is defined in the room `parallel` alone: two files of `base` know of threads, so in wasm all others are
# compiled once and linked into modules with and without them.

# All rooms that are neither hot, nor a face of the library, nor know of threads.
set(weft_core_rooms base onnx graph optimize session ops)

# What makes code smaller still: no redundancy elimination that copies code, which only ScatterND misses; where no loops are,
# as where a model is loaded, no inlining but of what shrinks by it; and no loop strength reduction, which Emscripten's compiler
# never does, in portable kernels that hardly miss it (tests/bench/NOTES.md).
function(weft_shrink room file)
  set(flags)
  if((room IN_LIST weft_core_rooms OR room STREQUAL wasi_command) AND NOT file MATCHES "^scatter")
    list(APPEND flags -mllvm -enable-pre=false)
  endif()
  if(room MATCHES "^(onnx|graph|optimize|session|wasi_command)$" OR file MATCHES "^(op|cost|custom|ml_tree_build|search)[.]c$")
    list(APPEND flags -mllvm -inline-threshold=-40)
  endif()
  if(room STREQUAL kernels AND NOT file MATCHES "^(movement|elements|functions|sample)[.]c$")
    list(APPEND flags -mllvm -disable-lsr)
  endif()
  if(EMSCRIPTEN OR WASI)
    set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/${file} DIRECTORY ${PROJECT_SOURCE_DIR}
      PROPERTIES COMPILE_OPTIONS "${flags}")
  endif()
endfunction()

function(weft_room room)
  foreach(file IN LISTS ARGN)
    set_property(GLOBAL APPEND PROPERTY WEFT_ROOM_${room} ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    weft_shrink(${room} ${file})
  endforeach()
endfunction()

function(weft_room_files out)
  set(files)
  foreach(room IN LISTS ARGN)
    get_property(of_room GLOBAL PROPERTY WEFT_ROOM_${room})
    list(APPEND files ${of_room})
  endforeach()
  set(${out} ${files} PARENT_SCOPE)
endfunction()

# What every file is compiled with. Contraction is off so that a kernel means the same everywhere; errno of math functions
# is never read, and without it sqrt is one instruction.
add_library(weft_options INTERFACE)
target_include_directories(weft_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
target_compile_options(weft_options INTERFACE -Wall -Wextra -Wconversion -ffp-contract=off -fno-math-errno)
if(WEFT_SANITIZE)
  target_compile_options(weft_options INTERFACE -fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    $<$<C_COMPILER_ID:Clang>:-Wno-pass-failed>) # sanitized loops need not be vectors
  target_link_options(weft_options INTERFACE -fsanitize=${WEFT_SANITIZE})
endif()
if(EMSCRIPTEN OR WASI)
  set(WEFT_WASM ON)
  # -O3's limit of unrolling, without which a tile's sums are no registers; the rest of -O3 is bytes (tests/bench/NOTES.md).
  set(weft_hot_flags -O2 -mllvm -unroll-threshold=300)
  # Addresses of loops that are kept as variables of their own make code larger; Emscripten's compiler never does so.
  set(weft_small_flags -Oz "SHELL:-mllvm -disable-lsr")
  set(weft_simd_flags -msimd128)
  set(weft_relaxed_flags -mrelaxed-simd)
else()
  set(WEFT_WASM OFF)
  # SIMDe gives the wasm intrinsics on native machines; SSE4.2 is what its shortest translations need.
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(weft_simd_flags -msse4.2)
  endif()
endif()
set(weft_threads_flags -pthread)
if(EMSCRIPTEN)
  # What the linker asks of every object that meets shared memory; without shared memory it changes nothing.
  target_compile_options(weft_options INTERFACE -matomics -mbulk-memory)
endif()

# A library of no files is refused by CMake, so an empty room's target is an interface library.
function(weft_objects target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SIMD;RELAXED;THREADS;HOT;FACE" "" "ROOMS")
  weft_room_files(files ${arg_ROOMS})
  if(NOT files)
    add_library(${target} INTERFACE)
    return()
  endif()
  if(WEFT_WASM AND NOT arg_FACE)
    add_library(${target} STATIC ${files})
  else()
    add_library(${target} OBJECT ${files})
  endif()
  target_link_libraries(${target} PRIVATE weft_options protobuf_c_headers)
  add_dependencies(${target} weft_schema)
  foreach(feature SIMD RELAXED THREADS)
    if(arg_${feature})
      string(TOLOWER ${feature} lower)
      target_compile_definitions(${target} PRIVATE WEFT_${feature}=1)
      target_compile_options(${target} PRIVATE ${weft_${lower}_flags})
    endif()
  endforeach()
  if(arg_HOT)
    target_compile_options(${target} PRIVATE ${weft_hot_flags})
  else()
    target_compile_options(${target} PRIVATE ${weft_small_flags})
  endif()
endfunction()

# The C functions that the modules for JavaScript export: one name a line, lines that begin with # are comments. The reactor
# for embedding hosts has a list of its own, wasi/exports.txt.
set(weft_exports_file ${PROJECT_SOURCE_DIR}/bindings/exports.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${weft_exports_file} ${PROJECT_SOURCE_DIR}/wasi/exports.txt)
function(weft_exports list out)
  file(STRINGS ${list} names REGEX "^[a-z]")
  set(${out} ${names} PARENT_SCOPE)
endfunction()
