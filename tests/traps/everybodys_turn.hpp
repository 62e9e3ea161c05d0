// SPDX-License-Identifier: BSL-1.0
// everybodys_turn: for trap 29: while some fibers are busy for ever, each that is runnable gets its
//   turn within a second: from the ring, from outside, from a timer, pinned, or behind a full ring.
#pragma once

#include "world.hpp"

#include <heddle/sched/no_migrate.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace heddle_test {

/// Fails unless `f()` returns within a second.
template <class F>
void in_time(const char* what, F f) {
  const a_second limit;
  f();
  EXPECT_FALSE(limit.over()) << what;
}

/// While `busy(over)` runs, all others must get their turn. With one worker no other can help. With
/// a watchdog that takes its time: it must not be needed.
template <class Busy>
void expect_all_get_a_turn(Busy busy, unsigned workers = 1) {
  heddle::runtime rt({.workers = workers, .long_run = 1h});
  std::atomic<bool> begun{false}, over{false};
  std::thread keeper([&] {
    rt.run([&] {
      begun = true;
      busy(over);
    });
  });
  EXPECT_TRUE(eventually([&] { return begun.load(); }));
  for (int i = tsan ? 2 : 0; i < 3; ++i) {
    in_time("injected", [&] { rt.run([] {}); });
    rt.run([] {
      in_time("in the ring", [] { heddle::fiber([] {}).join(); });
      in_time("yielding", [] { heddle::this_fiber::yield(); });
      in_time("sleeping", [] { heddle::this_fiber::sleep_for(1ms); });
      in_time("pinned", [] {
        const heddle::no_migrate here;
        heddle::this_fiber::yield();
        heddle::this_fiber::sleep_for(1ms);
      });
      in_time("behind a full ring", [] {
        heddle::wait_group all;
        const int more_than_fit = sanitized ? 300 : 1'000;
        for (int k = 0; k < more_than_fit; ++k) all.go([] { heddle::this_fiber::yield(); });
        all.wait();
      });
    });
  }
  over.store(true, std::memory_order_relaxed);
  keeper.join();
}

inline bool open(const std::atomic<bool>& over) { return !over.load(std::memory_order_relaxed); }

}  // namespace heddle_test
