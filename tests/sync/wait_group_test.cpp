// SPDX-License-Identifier: BSL-1.0
// wait_group: counting, waiting, starting fibers; below zero.
#include "sync/crew.hpp"

#include <heddle/sync/wait_group.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <type_traits>

using heddle::wait_group;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;

namespace {

static_assert(std::is_default_constructible_v<wait_group>);
static_assert(!std::is_copy_constructible_v<wait_group> && !std::is_copy_assignable_v<wait_group>);
static_assert(std::same_as<decltype(&wait_group::wait), void (wait_group::*)()>);

struct copy_throws {
  copy_throws() = default;
  copy_throws(const copy_throws&) { throw std::runtime_error("no copy"); }
  void operator()() const {}
};

}  // namespace

HEDDLE_CREW_TEST(WaitGroup, WaitReturnsWhenTheCountIsZero) {
  wait_group g;
  g.wait();  // it is
  g.add(2);
  std::atomic<int> released{0};
  for (int i = 0; i < 3; ++i) {
    all.start_and_sleep([&] {
      g.wait();
      ++released;
    });
  }
  g.done();
  EXPECT_EQ(released.load(), 0);
  g.add(3);
  g.add(-2);
  g.done();
  EXPECT_EQ(released.load(), 0);
  g.done();
  all.join();
  EXPECT_EQ(released.load(), 3);
  g.wait();
}

