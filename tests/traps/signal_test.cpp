// SPDX-License-Identifier: BSL-1.0
// signal: trap 7: signal masks and alternate stacks belong to threads. A worker has its maker's
//   mask (runtime.hpp says so) and an alternate stack of its own, spare workers too.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/sched/worker.hpp>
#include <heddle/sync/wait_group.hpp>

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <set>

namespace {

using namespace heddle_test;

std::atomic<int> handled{0};
std::atomic<std::uintptr_t> handled_at{0};

extern "C" void on_usr1(int) {
  volatile char here = 0;
  handled_at.store(reinterpret_cast<std::uintptr_t>(&here), std::memory_order_relaxed);
  handled.fetch_add(1, std::memory_order_relaxed);
}

class with_handler {
 public:
  with_handler() {
    struct sigaction mine {};
    mine.sa_handler = &on_usr1;
    mine.sa_flags = SA_ONSTACK;
    ::sigaction(SIGUSR1, &mine, &before_);
  }
  ~with_handler() { ::sigaction(SIGUSR1, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

/// Sends the calling thread SIGUSR1, and expects the handler on the thread's alternate stack.
void signal_myself() {
  stack_t alternate{};
  ::sigaltstack(nullptr, &alternate);
  EXPECT_EQ(alternate.ss_flags & SS_DISABLE, 0) << "no alternate stack";
  const int before = handled.load(std::memory_order_relaxed);
  ::raise(SIGUSR1);
  EXPECT_EQ(handled.load(std::memory_order_relaxed), before + 1);
  const auto low = reinterpret_cast<std::uintptr_t>(alternate.ss_sp);
  const auto at = handled_at.load(std::memory_order_relaxed);
  EXPECT_GE(at, low);
  EXPECT_LT(at, low + alternate.ss_size);
}

HEDDLE_TEST(Signal, AHandlerRunsOnTheAlternateStackOfEachWorker) {
  const with_handler handler;
  std::set<unsigned> seen;
  EXPECT_TRUE(eventually([&] {
    if (seen.insert(heddle::detail::current_worker()->index).second) signal_myself();
    if (rt.workers() > 1) migrate();
    return seen.size() >= rt.workers() || seen.size() >= 4;
  }));
}

TEST(Signal, AHandlerRunsOnTheAlternateStackOfASpareWorker) {
  const with_handler handler;
  heddle::run({.workers = 1}, [] {
    std::atomic<bool> done{false};
    heddle::fiber busy([&done] {
      while (!done.load(std::memory_order_relaxed)) heddle::detail::cpu_relax();
    });
    while (!heddle::detail::current_worker()->spare) heddle::this_fiber::yield();
    signal_myself();
    done.store(true, std::memory_order_relaxed);
  });
}

bool blocked(int number) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return ::sigismember(&mask, number) == 1;
}

TEST(Signal, AWorkerHasTheMaskOfTheThreadThatMadeTheRuntime) {
  sigset_t one, before;
  ::sigemptyset(&one);
  ::sigaddset(&one, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &one, &before);
  heddle::runtime masked({.workers = 2});
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  heddle::runtime open({.workers = 2});
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(masked.run([] { return blocked(SIGUSR2); }));
    EXPECT_FALSE(open.run([] { return blocked(SIGUSR2); }));
  }
}

}  // namespace
