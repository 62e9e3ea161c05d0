# SPDX-License-Identifier: BSL-1.0
# How the library is compiled: what binds its users too (PUBLIC), and what binds only us.

if(HEDDLE_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(LANGUAGES CXX)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

# Warnings for a target of ours: the library, a test, a benchmark, an example.
function(heddle_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # g++ 12 sees overlaps and overflows in std::string's own code (GCC bugs 105329 and 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-stringop-overflow)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND HEDDLE_SANITIZE)
    # The instrumented code hides from it that an empty optional's value is not read.
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
  if(HEDDLE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# heddle_library(<name> [STATIC] [DEFINE <macro>...]): the library from the sources of all rooms.
# The tests build a second one, with other macros.
function(heddle_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STATIC" "" "DEFINE")
  if(arg_STATIC)
    set(kind STATIC)
  endif()
  get_property(sources GLOBAL PROPERTY heddle_sources)
  add_library(${name} ${kind} ${sources})
  # A source's properties count only in the directory that sets them, so here.
  get_property(special_sources GLOBAL PROPERTY heddle_special_sources)
  foreach(file IN LISTS special_sources)
    get_property(options GLOBAL PROPERTY heddle_options_of_${file})
    set_source_files_properties(${PROJECT_SOURCE_DIR}/${file} PROPERTIES
                                COMPILE_OPTIONS "${options}")
  endforeach()
  # Before 1.0 each minor version may change the binary interface.
  set_target_properties(${name} PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    CXX_EXTENSIONS OFF)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${name} PUBLIC Threads::Threads PRIVATE Boost::context ${CMAKE_DL_LIBS})
  if(HEDDLE_HAS_LIBBACKTRACE)
    target_link_libraries(${name} PRIVATE backtrace)
    target_compile_definitions(${name} PRIVATE HEDDLE_LIBBACKTRACE=1)
  endif()
  heddle_warnings(${name})
  # Assertions name files as the reader knows them, and builds do not depend on where they are made.
  target_compile_options(${name} PRIVATE
    -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= -fmacro-prefix-map=${PROJECT_BINARY_DIR}/include/=)
  if(HEDDLE_LTO AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Machine code beside the intermediate one: whoever links the installed library may not use LTO.
    target_compile_options(${name} PRIVATE -ffat-lto-objects)
  endif()

  target_compile_definitions(${name} PUBLIC ${heddle_definitions} ${arg_DEFINE})
  target_compile_options(${name} PUBLIC ${heddle_sanitize_flags})
  target_link_options(${name} PUBLIC ${heddle_sanitize_flags})
endfunction()

# Functions, files and lines in reports: by a library that comes with g++.
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES backtrace)
check_cxx_source_compiles("
extern \"C\" int backtrace_syminfo();
int main() { return backtrace_syminfo(); }" HEDDLE_HAS_LIBBACKTRACE)
unset(CMAKE_REQUIRED_LIBRARIES)

# What changes the layout of types or the code in headers must be the same in all of a program.
set(heddle_definitions)
if(HEDDLE_ASSERTIONS STREQUAL "AUTO" AND CMAKE_BUILD_TYPE STREQUAL "Debug"
   OR NOT HEDDLE_ASSERTIONS STREQUAL "AUTO" AND HEDDLE_ASSERTIONS)
  list(APPEND heddle_definitions HEDDLE_ASSERTIONS=1)
endif()
if(HEDDLE_CHAOS)
  list(APPEND heddle_definitions HEDDLE_CHAOS=1)
endif()

set(heddle_sanitize_flags)
if(HEDDLE_SANITIZE)
  set(heddle_sanitize_flags -fsanitize=${HEDDLE_SANITIZE} -fno-sanitize-recover=all
      -fno-omit-frame-pointer)
endif()
