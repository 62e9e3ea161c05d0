# SPDX-License-Identifier: BSL-1.0
# Installs the library, its headers, and the files by which find_package and pkg-config find it.
include(CMakePackageConfigHelpers)

set(heddle_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/heddle)
install(TARGETS heddle EXPORT heddle COMPONENT heddle
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/heddle.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/heddle COMPONENT heddle)
install(EXPORT heddle NAMESPACE heddle:: FILE heddle-targets.cmake
        DESTINATION ${heddle_cmake_dir} COMPONENT heddle)

configure_package_config_file(cmake/heddle-config.cmake.in heddle-config.cmake
                              INSTALL_DESTINATION ${heddle_cmake_dir})
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(heddle-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/heddle-config.cmake
              ${PROJECT_BINARY_DIR}/heddle-config-version.cmake
        DESTINATION ${heddle_cmake_dir} COMPONENT heddle)

# heddle.pc. Its prefix is relative to the file itself, so that `cmake --install --prefix`, DESTDIR
# and a moved tree all work.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
list(TRANSFORM heddle_definitions PREPEND -D OUTPUT_VARIABLE pc_cflags)
list(JOIN pc_cflags " " pc_cflags)
list(JOIN heddle_sanitize_flags " " pc_sanitize)

# A Boost outside the linker's own folders needs its folder named.
set(pc_dependencies "-lboost_context")
get_target_property(pc_boost Boost::context LOCATION)
get_filename_component(pc_boost_dir "${pc_boost}" DIRECTORY)
if(pc_boost_dir AND NOT pc_boost_dir IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
  string(PREPEND pc_dependencies "-L${pc_boost_dir} ")
endif()
if(HEDDLE_HAS_LIBBACKTRACE)
  string(APPEND pc_dependencies " -lbacktrace")
endif()
# A static libheddle brings its dependencies along; a shared one names them itself.
get_target_property(pc_type heddle TYPE)
if(pc_type STREQUAL "STATIC_LIBRARY")
  set(pc_libs " ${pc_dependencies}")
  set(pc_libs_private "")
else()
  set(pc_libs "")
  set(pc_libs_private "${pc_dependencies}")
endif()
configure_file(cmake/heddle.pc.in heddle.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/heddle.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT heddle)
