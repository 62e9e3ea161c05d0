// SPDX-License-Identifier: BSL-1.0
// race: who wins, what becomes of the others, cancellation.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/task_group.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

using heddle::cancel_reason;
using heddle::race;
using heddle_test::cancelled_in;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;

namespace {

struct copy_throws {
  copy_throws() = default;
  copy_throws(const copy_throws&) { throw std::runtime_error("no copy"); }
  int operator()() const { return 0; }
};

/// Sleeps until it is cancelled; counts, if that is for the reason expected.
template <class Result = int>
struct sleeper {
  std::atomic<int>& told;
  cancel_reason expected = cancel_reason::requested;
  Result operator()() const {
    try {
      for (;;) heddle::this_fiber::sleep_for(std::chrono::hours(1));
    } catch (const heddle::cancelled& c) {
      if (c.reason() == expected) ++told;
      throw;
    }
  }
};

using returns_int = int (*)();
using returns_double = double (*)();
using returns_ref = int& (*)();
using returns_void = void (*)();
template <class... F>
using raced = decltype(race(std::declval<F>()...));
static_assert(std::is_same_v<raced<returns_int>, int>);
static_assert(std::is_same_v<raced<returns_int, returns_double>, double>);
static_assert(std::is_same_v<raced<returns_ref, returns_ref>, int>);
static_assert(std::is_same_v<raced<returns_void, returns_void>, void>);

}  // namespace

HEDDLE_CREW_TEST(Race, TheFirstToFinishWinsAndTheOthersAreCancelled) {
  std::atomic<int> told{0};
  const sleeper<> sleeps{told};
  EXPECT_EQ(race(
                sleeps, [] { return 7; }, sleeps),
            7);
  EXPECT_EQ(told.load(), 2);  // and waited for
}

HEDDLE_CREW_TEST(Race, ByItsExceptionToo) {
  std::atomic<int> told{0};
  EXPECT_THROW(race(sleeper<>{told}, []() -> int { throw std::runtime_error("first"); }),
               std::runtime_error);
  EXPECT_EQ(told.load(), 1);
}

HEDDLE_TEST(Race, OfOneIsACall) {
  EXPECT_EQ(race([] { return std::string("x"); }), "x");
  bool ran = false;
  race([&] { ran = true; });
  EXPECT_TRUE(ran);
}

HEDDLE_TEST(Race, ReturnsTheCommonType) {
  std::atomic<int> told{0};
  EXPECT_EQ(race([] { return "text"; }, sleeper<std::string>{told}), "text");
  EXPECT_EQ(race(sleeper<double>{told}, [] { return 3; }), 3.0);
  EXPECT_EQ(*race([] { return std::make_unique<int>(4); }, sleeper<std::unique_ptr<int>>{told}), 4);
  race([] {}, sleeper<void>{told});
  EXPECT_EQ(told.load(), 4);
}

HEDDLE_TEST(Race, AConversionThatThrowsIsTheOutcome) {
  struct target {
    target() = default;
    explicit(false) target(int) { throw std::runtime_error("no"); }
  };
  std::atomic<int> told{0};
  EXPECT_THROW(race([] { return 1; }, sleeper<target>{told}), std::runtime_error);
  EXPECT_EQ(told.load(), 1);
}

HEDDLE_TEST(Race, TheLosersOutcomesAreDropped) {
  heddle::latch won(1);
  const auto loses = [](auto how) {
    return [how](std::stop_token mine) -> int {
      while (!mine.stop_requested()) heddle::this_fiber::yield();
      return how();
    };
  };
  EXPECT_EQ(race(
                loses([] { return 1; }), [] { return 2; },
                loses([]() -> int { throw std::runtime_error("dropped"); })),
            2);
}

HEDDLE_TEST(Race, EachRunsInAFiberOfTheCallersRuntime) {
  EXPECT_EQ(race([] { return heddle::runtime::current(); }), &rt);
  EXPECT_NE(race([] { return heddle::this_fiber::get_id(); }), heddle::this_fiber::get_id());
}

HEDDLE_THREAD_TEST(Race, FromAPlainThreadTheyRunInTheDefaultRuntime) {
  EXPECT_EQ(race([] { return heddle::runtime::current(); }), &heddle::runtime::default_runtime());
}

