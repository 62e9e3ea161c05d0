// SPDX-License-Identifier: BSL-1.0
// parked: for gdb_test.py and lldb_test.py: fibers that wait, and then the program stops.
//   parked COUNT stop      by a breakpoint of its own; it goes on, and all end
//   parked COUNT abort     it writes a core file, if the system lets it
//   parked COUNT crash     the same, by a fault in a function that is inlined
//   parked COUNT whole     as stop, without guard pages: those keep gcore from writing the stacks
#include <heddle/heddle.hpp>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

struct jobs {
  heddle::mutex door;
  heddle::channel<int> inbox;
  heddle::channel<std::string> results{4};
  std::atomic<int> here{0};
};

[[gnu::noinline]] int consume(jobs& j, int number) {
  const volatile int mine = number;
  ++j.here;
  int got = mine;
  if (number % 10 == 3) {
    const std::lock_guard hold(j.door);
  } else if (const auto value = j.inbox.receive()) {
    got = *value;
  }
  return got + mine;
}

[[gnu::noinline]] void nested(jobs& j, int number, int depth) {
  if (depth > 0) {
    nested(j, number, depth - 1);
  } else {
    consume(j, number);
  }
  asm volatile("");  // no tail call
}

[[gnu::noinline]] void stop_here(jobs& j, heddle::fiber& first) {
  std::puts("all wait");
  std::fflush(stdout);
  std::raise(SIGTRAP);
  asm volatile("" : : "r"(&j), "r"(&first) : "memory");
}

// Where the thread stands then is in an inlined function.
[[gnu::always_inline]] inline void crash(volatile int* nowhere) { *nowhere = 1; }

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int count = std::atoi(argv[1]);
  const std::string_view how = argv[2];
  heddle::run({.workers = 1, .guard_pages = how != "whole"}, [&] {
    jobs j;
    j.results.send("one");
    j.results.send("two");
    j.door.lock();
    std::vector<heddle::fiber> all;
    for (int i = 0; i < count; ++i) {
      const std::string name = "consumer " + std::to_string(i);
      all.emplace_back(heddle::fiber_options{.name = name}, nested, std::ref(j), i, i % 3);
    }
    // There is one worker: while this fiber runs, all others that were here wait.
    while (j.here < count) heddle::this_fiber::yield();
    if (how == "abort") std::abort();
    if (how == "crash") crash(nullptr);
    stop_here(j, all.front());
    j.inbox.close();
    j.door.unlock();
    for (auto& each : all) each.join();
  });
  std::puts("all ended");
}
