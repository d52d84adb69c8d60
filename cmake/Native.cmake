# Native builds: the library `weft_core` for C programs, the command, its tests, and the fuzz targets. The SIMD kernels are built too,
# through SIMDe, so that sanitizers and fuzzers run the very code that ships.
find_package(Threads REQUIRED)
find_library(WEFT_PROTOBUF_C NAMES libprotobuf-c.a protobuf-c REQUIRED)

weft_objects(core_objects ROOMS ${weft_core_rooms} parallel THREADS)
weft_objects(kernels_objects ROOMS kernels HOT SIMD)
weft_objects(simd_objects ROOMS simd HOT SIMD)
weft_protobuf_c(schema_objects)

add_library(weft_core STATIC)
target_link_libraries(weft_core
  PRIVATE core_objects kernels_objects simd_objects schema_objects
  PUBLIC ${WEFT_PROTOBUF_C} ${weft_image_decoder_libraries} Threads::Threads m)
target_include_directories(weft_core PUBLIC ${PROJECT_SOURCE_DIR}/src)
if(WEFT_SANITIZE)
  target_link_options(weft_core PUBLIC -fsanitize=${WEFT_SANITIZE})
endif()

# The command, as WASI has it.
weft_objects(command_objects ROOMS wasi wasi_command FACE)
add_executable(weft)
target_link_libraries(weft PRIVATE command_objects weft_core)
set_target_properties(weft PROPERTIES LINKER_LANGUAGE C)

enable_testing()
add_subdirectory(tests/c)
if(WEFT_FUZZ)
  add_subdirectory(tests/fuzz)
endif()

# The example of a C program, which a test runs.
add_executable(example_digit examples/c/digit.c)
target_link_libraries(example_digit PRIVATE weft_core weft_options)
set_target_properties(example_digit PROPERTIES LINKER_LANGUAGE C)
add_test(NAME example_digit COMMAND example_digit models/digits/digits.onnx models/digits/sample_7.npy
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(example_digit PROPERTIES PASS_REGULAR_EXPRESSION "This is a 7")
