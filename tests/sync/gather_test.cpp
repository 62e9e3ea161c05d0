// SPDX-License-Identifier: BSL-1.0
// gather: results in order, failures, cancellation, what cannot start.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/task_group.hpp>

#include <any>
#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

using heddle::cancel_reason;
using heddle::gather;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;

namespace {

struct copy_throws {
  copy_throws() = default;
  copy_throws(const copy_throws&) { throw std::runtime_error("no copy"); }
  void operator()() const {}
};

/// Sleeps until it is cancelled; counts, if that is for the reason expected.
struct sleeper {
  std::atomic<int>& told;
  cancel_reason expected;
  void operator()() const {
    try {
      for (;;) heddle::this_fiber::sleep_for(std::chrono::hours(1));
    } catch (const heddle::cancelled& c) {
      if (c.reason() == expected) ++told;
      throw;
    }
  }
};

struct not_default {
  explicit not_default(int v) : value(v) {}
  not_default(not_default&&) = default;
  not_default& operator=(not_default&&) = delete;
  int value;
};

int plain_function() { return 11; }

using returns_void = void (*)();
using returns_ref = int& (*)();
using returns_const = const std::string (*)();
static_assert(std::is_same_v<decltype(gather()), std::tuple<>>);
static_assert(std::is_same_v<decltype(gather(plain_function)), std::tuple<int>>);
static_assert(
    std::is_same_v<decltype(gather(std::declval<returns_void>(), std::declval<returns_ref>(),
                                   std::declval<returns_const>())),
                   std::tuple<std::monostate, int&, std::string>>);

}  // namespace

HEDDLE_CREW_TEST(Gather, ReturnsTheResultsInOrder) {
  int here = 5;
  auto result = gather([] { return 1; }, [] {}, [] { return std::string("two"); },
                       [&]() -> int& { return here; }, plain_function);
  EXPECT_EQ(std::get<0>(result), 1);
  EXPECT_EQ(std::get<1>(result), std::monostate{});
  EXPECT_EQ(std::get<2>(result), "two");
  EXPECT_EQ(&std::get<3>(result), &here);
  EXPECT_EQ(std::get<4>(result), 11);
}

HEDDLE_TEST(Gather, OfNothingIsAnEmptyTuple) { EXPECT_EQ(gather(), std::tuple<>()); }

HEDDLE_TEST(Gather, ResultsOfEveryKind) {
  auto [only, fixed, any, nested, number] =
      gather([] { return std::make_unique<int>(3); }, [] { return not_default(4); },
             [] { return std::any(5); }, [] { return std::tuple<int>(6); }, [] { return 7.5; });
  EXPECT_EQ(*only, 3);
  EXPECT_EQ(fixed.value, 4);
  EXPECT_EQ(std::any_cast<int>(any), 5);
  EXPECT_EQ(std::get<0>(nested), 6);
  EXPECT_EQ(number, 7.5);
  EXPECT_EQ(std::get<0>(std::get<0>(gather([] { return std::tuple<int>(8); }))), 8);
  EXPECT_EQ(std::any_cast<int>(std::get<0>(gather([] { return std::any(9); }))), 9);
}

HEDDLE_TEST(Gather, AllRunAtOnce) {
  heddle::latch together(3);
  const auto meet = [&] { together.arrive_and_wait(); };
  gather(meet, meet, meet);
  heddle::channel<int> there, back;
  const auto [sent, got] = gather(
      [=]() mutable {
        there.send(1);
        return back.receive();
      },
      [=]() mutable {
        const auto v = there.receive();
        back.send(2);
        return v;
      });
  EXPECT_EQ(sent, 2);
  EXPECT_EQ(got, 1);
}

HEDDLE_TEST(Gather, EachRunsInAFiberOfItsOwnInTheCallersRuntime) {
  const auto id = [] {
    return std::pair(heddle::this_fiber::get_id(), heddle::runtime::current());
  };
  const auto [a, b] = gather(id, id);
  EXPECT_NE(a.first, b.first);
  EXPECT_NE(a.first, heddle::this_fiber::get_id());
  EXPECT_EQ(a.second, &rt);
  EXPECT_EQ(b.second, &rt);
}

HEDDLE_THREAD_TEST(Gather, FromAPlainThreadTheyRunInTheDefaultRuntime) {
  const auto where = [] { return heddle::runtime::current(); };
  EXPECT_EQ(std::get<0>(gather(where)), &heddle::runtime::default_runtime());
}

HEDDLE_TEST(Gather, HandsOutTheFibersStopToken) {
  gather(
      [](std::stop_token mine) {
        EXPECT_TRUE(mine.stop_possible());
        EXPECT_EQ(mine, heddle::this_fiber::get_stop_token());
      },
      [] {});
}

HEDDLE_TEST(Gather, CallablesAreConstructedInPlaceOnceAndDestroyedBeforeTheReturn) {
  struct counted {
    explicit counted(int& n) : moves(n) {}
    counted(counted&& other) noexcept : moves(other.moves) { ++moves; }
    int& moves;
    int operator()() const { return moves; }
  };
  int moves = 0;
  EXPECT_EQ(std::get<0>(gather(counted(moves))), 1);
  auto keep = std::make_shared<int>(1);
  gather([keep] {}, [keep, large = std::array<char, 500>()] { (void)large; });
  EXPECT_EQ(keep.use_count(), 1);
}

