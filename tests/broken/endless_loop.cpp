// SPDX-License-Identifier: BSL-1.0
// endless_loop: a fiber never gives others a turn.
//   Says: ^heddle: fiber \d+ 'spinner' has run for \d+\.\d s without a switch while others waited
//   Says: #\d .*endless_loop\.cpp:2\d
//   Says: started by .*program
//   Ends: hangs
//   Not with: ThreadSanitizer, which puts the signal off by which it is traced
#include <heddle/heddle.hpp>

#include <atomic>

using namespace std::chrono_literals;

int main() {
  heddle::run({.workers = 1}, [] {
    std::atomic<bool> finished = false;
    heddle::fiber other([] {
      for (;;) heddle::this_fiber::sleep_for(1ms);
    });
    heddle::this_fiber::set_name("spinner");
    while (!finished) {
    }
  });
  return 0;
}
