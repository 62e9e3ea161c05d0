// SPDX-License-Identifier: BSL-1.0
// static_objects_main: what stands between the constructors and the destructors.
#include "static_objects.hpp"

#include <cstdio>

int main() {
  heddle_test::check(heddle_test::all_works(), "the default runtime in main");
  std::printf("main: ok\n");
}
