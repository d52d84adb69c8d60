# Emscripten's modules, made of a few sets of objects: what differs between them is compiled more than once, the rest is not.
#
# Import and export names are kept as they are, so all modules without threads share one glue file and all modules with
# threads another; tools/build.mjs checks that they are indeed the same. That is why linking is done with -O2: from -O3 on
# emcc shortens names.
#
# With WEFT_MEMORY64, in the preset `web64`, everything is compiled for 64-bit addresses, and modules with threads are made of it.
option(WEFT_MEMORY64 "Build the modules of 64-bit addresses, for models that 32 bits cannot address")
if(WEFT_MEMORY64)
  add_compile_options(-sMEMORY64=1 -Wno-deprecated) # newer versions of emcc have another name for it
  add_link_options(-sMEMORY64=1 -Wno-deprecated)
  set(weft_most_memory 16GB) # as much as engines give
else()
  set(weft_most_memory 4GB)
endif()

weft_objects(bindings_objects ROOMS bindings FACE)
weft_objects(core_objects ROOMS ${weft_core_rooms})
weft_objects(parallel_st ROOMS parallel)
weft_objects(parallel_mt ROOMS parallel THREADS)
weft_objects(kernels_scalar ROOMS kernels HOT)
weft_objects(kernels_simd ROOMS kernels HOT SIMD)
weft_objects(simd_objects ROOMS simd HOT SIMD)
weft_objects(relaxed_objects ROOMS simd HOT SIMD RELAXED)
weft_protobuf_c(schema_objects -matomics -mbulk-memory)
set_target_properties(parallel_st kernels_scalar PROPERTIES EXCLUDE_FROM_ALL ON) # not every build has them

weft_exports(${weft_exports_file} exports)
if(WEFT_MEMORY64)
  list(APPEND exports weft_host_wide)
endif()
list(TRANSFORM exports PREPEND _)
list(JOIN exports , exports)

set(weft_link_options
  -O2
  --no-entry
  -sMODULARIZE
  -sEXPORT_ES6
  -sSTRICT
  -sDYNAMIC_EXECUTION=0
  -sFILESYSTEM=0
  -sALLOW_MEMORY_GROWTH
  -sINITIAL_MEMORY=4MB
  -sMAXIMUM_MEMORY=${weft_most_memory}
  -sSTACK_SIZE=1MB
  -sWASM_BIGINT
  -sDEFAULT_TO_CXX=0
  -sINCOMING_MODULE_JS_API=instantiateWasm,wasmMemory,print,printErr
  -sEXPORTED_RUNTIME_METHODS=wasmMemory
  -sEXPORTED_FUNCTIONS=${exports}
  --js-library ${PROJECT_SOURCE_DIR}/bindings/host.js
  -Wl,--stack-first
  # Zeros compress better than a segment between any two of them, and optimising twice saves some 0.7 kB with brotli.
  -sBINARYEN_EXTRA_PASSES=--skip-pass=memory-packing,-O2
  -Wno-pthreads-mem-growth)

# Each module has a folder of its own, so that the glue file has the same name in all that share it.
function(weft_module name glue)
  add_executable(${name})
  target_link_libraries(${name} PRIVATE ${ARGN})
  target_link_options(${name} PRIVATE ${weft_link_options})
  set_target_properties(${name} PROPERTIES
    OUTPUT_NAME ${glue}
    SUFFIX .mjs
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${name}
    LINKER_LANGUAGE C)
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${weft_exports_file} ${PROJECT_SOURCE_DIR}/bindings/host.js)
endfunction()

set(st weft.glue bindings_objects core_objects schema_objects parallel_st)
set(mt weft.threads bindings_objects core_objects schema_objects parallel_mt)
if(WEFT_MEMORY64)
  set(modules)
  set(threaded weft.simd.threads.64 weft.relaxed.threads.64)
  weft_module(weft.simd.threads.64 ${mt} kernels_simd simd_objects)
  weft_module(weft.relaxed.threads.64 ${mt} kernels_simd relaxed_objects)
else()
  set(modules weft.scalar weft.simd weft.relaxed)
  set(threaded weft.simd.threads weft.relaxed.threads)
  weft_module(weft.scalar ${st} kernels_scalar)
  weft_module(weft.simd ${st} kernels_simd simd_objects)
  weft_module(weft.relaxed ${st} kernels_simd relaxed_objects)
  weft_module(weft.simd.threads ${mt} kernels_simd simd_objects)
  weft_module(weft.relaxed.threads ${mt} kernels_simd relaxed_objects)
endif()

# The loader always hands the module in (instantiateWasm), so glue without threads needs nothing of Node.js and runs there
# all the same. Threads are made before the module is ready, as many as the loader asks for, and never later: a page's
# main thread cannot wait for a worker to start.
foreach(name IN LISTS modules)
  target_link_options(${name} PRIVATE -sENVIRONMENT=web,worker)
endforeach()
foreach(name IN LISTS threaded)
  target_link_options(${name} PRIVATE -pthread -sENVIRONMENT=web,worker,node
    -sEXPORTED_RUNTIME_METHODS=wasmMemory,PThread
    "-sPTHREAD_POOL_SIZE=Module['threads']" -sPTHREAD_POOL_SIZE_STRICT=2 -sDEFAULT_PTHREAD_STACK_SIZE=256KB)
endforeach()
