# The size-reduced build: with WEFT_OPERATORS, a list of operators' names, the registry has only those, and the linker leaves
# out what they do not need. A name stands for that operator in every domain, Weft's own fused forms included. Constants
# are folded and old nodes upgraded with operators too: name those that `weft inspect` shows, not those in the file.
set(WEFT_OPERATORS "" CACHE STRING "Names of the operators to build, separated by semicolons; empty: all")
if(WEFT_OPERATORS)
  set(list ${PROJECT_SOURCE_DIR}/src/ops/ops.def)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
  set(kept)
  foreach(name IN LISTS WEFT_OPERATORS)
    file(STRINGS ${list} lines REGEX "^OP\\(\"[^\"]*\", *\"${name}\",")
    if(NOT lines)
      message(FATAL_ERROR "WEFT_OPERATORS: there is no operator ${name}")
    endif()
    list(APPEND kept ${lines})
  endforeach()
  list(JOIN kept "\n" kept)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/reduced.def CONTENT "${kept}\n" @ONLY)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/ops/op.c PROPERTIES
    OBJECT_DEPENDS ${PROJECT_BINARY_DIR}/generated/reduced.def
    COMPILE_DEFINITIONS "WEFT_OPS_LIST=\"${PROJECT_BINARY_DIR}/generated/reduced.def\"")
endif()
