// SPDX-License-Identifier: BSL-1.0
// blocking_read: a fiber reads from a pipe as a thread would, and nothing comes.
//   Says: ^heddle: fiber \d+ 'reader' has run for \d+\.\d s .* in a call of the system, and sleeps
//   Says: started by .*program
//   Ends: hangs
#include <heddle/heddle.hpp>

#include <unistd.h>

using namespace std::chrono_literals;

int main() {
  heddle::run({.workers = 1}, [] {
    int ends[2];
    if (::pipe(ends) != 0) return;
    heddle::fiber other([] {
      for (;;) heddle::this_fiber::sleep_for(1ms);
    });
    heddle::this_fiber::set_name("reader");
    char byte;
    (void)!::read(ends[0], &byte, 1);
  });
  return 0;
}
