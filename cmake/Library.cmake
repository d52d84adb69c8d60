# The static library for C and C++ programs, and what `cmake --install` puts where others find it.
#
#   weft_library(<objects>...)              makes `weft_core` of object libraries
#   weft_install(<program>... LIBS <flag>...)   programs go beside it; flags are what pkg-config tells to link with it
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

function(weft_library)
  add_library(weft_core STATIC)
  add_library(weft::weft ALIAS weft_core)
  foreach(objects IN LISTS ARGN)
    target_sources(weft_core PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
  set_target_properties(weft_core PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME weft EXPORT_NAME weft)
  target_include_directories(weft_core PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endfunction()

function(weft_install)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "LIBS")
  set(here ${CMAKE_CURRENT_BINARY_DIR}/install)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
  install(TARGETS weft_core EXPORT weft)
  install(TARGETS ${arg_UNPARSED_ARGUMENTS})
  install(FILES ${PROJECT_SOURCE_DIR}/src/weft.h TYPE INCLUDE)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE TYPE DOC)
  install(EXPORT weft NAMESPACE weft:: FILE weftTargets.cmake DESTINATION ${package})

  set(dependencies)
  if(NOT WEFT_WASM)
    set(dependencies "include(CMakeFindDependencyMacro)\nfind_dependency(Threads)\n")
  endif()
  file(WRITE ${here}/weftConfig.cmake "${dependencies}include(\${CMAKE_CURRENT_LIST_DIR}/weftTargets.cmake)\n")
  write_basic_package_version_file(${here}/weftConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${here}/weftConfig.cmake ${here}/weftConfigVersion.cmake DESTINATION ${package})

  # Paths begin where the file lies: an installed tree may be moved.
  file(RELATIVE_PATH prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  list(JOIN arg_LIBS " " libs)
  file(CONFIGURE OUTPUT ${here}/weft.pc @ONLY CONTENT [[
prefix=${pcfiledir}/@prefix@
Name: weft
Description: Runs any ONNX model
Version: @PROJECT_VERSION@
Cflags: -I${prefix}/@CMAKE_INSTALL_INCLUDEDIR@
Libs: -L${prefix}/@CMAKE_INSTALL_LIBDIR@ -lweft @libs@
]])
  install(FILES ${here}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
