// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/heddle.hpp>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::fiber;

HEDDLE_THREAD_TEST(Stats, AreAllZeroBeforeTheFirstFiber) {
  const auto s = rt.stats();
  EXPECT_EQ(s.fibers_alive, 0u);
  EXPECT_EQ(s.fibers_spawned, 0u);
  EXPECT_EQ(s.switches, 0u);
  EXPECT_EQ(s.steals, 0u);
  EXPECT_EQ(s.parks, 0u);
  EXPECT_EQ(s.wakes, 0u);
  EXPECT_EQ(s.timers_pending, 0u);
  EXPECT_EQ(s.long_runs, 0u);
  EXPECT_EQ(s.spare_workers, 0u);
  EXPECT_EQ(s.stacks_in_use, 0u);
  EXPECT_EQ(s.stacks_pooled, 0u);
}

HEDDLE_TEST(Stats, CountFibers) {
  const auto before = rt.stats();
  EXPECT_EQ(before.fibers_alive, 1u);
  heddle::channel<int> gate;
  std::vector<fiber> all;
  for (int i = 0; i < 10; ++i) {
    all.emplace_back([gate]() mutable { gate.receive(); });
  }
  EXPECT_EQ(rt.stats().fibers_alive, 11u);
  EXPECT_EQ(rt.stats().fibers_spawned, before.fibers_spawned + 10);
  gate.close();
  all.clear();
  EXPECT_TRUE(eventually([&] { return rt.stats().fibers_alive == 1; }));
  EXPECT_EQ(rt.stats().fibers_spawned, before.fibers_spawned + 10);
}

HEDDLE_THREAD_TEST(Stats, CountFibersFromOutsideToo) {
  for (int i = 0; i < 5; ++i) rt.run([] {});
  heddle::wait_group all;
  all.add(5);
  for (int i = 0; i < 5; ++i) rt.go([&] { all.done(); });
  all.wait();
  EXPECT_EQ(rt.stats().fibers_spawned, 10u);
}

HEDDLE_TEST(Stats, CountParksAndWakes) {
  const auto before = rt.stats();
  heddle::channel<int> c;
  fiber f([c]() mutable {
    for (int i = 0; i < 50; ++i) c.receive();
  });
  for (int i = 0; i < 50; ++i) c.send(1);
  f.join();
  const auto after = rt.stats();
  EXPECT_GE(after.parks - before.parks, 50u) << "one of the two waits for each value";
  EXPECT_GE(after.wakes - before.wakes, 50u);
}

HEDDLE_TEST(Stats, CountSwitches) {
  fiber other([] {
    for (int i = 0; i < 100; ++i) this_fiber::yield();
  });
  other.join();
  const auto s = rt.stats();
  EXPECT_GE(s.switches, 2u);
  heddle::channel<int> c;
  fiber f([c]() mutable {
    for (int i = 0; i < 100; ++i) c.receive();
  });
  for (int i = 0; i < 100; ++i) c.send(1);
  f.join();
  EXPECT_GE(rt.stats().switches - s.switches, 100u);
}

HEDDLE_THREAD_TEST(Stats, CountTimers) {
  virtual_time time;
  std::vector<fiber> all;
  for (int i = 0; i < 7; ++i)
    all.emplace_back(heddle::fiber_options{.on = &rt}, [] { this_fiber::sleep_for(1h); });
  EXPECT_TRUE(eventually([&] { return rt.stats().timers_pending == 7; }));
  all.front().cancel();
  all.front().join();
  EXPECT_EQ(rt.stats().timers_pending, 6u);
  time.advance(2h);
  EXPECT_TRUE(eventually([&] { return rt.stats().timers_pending == 0; }));
}

HEDDLE_TEST(Stats, CountStacks) {
  heddle::channel<int> gate;
  const auto parks = rt.stats().parks;
  std::vector<fiber> all;
  for (int i = 0; i < 20; ++i) {
    all.emplace_back(heddle::fiber_options{.stack_size = i % 2 == 0 ? 0u : 65'536u},
                     [gate]() mutable { gate.receive(); });
  }
  EXPECT_TRUE(eventually([&] { return rt.stats().parks >= parks + 20; }));
  EXPECT_TRUE(eventually([&] { return rt.stats().stacks_in_use == 21; }));
  EXPECT_GE(rt.stats().stack_bytes, 11u * 256 * 1024 + 10u * 65'536);
  gate.close();
  all.clear();
  EXPECT_TRUE(eventually([&] { return rt.stats().stacks_in_use == 1; }));
  EXPECT_GE(rt.stats().stacks_pooled, 10u);
}

HEDDLE_TEST(Stats, BindNoStackToAFiberThatHasNotRun) {
  if (rt.workers() != 1) return;
  std::vector<fiber> all;
  for (int i = 0; i < 1000; ++i) all.emplace_back([] {});
  EXPECT_EQ(rt.stats().fibers_alive, 1001u);
  EXPECT_LE(rt.stats().stacks_in_use, 2u);
  all.clear();
  EXPECT_LE(rt.stats().stack_bytes, 64u * 256 * 1024) << "they all ran on the same warm stack";
}

HEDDLE_TEST(Stats, CountSteals) {
  if (rt.workers() < 2) return;
  // Work that its own worker cannot come to is stolen.
  EXPECT_TRUE(eventually([&] {
    std::atomic<int> ran{0};
    heddle::wait_group all;
    for (int i = 0; i < 64; ++i) all.go([&] { ++ran; });
    while (ran < 64 && rt.stats().steals == 0) heddle::detail::cpu_relax();
    all.wait();
    return rt.stats().steals > 0;
  }));
}

HEDDLE_THREAD_TEST(Stats, CanBeReadWhileAllIsInMotion) {
  std::atomic<bool> over{false};
  std::thread reader([&] {
    while (!over) {
      const auto s = rt.stats();
      ASSERT_LE(s.fibers_alive, 10'000u);
      ASSERT_LE(s.stacks_in_use, 10'000u);
      ASSERT_LE(s.timers_pending, 10'000u);
    }
  });
  rt.run([] {
    for (std::size_t i = 0; i < rounds(200); ++i) {
      heddle::wait_group all;
      for (int k = 0; k < 20; ++k) all.go([] { this_fiber::sleep_for(1us); });
      all.wait();
    }
  });
  over = true;
  reader.join();
}

}  // namespace
