// SPDX-License-Identifier: BSL-1.0
// once: the function runs once, and everybody sees that it did.
#include "migrate.hpp"
#include "sync/crew.hpp"

#include <heddle/sync/mutex.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace heddle_test;

namespace {

static_assert(std::is_nothrow_default_constructible_v<heddle::once_flag>);
static_assert(!std::is_copy_constructible_v<heddle::once_flag>);
static_assert(!std::is_copy_assignable_v<heddle::once_flag>);
static_assert(!std::is_move_constructible_v<heddle::once_flag>);
#if !defined(HEDDLE_ASSERTIONS)
static_assert(std::is_trivially_destructible_v<heddle::once_flag>);
static_assert(sizeof(heddle::once_flag) == sizeof(void*));
#endif
constinit heddle::once_flag made_before_main;

struct adder {
  int total = 0;
  void add(int n) { total += n; }
};

}  // namespace

HEDDLE_STD_TEST(Once, CallsTheFunctionOnce) {
  typename kit::once_flag flag;
  int calls = 0;
  for (int i = 0; i < 3; ++i) kit::call_once(flag, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
  kit::call_once(flag, [] { throw std::runtime_error("is not called"); });
}

HEDDLE_STD_TEST(Once, HandsItsArgumentsOn) {
  typename kit::once_flag a, b, c, d;
  adder sum;
  kit::call_once(a, &adder::add, &sum, 3);
  kit::call_once(b, &adder::add, sum, 4);
  EXPECT_EQ(sum.total, 7);
  auto only = std::make_unique<int>(5);
  int* const was = only.get();
  kit::call_once(
      c,
      [&](std::unique_ptr<int>&& mine, int& out) {
        EXPECT_EQ(mine.get(), was);
        out = *std::move(mine);
      },
      std::move(only), sum.total);
  EXPECT_EQ(sum.total, 5);
  struct by_value_category {
    int operator()() & { return 1; }
    int operator()() && { throw 2; }
  };
  by_value_category f;
  kit::call_once(d, f);
  typename kit::once_flag e;
  EXPECT_THROW(kit::call_once(e, by_value_category{}), int);
  // Not called: not moved from either.
  auto kept = std::make_unique<int>(1);
  kit::call_once(
      d, [](std::unique_ptr<int>) {}, std::move(kept));
  EXPECT_NE(kept, nullptr);
}

HEDDLE_STD_TEST(Once, TheOthersWaitForItsEnd) {
  typename kit::once_flag flag;
  std::atomic<bool> may_end{false}, runs{false};
  std::atomic<int> passed{0};
  int made = 0;  // published by the flag
  all.start([&] {
    kit::call_once(flag, [&] {
      runs = true;
      while (!may_end.load()) heddle::this_fiber::yield();
      made = 42;
    });
  });
  EXPECT_TRUE(eventually([&] { return runs.load(); }));
  for (int i = 0; i < 6; ++i) {
    all.start([&] {
      kit::call_once(flag, [] { ADD_FAILURE() << "called twice"; });
      EXPECT_EQ(made, 42);
      ++passed;
    });
  }
  for (int i = 0; i < 100; ++i) heddle::this_fiber::yield();
  EXPECT_EQ(passed.load(), 0);
  may_end = true;
  all.join();
  EXPECT_EQ(passed.load(), 6);
}

HEDDLE_CREW_TEST(Once, ThoseWhoSleepAreWoken) {
  heddle::once_flag flag;
  std::atomic<bool> may_end{false}, runs{false};
  std::atomic<int> passed{0};
  // It is a fiber of its own, or the crew's parks could not be told from those of this one.
  std::thread active([&] {
    heddle::call_once(flag, [&] {
      runs = true;
      while (!may_end.load()) std::this_thread::yield();
    });
  });
  EXPECT_TRUE(eventually([&] { return runs.load(); }));
  for (int i = 0; i < 6; ++i) {
    all.start_and_sleep([&] {
      heddle::call_once(flag, [] { ADD_FAILURE() << "called twice"; });
      ++passed;
    });
  }
  EXPECT_EQ(passed.load(), 0);
  may_end = true;
  all.join();
  active.join();
  EXPECT_EQ(passed.load(), 6);
}

// Not asked of std: libstdc++'s hangs there, on most platforms.
HEDDLE_CREW_TEST(Once, AnExceptionLetsTheNextOneTry) {
  heddle::once_flag flag;
  std::atomic<int> tries{0}, thrown{0}, finished{0};
  for (int i = 0; i < 8; ++i) {
    all.start([&] {
      try {
        heddle::call_once(flag, [&] {
          const int now = ++tries;
          heddle::this_fiber::yield();
          if (now <= 3) throw now;
          finished = now;
        });
        EXPECT_EQ(finished.load(), 4);
      } catch (int which) {
        EXPECT_LE(which, 3);
        ++thrown;
      }
    });
  }
  all.join();
  EXPECT_EQ(thrown.load(), 3);
  EXPECT_EQ(tries.load(), 4);
  heddle::call_once(flag, [] { ADD_FAILURE() << "called again"; });
}

HEDDLE_CREW_TEST(Once, ASleeperIsTheNextOneAfterAnException) {
  heddle::once_flag flag;
  std::atomic<bool> may_end{false}, runs{false}, second{false};
  std::thread active([&] {
    EXPECT_THROW(heddle::call_once(flag,
                                   [&] {
                                     runs = true;
                                     while (!may_end.load()) std::this_thread::yield();
                                     throw 1;
                                   }),
                 int);
  });
  EXPECT_TRUE(eventually([&] { return runs.load(); }));
  for (int i = 0; i < 3; ++i) {
    all.start_and_sleep(
        [&] { heddle::call_once(flag, [&] { EXPECT_FALSE(second.exchange(true)); }); });
  }
  may_end = true;
  all.join();
  active.join();
  EXPECT_TRUE(second.load());
}

HEDDLE_STD_TEST(Once, RunsOnceHoweverManyComeTogether) {
  const std::size_t times = rounds(3'000);
  constexpr int parties = 3;
  std::vector<typename kit::once_flag> flags(times);
  std::vector<int> calls(times);  // published by the flags
  start_line line(parties);
  for (unsigned i = 0; i < parties; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      for (std::size_t n = 0; n < times; ++n) {
        line.wait();
        late();
        kit::call_once(flags[n], [&] {
          late();
          ++calls[n];
        });
        EXPECT_EQ(calls[n], 1);
      }
    });
  }
  all.join();
}