HEDDLE_TEST(Race, WhatTheyOwnedIsDestroyedBeforeTheReturn) {
  auto keep = std::make_shared<int>(1);
  std::atomic<int> told{0};
  EXPECT_EQ(race([keep] { return *keep; }, [keep, s = sleeper<>{told}] { return s(); }), 1);
  EXPECT_EQ(keep.use_count(), 1);
}

HEDDLE_TEST(Race, CancelledIsAnOutcomeLikeAnyOther) {
  std::atomic<int> told{0};
  EXPECT_EQ(cancelled_in([&] {
              race(sleeper<>{told},
                   []() -> int { throw heddle::cancelled(cancel_reason::deadline); });
            }),
            cancel_reason::deadline);
  EXPECT_EQ(told.load(), 1);
}

HEDDLE_TEST(Race, ACancelledCallerCancelsThemForItsOwnReason) {
  std::atomic<int> told{0};
  {
    heddle::runtime ends({.workers = 2});
    ends.run([&] {
      heddle::latch there(2);
      const auto sleeps = [&] {
        there.count_down();
        return sleeper<>{told, cancel_reason::requested}();
      };
      heddle::fiber waits([&] {
        EXPECT_EQ(cancelled_in([&] { race(sleeps, sleeps); }), cancel_reason::requested);
        EXPECT_EQ(told.load(), 2);
      });
      there.wait();
      EXPECT_TRUE(waits.cancel());
      waits.join();
    });
  }
  EXPECT_EQ(told.load(), 2);
}

HEDDLE_TEST(Race, OnEntryACancelledCallerStartsNothing) {
  bool ran = false;
  in_cancelled_fiber(rt, [&] {
    EXPECT_EQ(cancelled_in([&] { race([&] { ran = true; }); }), cancel_reason::requested);
  });
  EXPECT_FALSE(ran);
}

HEDDLE_TEST(Race, WhatCannotStartLetsTheOthersEndFirst) {
  std::atomic<int> told{0};
  const copy_throws f;
  EXPECT_THROW(race(sleeper<>{told}, sleeper<>{told}, f), std::runtime_error);
  EXPECT_EQ(told.load(), 2);
  int (*null)() = nullptr;
  EXPECT_THROW(race(sleeper<>{told}, null), std::invalid_argument);
  EXPECT_EQ(told.load(), 3);
}

HEDDLE_TEST(Race, ALoserThatIgnoresItIsWaitedFor) {
  std::atomic<bool> ended{false};
  EXPECT_EQ(race([] { return 1; },
                 [&](std::stop_token mine) {
                   while (!mine.stop_requested()) heddle::this_fiber::yield();
                   for (int i = 0; i < 100; ++i) heddle::this_fiber::yield();
                   ended = true;
                   return 2;
                 }),
            1);
  EXPECT_TRUE(ended.load());
}

HEDDLE_TEST(Race, ATimeoutByASleeper) {
  heddle::channel<int> never;
  EXPECT_EQ(race([=]() mutable { return never.receive().value_or(1); },
                 [] {
                   heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
                   return -1;
                 }),
            -1);
}

// Trap 9: two finish at the same instant, and the caller is cancelled, perhaps.
HEDDLE_TEST(Race, ManyMayFinishAtOnce) {
  jitter late(3);
  for (std::size_t i = 0; i < rounds(2'000); ++i) {
    std::atomic<int> inside{0};
    heddle::fiber waits([&, i] {
      const auto part = [&inside, i](unsigned n) {
        return [&inside, n, seed = static_cast<unsigned>(i) * 3 + n]() -> unsigned {
          struct leave {
            std::atomic<int>& n;
            ~leave() { --n; }
          };
          ++inside;
          const leave at_end{inside};
          jitter own(seed);
          own();
          if (own.below(4) == 0) throw n;
          if (own.below(4) == 0) heddle::this_fiber::sleep_for(std::chrono::hours(1));
          return n;
        };
      };
      try {
        EXPECT_LT(race(part(0), part(1), part(2), [] { return 3u; }), 4u);
      } catch (unsigned n) {
        EXPECT_LT(n, 3u);
      } catch (const heddle::cancelled& c) {
        EXPECT_EQ(c.reason(), cancel_reason::requested);
      }
      EXPECT_EQ(inside.load(), 0);
    });
    for (unsigned n = late.below(10); n > 0; --n) late();
    if (i % 2 == 0) waits.cancel();
    waits.join();
  }
}
