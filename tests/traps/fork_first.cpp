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

}  // namespace

int main() {
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
  int wrong = 0;
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      std::_Exit(in_a_child());
    }
    int status = -1;
    if (::waitpid(child, &status, 0) != child || status != 0) ++wrong;
  }
  over = true;
  never.count_down();
  for (std::thread& each : threads) each.join();
  return wrong;
}
