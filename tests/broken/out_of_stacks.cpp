// SPDX-License-Identifier: BSL-1.0
// out_of_stacks: the fibers that have stacks wait for one that is to have one when it runs.
//   Says: ^heddle: fibers \(1\) have waited for stacks for 1 s, and none can be had until
//   Not with: AddressSanitizer, ThreadSanitizer, which need the address space
//   Ends: 0
#include <heddle/heddle.hpp>

#include <sys/resource.h>

#include <cstdio>

using namespace std::chrono_literals;

/// Bytes of address space that the process has.
std::size_t address_space() {
  std::size_t pages = 0;
  if (std::FILE* const f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%zu", &pages) != 1) pages = 0;
    std::fclose(f);
  }
  return pages * 4096;
}

int main() {
  constexpr std::size_t stack_size = std::size_t{64} << 20;
  return heddle::run({.workers = 1, .stack_size = stack_size}, [] {
    const rlimit little{address_space() + 4 * stack_size, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &little);
    heddle::event go_on;
    heddle::wait_group them;
    int run = 0;
    for (int started = 0; run == started; ++started) {  // until one has no stack
      them.go([&] {
        ++run;
        go_on.wait();
      });
      heddle::this_fiber::yield();
    }
    heddle::this_fiber::sleep_for(1'500ms);
    const rlimit enough{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &enough);
    go_on.set();
    them.wait();
    return 0;
  });
}
