// SPDX-License-Identifier: BSL-1.0
// fork_first: a process forks while its plain threads wait for each other in heddle; it has made no
// runtime, so its children may. Exit status 0: all of them could.
#include <heddle/heddle.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace {

/// Has two threads, which the parent's child does not have, and a fiber wait for each other.
int in_a_child() {
  heddle::run({.workers = 2}, [] {
    heddle::mutex one;
    const std::lock_guard hold(one);
    heddle::event waits;
    std::thread other([&] {
      heddle::latch both(2);
      std::thread third([&] { both.arrive_and_wait(); });
      waits.set();
      both.arrive_and_wait();
      third.join();
    });
    waits.wait();
    heddle::this_fiber::sleep_for(std::chrono::milliseconds(150));  // somebody looks
    heddle::blocking([&] { other.join(); });
  });
  return 0;
}

/// Forks while its threads wait in heddle for the first time in this process; the child does, too.
int in_a_fresh_process() {
  std::atomic<int> here{0};
  heddle::latch never(1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (++here; here <= 2;) {
      }
      never.wait();
    });
  }
  while (here != 2) {
  }
  ++here;
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    heddle::latch both(2);
    std::thread other([&] { both.arrive_and_wait(); });
    both.arrive_and_wait();
    other.join();
    std::_Exit(0);
  }
  int status = -1;
  const bool fine = ::waitpid(child, &status, 0) == child && status == 0;
  never.count_down();
  for (std::thread& each : threads) each.join();
  return fine ? 0 : 1;
}

/// In a child of its own, `rounds` times, unless it fails before.
template <class Fn>
bool all_end_well(int rounds, Fn fn) {
  for (int i = 0; i < rounds; ++i) {
    const pid_t child = ::fork();
    if (child == 0) std::_Exit(fn());
    int status = -1;
    if (::waitpid(child, &status, 0) != child || status != 0) return false;
  }
  return true;
}

}  // namespace

int main() {
  if (!all_end_well(300, in_a_fresh_process)) return 1;
  heddle::latch never(1);
  heddle::mutex often;
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] { never.wait(); });
    threads.emplace_back([&] {
      while (!over) const std::lock_guard hold(often);
    });
  }
  const bool fine = all_end_well(20, [] {
    ::alarm(20);
    return in_a_child();
  });
  over = true;
  never.count_down();
  for (std::thread& each : threads) each.join();
  return fine ? 0 : 1;
}
