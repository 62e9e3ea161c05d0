// SPDX-License-Identifier: BSL-1.0
// exit: trap 22: a process that ends with fibers alive ends at once, with the right status, and
//   says nothing. return_from_main.cpp is the same for `return`.
#include "fibers_of_every_kind.hpp"
#include "world.hpp"

#include <sys/time.h>

#include <cstdlib>

namespace {

using namespace heddle_test;

/// SIGALRM ends the process if it is still there after a second.
void end_within_a_second() {
  itimerval limit{};
  limit.it_value.tv_sec = slowness();
  ::setitimer(ITIMER_REAL, &limit, nullptr);
}

const char* const nothing_said = "^$";

/// In a fiber of the default runtime, amid others.
template <class F>
[[noreturn]] void in_a_fiber(F f) {
  start_fibers_of_every_kind();
  heddle::runtime::default_runtime().run([f] {
    end_within_a_second();
    f();
  });
  std::abort();
}

TEST(Exit, FromMainEndsWithFibersAlive) {
  EXPECT_EXIT(
      {
        start_fibers_of_every_kind();
        end_within_a_second();
        std::exit(7);
      },
      testing::ExitedWithCode(7), nothing_said);
}

TEST(Exit, InAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { std::exit(8); }), testing::ExitedWithCode(8), nothing_said);
}

TEST(Exit, QuickExitInAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { std::quick_exit(9); }), testing::ExitedWithCode(9), nothing_said);
}

TEST(Exit, UnderscoreExitInAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { ::_exit(10); }), testing::ExitedWithCode(10), nothing_said);
}

TEST(Exit, AbortInAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { std::abort(); }), testing::KilledBySignal(SIGABRT), nothing_said);
}

TEST(Exit, OfAnotherThreadEndsWithFibersAlive) {
  EXPECT_EXIT(
      {
        start_fibers_of_every_kind();
        end_within_a_second();
        std::thread([] { std::exit(11); }).join();
      },
      testing::ExitedWithCode(11), nothing_said);
}

// exit() runs the destructors of what is static while the workers stand still.
struct noted_at_exit {
  std::atomic<int>* word;
  ~noted_at_exit() {
    const int now = word->load(std::memory_order_relaxed);
    std::this_thread::sleep_for(20ms);
    // Each worker stands still at its next switch: one more turn is in order.
    if (word->load(std::memory_order_relaxed) > now + 100) ::_exit(99);
  }
};

TEST(Exit, YieldingFibersStandStillWhileStaticsAreDestroyed) {
  EXPECT_EXIT(
      {
        static std::atomic<int> turns{0};
        static const noted_at_exit last{&turns};
        heddle::runtime& rt = heddle::runtime::default_runtime();
        for (int i = 0; i < 10; ++i) {
          rt.go([] {
            for (;;) {
              turns.fetch_add(1, std::memory_order_relaxed);
              heddle::this_fiber::yield();
            }
          });
        }
        while (turns.load(std::memory_order_relaxed) < 1'000) std::this_thread::yield();
        // Registered before heddle's own handler, so run after it.
        std::exit(12);
      },
      testing::ExitedWithCode(12), nothing_said);
}

// The destructor of what is static uses a channel on which the fibers were busy when they were
// halted: nobody stands still with its lock.
struct uses_a_channel_at_exit {
  heddle::channel<int>* c;
  ~uses_a_channel_at_exit() {
    while (c->try_receive()) {
    }
    while (c->try_send(1) == heddle::channel_status::ok) {
    }
    c->close();
  }
};

TEST(Exit, WhatIsStaticMayUseWhatFibersWereBusyWith) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EXIT(
        {
          static heddle::channel<int> c(2);
          static const uses_a_channel_at_exit last{&c};
          heddle::runtime& rt = heddle::runtime::default_runtime();
          std::atomic<int> turns{0};
          for (int n = 0; n < 4; ++n) {
            rt.go([&] {
              while (c.send(1)) turns.fetch_add(1, std::memory_order_relaxed);
            });
            rt.go([&] {
              while (c.receive()) turns.fetch_add(1, std::memory_order_relaxed);
            });
          }
          while (turns.load(std::memory_order_relaxed) < 1'000) std::this_thread::yield();
          end_within_a_second();
          std::exit(13);
        },
        testing::ExitedWithCode(13), nothing_said);
  }
}

}  // namespace
