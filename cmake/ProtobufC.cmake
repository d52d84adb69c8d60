# The ONNX schema, compiled by protoc-c into the build folder, and protobuf-c's runtime: the system's library natively, its
# source in wasm. Neither is our code, so both have flags of their own: no warnings, and natively no UBSan for the
# generated tables.
#
#   protobuf_c_headers     include folders of the runtime and of the generated onnx.pb-c.h
#   weft_schema            the generation itself, to depend on
#   weft_protobuf_c(<target> [<flag>...])   an object library of generated code and, in wasm, the runtime

find_program(WEFT_PROTOC_C protoc-c REQUIRED NO_CMAKE_FIND_ROOT_PATH)
set(weft_schema_source ${PROJECT_SOURCE_DIR}/src/onnx/onnx.proto)
set(weft_generated ${PROJECT_BINARY_DIR}/generated)
set(trim ${PROJECT_SOURCE_DIR}/cmake/TrimSchema.cmake)
file(MAKE_DIRECTORY ${weft_generated})

add_custom_command(
  OUTPUT ${weft_generated}/onnx.pb-c.c ${weft_generated}/onnx.pb-c.h
  COMMAND ${WEFT_PROTOC_C} --proto_path=${PROJECT_SOURCE_DIR}/src/onnx --c_out=${weft_generated} ${weft_schema_source}
  COMMAND ${CMAKE_COMMAND} -DFILE=${weft_generated}/onnx.pb-c.c -P ${trim}
  DEPENDS ${weft_schema_source} ${trim}
  COMMENT "Compiling the ONNX schema"
  VERBATIM)
add_custom_target(weft_schema DEPENDS ${weft_generated}/onnx.pb-c.c)

add_library(protobuf_c_headers INTERFACE)
target_include_directories(protobuf_c_headers SYSTEM INTERFACE ${weft_generated})
if(WEFT_WASM)
  target_include_directories(protobuf_c_headers SYSTEM INTERFACE ${WEFT_PROTOBUF_C_SOURCE})
  set(weft_protobuf_c_runtime ${WEFT_PROTOBUF_C_SOURCE}/protobuf-c/protobuf-c.c)
endif()

function(weft_protobuf_c target)
  add_library(${target} OBJECT ${weft_generated}/onnx.pb-c.c ${weft_protobuf_c_runtime})
  add_dependencies(${target} weft_schema)
  target_link_libraries(${target} PRIVATE protobuf_c_headers)
  target_compile_options(${target} PRIVATE -w ${weft_small_flags} ${ARGN})
  target_compile_definitions(${target} PRIVATE NDEBUG)
endfunction()