HEDDLE_CREW_TEST(Gather, TheFirstExceptionCancelsTheOthersAndIsRethrown) {
  std::atomic<int> told{0};
  const sleeper sleeps{told, cancel_reason::sibling_failed};
  try {
    gather(
        sleeps, []() -> int { throw std::runtime_error("this one"); }, sleeps);
    ADD_FAILURE();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "this one");
  }
  EXPECT_EQ(told.load(), 2);
}

HEDDLE_TEST(Gather, TheirTokensAreStoppedByAFailure) {
  EXPECT_THROW(gather(
                   [](std::stop_token mine) {
                     while (!mine.stop_requested()) heddle::this_fiber::yield();
                   },
                   [] { throw 3; }),
               int);
}

HEDDLE_TEST(Gather, CancelledIsAnOutcomeLikeAnyOther) {
  std::atomic<int> told{0};
  EXPECT_EQ(cancelled_in([&] {
              gather(sleeper{told, cancel_reason::sibling_failed},
                     [] { throw heddle::cancelled(cancel_reason::deadline); });
            }),
            cancel_reason::deadline);
  EXPECT_EQ(told.load(), 1);
}

HEDDLE_TEST(Gather, ACancelledCallerCancelsThemForItsOwnReason) {
  std::atomic<int> told{0};
  heddle::latch there(2);
  const auto sleeps = [&] {
    there.count_down();
    sleeper{told, cancel_reason::requested}();
  };
  heddle::fiber waits([&] {
    EXPECT_EQ(cancelled_in([&] { gather(sleeps, sleeps); }), cancel_reason::requested);
    EXPECT_EQ(told.load(), 2);
  });
  there.wait();
  EXPECT_TRUE(waits.cancel());
  waits.join();
}

HEDDLE_TEST(Gather, OnEntryACancelledCallerStartsNothing) {
  bool ran = false;
  in_cancelled_fiber(rt, [&] {
    EXPECT_EQ(cancelled_in([&] { gather([&] { ran = true; }); }), cancel_reason::requested);
    EXPECT_EQ(cancelled_in([&] { gather(); }), cancel_reason::requested);
  });
  EXPECT_FALSE(ran);
}

HEDDLE_TEST(Gather, ACancelledCallersReasonGoesBeforeWhatTheyThrow) {
  heddle::latch there(1);
  heddle::fiber waits([&] {
    EXPECT_EQ(cancelled_in([&] {
                gather([&] {
                  try {
                    there.count_down();
                    heddle::this_fiber::sleep_for(std::chrono::hours(1));
                  } catch (const heddle::cancelled&) {
                    throw std::runtime_error("dropped");
                  }
                });
              }),
              cancel_reason::requested);
  });
  there.wait();
  while (rt.stats().parks < 1) heddle::this_fiber::yield();
  EXPECT_TRUE(waits.cancel());
  waits.join();
}

HEDDLE_TEST(Gather, WhatCannotStartLetsTheOthersEndFirst) {
  std::atomic<int> told{0};
  const sleeper sleeps{told, cancel_reason::requested};
  const copy_throws f;
  EXPECT_THROW(gather(sleeps, sleeps, f), std::runtime_error);
  EXPECT_EQ(told.load(), 2);
  void (*null)() = nullptr;
  EXPECT_THROW(gather(sleeps, null), std::invalid_argument);
  EXPECT_EQ(told.load(), 3);
  EXPECT_THROW(gather(std::function<void()>()), std::invalid_argument);
}

HEDDLE_TEST(Gather, MayBeNestedDeeply) {
  std::function<int(int)> leaves = [&](int depth) -> int {
    if (depth == 0) return 1;
    const auto half = [&] { return leaves(depth - 1); };
    const auto [a, b] = gather(half, half);
    return a + b;
  };
  EXPECT_EQ(leaves(9), 512);
}

HEDDLE_TEST(Gather, AFailureGoesUpThroughNestedOnes) {
  std::atomic<int> told{0};
  heddle::latch there(4);
  const auto sleeps = [&] {
    there.count_down();
    sleeper{told, cancel_reason::sibling_failed}();
  };
  const auto fails = [&] {
    there.wait();
    throw 4;
  };
  EXPECT_THROW(gather([&] { gather(sleeps, [&] { gather(sleeps, sleeps); }); },
                      [&] { gather(sleeps, fails); }),
               int);
  EXPECT_EQ(told.load(), 4);
}

// Trap 9.
HEDDLE_TEST(Gather, EndsFailuresAndCancelsMayMeet) {
  jitter late(3);
  for (std::size_t i = 0; i < rounds(2'000); ++i) {
    std::atomic<int> inside{0};
    heddle::fiber waits([&, i] {
      const auto part = [&inside, i](unsigned n) {
        return [&inside, seed = static_cast<unsigned>(i) * 3 + n] {
          struct leave {
            std::atomic<int>& n;
            ~leave() { --n; }
          };
          ++inside;
          const leave at_end{inside};
          jitter own(seed);
          own();
          if (own.below(4) == 0) throw 1;
          if (own.below(2) == 0) {
            heddle::this_fiber::sleep_for(std::chrono::microseconds(own.below(50)));
          }
          return seed;
        };
      };
      try {
        const auto [a, b, c] = gather(part(0), part(1), part(2));
        EXPECT_EQ(a + 1, b);
        EXPECT_EQ(b + 1, c);
      } catch (int) {
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