HEDDLE_CREW_TEST(WaitGroup, ManyAreWaitedForByMany) {
  wait_group g;
  const std::ptrdiff_t each = static_cast<std::ptrdiff_t>(rounds(2'000));
  std::atomic<std::ptrdiff_t> done{0};
  g.add(4 * each);
  for (int i = 0; i < 3; ++i) {
    all.start([&] {
      g.wait();
      EXPECT_EQ(done.load(), 4 * each);
    });
  }
  for (int i = 0; i < 4; ++i) {
    all.start([&] {
      for (std::ptrdiff_t n = 0; n < each; ++n) {
        ++done;
        g.done();
      }
    });
  }
  g.wait();
  EXPECT_EQ(done.load(), 4 * each);
  all.join();
}

HEDDLE_CREW_TEST(WaitGroup, ItCanBeUsedAgain) {
  wait_group g;
  int n = 0;  // guarded by g
  const int times = static_cast<int>(rounds(300));
  for (int i = 1; i <= times; ++i) {
    g.add();
    all.start([&] {
      ++n;
      g.done();
    });
    g.wait();
    ASSERT_EQ(n, i);
  }
  all.join();
}

HEDDLE_TEST(WaitGroup, GoIsWaitedFor) {
  wait_group g;
  std::atomic<int> ended{0};
  for (int i = 0; i < 100; ++i) {
    g.go([&, i] {
      for (int n = 0; n < i % 5; ++n) heddle::this_fiber::yield();
      EXPECT_EQ(heddle::runtime::current(), &rt);
      ++ended;
    });
  }
  g.wait();
  EXPECT_EQ(ended.load(), 100);
}

HEDDLE_THREAD_TEST(WaitGroup, GoFromAPlainThreadIsInTheDefaultRuntime) {
  wait_group g;
  heddle::runtime* where = nullptr;
  g.go([&] { where = heddle::runtime::current(); });
  g.wait();
  EXPECT_EQ(where, &heddle::runtime::default_runtime());
}

HEDDLE_TEST(WaitGroup, WhatGoStartsMayStartMore) {
  wait_group g;
  std::atomic<int> count{0};
  std::function<void(int)> grow = [&](int depth) {
    ++count;
    if (depth == 0) return;
    for (int i = 0; i < 3; ++i) g.go([&, depth] { grow(depth - 1); });
  };
  g.go([&] { grow(4); });
  g.wait();
  EXPECT_EQ(count.load(), 1 + 3 + 9 + 27 + 81);
}

HEDDLE_TEST(WaitGroup, GoHandsOutTheFibersStopToken) {
  wait_group g;
  bool possible = false;
  g.go([&](std::stop_token mine) {
    possible = mine.stop_possible();
    EXPECT_EQ(mine, heddle::this_fiber::get_stop_token());
  });
  g.wait();
  EXPECT_TRUE(possible);
}

HEDDLE_TEST(WaitGroup, WhatGoRanIsDestroyedBeforeWaitReturns) {
  wait_group g;
  auto small = std::make_shared<int>(1);
  for (int i = 0; i < 50; ++i) {
    g.go([keep = small] { heddle::this_fiber::yield(); });
    g.go([keep = small, large = std::array<char, 500>()] { (void)large; });
    g.go([only = std::make_unique<int>(2), keep = small]() mutable { only.reset(); });
    g.wait();
    ASSERT_EQ(small.use_count(), 1);
  }
}

HEDDLE_TEST(WaitGroup, ACancelledOneIsDone) {
  wait_group g;
  std::atomic<bool> thrown{false};
  {
    heddle::runtime ends({.workers = 2});
    ends.run([&] {
      g.go([&] {
        try {
          for (;;) heddle::this_fiber::sleep_for(std::chrono::hours(1));
        } catch (const heddle::cancelled&) {
          thrown = true;
          throw;
        }
      });
    });
  }
  g.wait();
  EXPECT_TRUE(thrown.load());
}

HEDDLE_TEST(WaitGroup, WhatCannotStartIsNotCounted) {
  wait_group g;
  const copy_throws f;
  EXPECT_THROW(g.go(f), std::runtime_error);
  void (*null)() = nullptr;
  EXPECT_THROW(g.go(null), std::invalid_argument);
  EXPECT_THROW(g.go(std::function<void()>()), std::invalid_argument);
  g.wait();
  g.add();
  EXPECT_THROW(g.go(f), std::runtime_error);
  g.done();
  g.wait();
}

HEDDLE_TEST(WaitGroup, WaitIsACancellationPoint) {
  wait_group g;
  in_cancelled_fiber(rt, [&] {
    EXPECT_TRUE(cancelled_in([&] { g.wait(); }));  // though the count is zero
    g.add();
    g.done();
  });
  g.add();
  std::atomic<int> released{0};
  const auto waits = [&] {
    g.wait();
    ++released;
  };
  auto first = sleeping_fiber(rt, waits);
  auto second = sleeping_fiber(
      rt, [&] { EXPECT_EQ(cancelled_in([&] { g.wait(); }), heddle::cancel_reason::requested); });
  auto third = sleeping_fiber(rt, waits);
  second.cancel();
  second.join();
  EXPECT_EQ(released.load(), 0);
  g.done();
  first.join();
  third.join();
  EXPECT_EQ(released.load(), 2);
  // The only waiter is cancelled; then the group goes on as if nobody had waited.
  g.add();
  auto alone = sleeping_fiber(rt, [&] { EXPECT_TRUE(cancelled_in([&] { g.wait(); })); });
  alone.cancel();
  alone.join();
  g.done();
  g.wait();
}

HEDDLE_THREAD_TEST(WaitGroup, BelowZeroItTerminatesWithAMessage) {
  EXPECT_DEATH(wait_group().done(), "heddle: .*wait_group.*below zero");
  EXPECT_DEATH(
      {
        wait_group g;
        g.add(3);
        g.add(-4);
      },
      "wait_group.*below zero");
  EXPECT_DEATH(wait_group().add(PTRDIFF_MIN), "wait_group.*below zero");
  EXPECT_DEATH(heddle::run({.workers = 1},
                           [] {
                             wait_group g;
                             g.add();
                             heddle::fiber waits([&] { g.wait(); });
                             heddle::this_fiber::yield();
                             g.add(-2);
                           }),
               "wait_group.*below zero");
}
