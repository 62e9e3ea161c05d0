# SPDX-License-Identifier: BSL-1.0
# Run by ctest when it starts: makes a test of each suite of a GoogleTest program. One of each test
# would start thousands of processes, which take many times longer than what they test. Set before:
#   program, name, timeout_s
if(NOT EXISTS ${program})
  add_test(${name}_NOT_BUILT ${program})
  return()
endif()
execute_process(COMMAND ${program} --gtest_list_tests OUTPUT_VARIABLE list RESULT_VARIABLE failed)
# A suite stands alone in a line and ends with a dot; its tests follow, indented.
string(REGEX MATCHALL "[^ \n]+\\.[^\n]*\n +[^\n]*\n" suites "\n${list}")
if(failed OR NOT suites)
  add_test(${name}_CANNOT_BE_LISTED ${program} --gtest_list_tests)
  return()
endif()
foreach(suite IN LISTS suites)
  string(REGEX REPLACE "\\..*" "" suite "${suite}")
  add_test(unit.${suite} ${program} --gtest_brief=1 "--gtest_filter=${suite}.*")
  set_tests_properties(unit.${suite} PROPERTIES TIMEOUT ${timeout_s})
endforeach()
