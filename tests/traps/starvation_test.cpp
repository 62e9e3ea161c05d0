// SPDX-License-Identifier: BSL-1.0
// starvation: trap 29: whatever some fibers do for ever, each that is runnable gets its turn within
//   a second: from the ring, from outside, from a timer, pinned, or behind a full ring.
#include "traps/everybodys_turn.hpp"

#include <heddle/sched/no_migrate.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace {

using namespace heddle_test;

// However long it takes from one yield to the next: what comes from outside needs no more of them.
TEST(Starvation, NotByOneWhoSeldomYields) {
  heddle::runtime rt({.workers = 1});
  rt.run([&] {
    std::atomic<bool> ran{false};
    std::thread([&] { rt.go([&] { ran = true; }); }).join();
    int yields = 0;
    for (; !ran.load() && yields < 100; ++yields) heddle::this_fiber::yield();
    EXPECT_LE(yields, 2);
  });
}

TEST(Starvation, NotByABufferedStream) {
  expect_all_get_a_turn([](std::atomic<bool>& over) {
    heddle::channel<int> c(16);
    heddle::fiber other([c]() mutable {
      for ([[maybe_unused]] int v : c) {
      }
    });
    while (open(over)) c.send(1);
    c.close();
  });
}

TEST(Starvation, NotByFibersThatYield) {
  expect_all_get_a_turn([](std::atomic<bool>& over) {
    heddle::wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        while (open(over)) heddle::this_fiber::yield();
      });
    }
    all.wait();
  });
}

// Each starts its follower and ends: no fiber is the same for long.
TEST(Starvation, NotByAChainThatStartsItself) {
  struct link {
    std::atomic<bool>& over;
    heddle::wait_group& all;
    void operator()() const {
      if (open(over)) all.go(*this);
    }
  };
  expect_all_get_a_turn([](std::atomic<bool>& over) {
    heddle::wait_group all;
    all.go(link{over, all});
    all.wait();
  });
}

TEST(Starvation, NotByAChainThatJoins) {
  expect_all_get_a_turn([](std::atomic<bool>& over) {
    while (open(over)) heddle::fiber([] {}).join();
  });
}

// Timers that are always due must not keep out the rest.
TEST(Starvation, NotBySleepersThatAreAlwaysDue) {
  expect_all_get_a_turn([](std::atomic<bool>& over) {
    heddle::wait_group all;
    for (int i = 0; i < 200; ++i) {
      all.go([&] {
        while (open(over)) heddle::this_fiber::sleep_for(1ns);
      });
    }
    all.wait();
  });
}

// Nor pinned fibers, which come from a queue of their own.
TEST(Starvation, NotByPinnedFibers) {
  expect_all_get_a_turn([](std::atomic<bool>& over) {
    heddle::wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        const heddle::no_migrate here;
        while (open(over)) heddle::this_fiber::yield();
      });
    }
    all.wait();
  });
}

// Nor what comes from outside without end.
TEST(Starvation, NotByAFloodFromOutside) {
  heddle::runtime rt({.workers = 1, .long_run = 1h});
  std::atomic<bool> over{false};
  std::atomic<int> waiting{0};
  std::thread flood([&] {
    while (open(over)) {
      if (waiting.load(std::memory_order_relaxed) > 10'000) {
        std::this_thread::yield();
        continue;
      }
      waiting.fetch_add(1, std::memory_order_relaxed);
      rt.go([&waiting] { waiting.fetch_sub(1, std::memory_order_relaxed); });
    }
  });
  rt.run([] {
    for (int i = 0; i < 10; ++i) {
      in_time("yielding", [] { heddle::this_fiber::yield(); });
      in_time("in the ring", [] { heddle::fiber([] {}).join(); });
      in_time("sleeping", [] { heddle::this_fiber::sleep_for(1ms); });
    }
  });
  over.store(true, std::memory_order_relaxed);
  flood.join();
}

}  // namespace