// One of the parties is often the active one whose function throws, while another falls asleep.
HEDDLE_CREW_TEST(Once, NoSleeperIsForgottenWhereExceptionsRace) {
  const std::size_t times = rounds(3'000);
  constexpr int parties = 3;
  std::vector<heddle::once_flag> flags(times);
  std::vector<std::atomic<int>> calls(times), returned(times);
  start_line line(parties);
  for (unsigned i = 0; i < parties; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      for (std::size_t n = 0; n < times; ++n) {
        line.wait();
        late();
        try {
          heddle::call_once(flags[n], [&] {
            late();
            if (++calls[n] < 3) throw 1;
          });
          ++returned[n];
        } catch (int) {
        }
      }
    });
  }
  all.join();
  for (std::size_t n = 0; n < times; ++n) {
    ASSERT_EQ(calls[n].load(), 3);
    ASSERT_EQ(returned[n].load(), 1);
  }
}

HEDDLE_TEST(Once, IsNoCancellationPoint) {
  heddle::once_flag flag, other;
  int calls = 0;
  in_cancelled_fiber(rt, [&] {
    EXPECT_FALSE(cancelled_in([&] { heddle::call_once(flag, [&] { ++calls; }); }));
    EXPECT_FALSE(cancelled_in([&] { heddle::call_once(flag, [&] { ++calls; }); }));
    // What it calls may be one: then the next one tries.
    EXPECT_TRUE(cancelled_in([&] { heddle::call_once(other, heddle::this_fiber::check_cancel); }));
  });
  EXPECT_EQ(calls, 1);
  std::atomic<bool> passed{false};
  heddle::call_once(other, [&] {
    auto waits = sleeping_fiber(rt, [&] {
      EXPECT_FALSE(cancelled_in([&] { heddle::call_once(other, [] {}); }));
      passed = true;
    });
    EXPECT_TRUE(waits.cancel());
    for (int i = 0; i < 100; ++i) heddle::this_fiber::yield();
    EXPECT_FALSE(passed.load());
    waits.detach();
  });
  EXPECT_TRUE(eventually([&] { return passed.load(); }));
}

HEDDLE_TEST(Once, TheFunctionMayMigrate) {
  if (rt.workers() == 1) return;
  heddle::once_flag flag;
  std::atomic<int> passed{0};
  heddle::wait_group others;
  for (int i = 0; i < 4; ++i) {
    others.go([&] {
      heddle::call_once(flag, [] { migrate(); });
      ++passed;
    });
  }
  others.wait();
  EXPECT_EQ(passed.load(), 4);
}

TEST(Once, FlagsMayNestAndBeMadeBeforeMain) {
  heddle::once_flag inner;
  int calls = 0;
  heddle::call_once(made_before_main, [&] { heddle::call_once(inner, [&] { ++calls; }); });
  EXPECT_EQ(calls, 1);
}

#if defined(HEDDLE_ASSERTIONS)
TEST(Once, DiesWithAMessageIfItIsMisused) {
  EXPECT_DEATH(heddle::run({.workers = 1},
                           [] {
                             heddle::once_flag flag;
                             heddle::call_once(flag, [&] { heddle::call_once(flag, [] {}); });
                           }),
               "once_flag 0x[0-9a-f]+: call_once is called by the function that it runs.* in fiber "
               "[0-9]+");
  EXPECT_DEATH(heddle::run({.workers = 1},
                           [] {
                             std::optional<heddle::once_flag> flag(std::in_place);
                             heddle::call_once(*flag, [&] { flag.reset(); });
                           }),
               "once_flag 0x[0-9a-f]+ is destroyed while its function runs");
}
#endif
