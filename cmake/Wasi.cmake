# The WASI modules: `weft` is a command, `weft_reactor` the C API for hosts that embed it.
option(WEFT_WASI_SIMD "Use SIMD in WASI modules; without it they run in hosts that do not have it, several times slower" ON)
weft_objects(core_objects ROOMS ${weft_core_rooms} parallel wasi)
if(WEFT_WASI_SIMD)
  weft_objects(kernels_objects ROOMS kernels HOT SIMD)
  weft_objects(simd_objects ROOMS simd HOT SIMD)
  set(weft_kernels kernels_objects simd_objects)
else()
  weft_objects(kernels_objects ROOMS kernels HOT)
  set(weft_kernels kernels_objects)
endif()
weft_objects(command_objects ROOMS wasi_command FACE)
weft_objects(reactor_objects ROOMS wasi_reactor FACE)
weft_protobuf_c(schema_objects)

set(weft_stack -Wl,-O2 -Wl,--stack-first -Wl,-z,stack-size=1048576)

# For C programs.
weft_library(core_objects ${weft_kernels} schema_objects)
target_link_options(weft_core INTERFACE ${weft_stack})

add_executable(weft)
target_link_libraries(weft PRIVATE core_objects ${weft_kernels} schema_objects command_objects)
target_link_options(weft PRIVATE ${weft_stack} -Wl,--strip-all)

weft_exports(${PROJECT_SOURCE_DIR}/wasi/exports.txt exports)
list(TRANSFORM exports PREPEND -Wl,--export=)
add_executable(weft_reactor)
target_link_libraries(weft_reactor PRIVATE core_objects ${weft_kernels} schema_objects reactor_objects)
# The function table is open, so that a host can put operators of its own into it.
target_link_options(weft_reactor PRIVATE ${weft_stack} -Wl,--strip-all -mexec-model=reactor ${exports}
  -Wl,--export-table -Wl,--growable-table)
set_property(TARGET weft_reactor APPEND PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/wasi/exports.txt)
set_target_properties(weft weft_reactor PROPERTIES LINKER_LANGUAGE C)

# Emscripten's optimiser makes them a tenth smaller, twice a little more; what is left out makes them smaller, but
# not once they are compressed. The first kilobyte of memory, where the stack ends, is no part of anything that is indexed,
# so offsets may go into loads and stores. What it may meet is named; it adds nothing of that.
execute_process(COMMAND ${WEFT_EMSCRIPTEN_ROOT}/em-config BINARYEN_ROOT
  OUTPUT_VARIABLE weft_binaryen OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set(weft_passes -Oz -Oz --low-memory-unused --skip-pass=memory-packing --skip-pass=local-cse --skip-pass=code-folding)
set(weft_features bulk-memory multivalue mutable-globals nontrapping-float-to-int reference-types sign-ext)
if(WEFT_WASI_SIMD)
  list(APPEND weft_features simd)
endif()
list(TRANSFORM weft_features PREPEND --enable-)
foreach(module weft weft_reactor)
  add_custom_command(TARGET ${module} POST_BUILD VERBATIM
    COMMAND ${weft_binaryen}/bin/wasm-opt ${weft_passes} ${weft_features}
      $<TARGET_FILE:${module}> -o $<TARGET_FILE:${module}>)
endforeach()

weft_install(weft weft_reactor LIBS ${weft_stack})

if(NOT WEFT_WASI_SIMD)
  return()
endif()

# The kernels alone, with all tables: measured as tests/bench/NOTES.md tells, and compared with the portable ones in engines
# for WebAssembly, whose relaxed instructions are not those of the native build. Built only when asked for by name.
weft_objects(relaxed_objects ROOMS simd HOT SIMD RELAXED)
set_target_properties(relaxed_objects PROPERTIES EXCLUDE_FROM_ALL ON)
function(weft_kernels_program name source)
  add_executable(${name} EXCLUDE_FROM_ALL ${source})
  target_link_libraries(${name} PRIVATE weft_options core_objects schema_objects kernels_objects relaxed_objects)
  target_compile_definitions(${name} PRIVATE WEFT_SIMD=1 WEFT_RELAXED=1)
  target_link_options(${name} PRIVATE ${weft_stack})
endfunction()
weft_kernels_program(bench_kernels tests/bench/kernels.c)
weft_kernels_program(test_kernels tests/c/kernels.c)
weft_kernels_program(test_kernels_integer tests/c/kernels_integer.c)
add_custom_target(kernel_tests DEPENDS test_kernels test_kernels_integer)
