# SPDX-License-Identifier: BSL-1.0
# Installs the scripts by which debuggers know fibers, and what makes gdb load its own of itself.
file(GLOB scripts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/debugger/*.py)
install(FILES ${scripts}
        DESTINATION ${CMAKE_INSTALL_DATADIR}/heddle COMPONENT heddle)

# gdb looks for <file>-gdb.py in a folder that repeats the path of the library's file; where that is
# is known only when it is installed (cmake --install --prefix).
install(CODE "
  get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  set(HEDDLE_GDB_SCRIPTS \"\${prefix}/${CMAKE_INSTALL_DATADIR}/heddle\")
  configure_file(\"${PROJECT_SOURCE_DIR}/cmake/heddle_gdb.py.in\"
                 \"${PROJECT_BINARY_DIR}/$<TARGET_FILE_NAME:heddle>-gdb.py\" @ONLY)
  file(INSTALL \"${PROJECT_BINARY_DIR}/$<TARGET_FILE_NAME:heddle>-gdb.py\" DESTINATION
       \"\${prefix}/${CMAKE_INSTALL_DATADIR}/gdb/auto-load\${prefix}/${CMAKE_INSTALL_LIBDIR}\")
" COMPONENT heddle)
