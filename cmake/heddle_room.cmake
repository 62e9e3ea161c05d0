# SPDX-License-Identifier: BSL-1.0
# A room is a source folder (base, fiber, sched, sync, ...) with its headers beside its sources. Its
# CMakeLists.txt is one call, which names every file; tools/tidy.py checks that none is left out:
#
#   heddle_room(sched
#     PUBLIC  runtime.hpp fiber.hpp    # part of the promise: heddle.hpp includes them
#     DETAIL  worker.hpp               # installed too, since the public ones include them
#     SOURCES worker.cpp)

# Everybody includes <heddle/room/file.hpp>, in the tree and installed alike: in the tree through
# links, so that no header is ever copied.
function(heddle_link path)
  set(link ${PROJECT_BINARY_DIR}/include/heddle/${path})
  get_filename_component(folder ${link} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${path} ${link} SYMBOLIC)
endfunction()

# heddle_source_options(<room>/<file> <option>...): compiles this one file with these options, in
# every variant of the library.
function(heddle_source_options file)
  set_property(GLOBAL APPEND PROPERTY heddle_special_sources ${file})
  set_property(GLOBAL PROPERTY heddle_options_of_${file} ${ARGN})
endfunction()

function(heddle_room room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PUBLIC;DETAIL;SOURCES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "heddle_room(${room}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  heddle_link(${room})
  list(TRANSFORM arg_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/${room}/)
  set_property(GLOBAL APPEND PROPERTY heddle_sources ${arg_SOURCES})
  list(TRANSFORM arg_PUBLIC PREPEND ${room}/ OUTPUT_VARIABLE headers)
  set_property(GLOBAL APPEND PROPERTY heddle_public_headers ${headers})
  if(arg_PUBLIC OR arg_DETAIL)
    install(FILES ${arg_PUBLIC} ${arg_DETAIL}
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/heddle/${room} COMPONENT heddle)
  endif()
endfunction()
