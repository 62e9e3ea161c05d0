// SPDX-License-Identifier: BSL-1.0
// blocking_call: all fibers wait, but one for a blocking() call that takes its time.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <thread>

using namespace std::chrono_literals;

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::channel<int> lines;
    heddle::fiber reader([=]() mutable {
      lines.send(heddle::blocking([] {
        std::this_thread::sleep_for(1500ms);
        return 1;
      }));
    });
    (void)lines.receive();
  });
  return 0;
}
