# Native builds: the library `weft_core` for C programs (installed as `weft`), the command, its tests, and the fuzz targets. The
# SIMD kernels are built too, through SIMDe, so that sanitizers and fuzzers run the very code that ships.
find_package(Threads REQUIRED)
find_library(WEFT_PROTOBUF_C NAMES libprotobuf-c.a protobuf-c REQUIRED)

weft_objects(core_objects ROOMS ${weft_core_rooms} parallel THREADS)
weft_objects(kernels_objects ROOMS kernels HOT SIMD)
weft_objects(simd_objects ROOMS simd HOT SIMD)
weft_protobuf_c(schema_objects)

weft_library(core_objects kernels_objects simd_objects schema_objects)
target_link_libraries(weft_core PUBLIC
  $<BUILD_INTERFACE:${WEFT_PROTOBUF_C};${weft_image_decoder_libraries}>
  $<INSTALL_INTERFACE:protobuf-c;${MAGICK_CORE_LIBRARIES}> Threads::Threads m)
if(WEFT_SANITIZE)
  target_link_options(weft_core PUBLIC -fsanitize=${WEFT_SANITIZE})
endif()

# The command, as WASI has it.
weft_objects(command_objects ROOMS wasi wasi_command FACE)
add_executable(weft)
target_link_libraries(weft PRIVATE command_objects weft_core)
set_target_properties(weft PROPERTIES LINKER_LANGUAGE C)

weft_install(weft LIBS -lprotobuf-c ${MAGICK_CORE_LDFLAGS} -pthread -lm)

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

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
