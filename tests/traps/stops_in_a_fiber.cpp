// SPDX-License-Identifier: BSL-1.0
// stops_in_a_fiber: for gdb_test.py: fibers that come by a place where a debugger may stop.
#include <heddle/heddle.hpp>

extern "C" [[gnu::noinline]] void stop_here(int how) { asm volatile("" : : "r"(how) : "memory"); }

[[gnu::noinline]] void in_between(int how) {
  stop_here(how);
  asm volatile("");  // no tail call
}

int main() {
  heddle::run({.workers = 2}, [] {
    heddle::wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([i] {
        in_between(0);
        heddle::this_fiber::yield();
        in_between(1);
        heddle::this_fiber::sleep_for(std::chrono::milliseconds(i));
        in_between(2);
      });
    }
    all.wait();
  });
}
