// SPDX-License-Identifier: BSL-1.0
// return_from_main: trap 22: `return 7` with fibers in every state. SIGALRM if it takes a second.
#include "fibers_of_every_kind.hpp"

int main(int argc, char**) {
  heddle_test::start_fibers_of_every_kind();
  ::alarm(argc > 1 ? 10 : 1);
  return 7;
}
