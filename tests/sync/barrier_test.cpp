// SPDX-License-Identifier: BSL-1.0
// barrier: phases, tokens, dropping, the completion. What std promises is asked of std too.
#include "sync/crew.hpp"

#include <heddle/sync/barrier.hpp>
#include <heddle/sync/latch.hpp>

#include <array>
#include <barrier>
#include <concepts>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;

namespace {

template <class B>
concept std_like = requires(B b, const B c, std::ptrdiff_t n, typename B::arrival_token token) {
  { B::max() }
  noexcept->std::same_as<std::ptrdiff_t>;
  { b.arrive() } -> std::same_as<typename B::arrival_token>;
  { b.arrive(n) } -> std::same_as<typename B::arrival_token>;
  { c.wait(std::move(token)) } -> std::same_as<void>;
  { b.arrive_and_wait() } -> std::same_as<void>;
  { b.arrive_and_drop() } -> std::same_as<void>;
};
struct nothing {
  void operator()() noexcept {}
};
using plain = heddle::barrier<>;
static_assert(std_like<std::barrier<>> && std_like<std::barrier<nothing>>);
static_assert(std_like<plain> && std_like<heddle::barrier<nothing>>);
static_assert(std_like<heddle::barrier<void (*)() noexcept>>);
static_assert(plain::max() >= std::numeric_limits<int>::max());
static_assert(!std::is_copy_constructible_v<plain> && !std::is_copy_assignable_v<plain>);
static_assert(!std::is_default_constructible_v<plain>);
static_assert(!std::is_convertible_v<std::ptrdiff_t, plain>);
static_assert(std::is_constructible_v<heddle::barrier<nothing>, std::ptrdiff_t, nothing>);
static_assert(std::is_nothrow_move_constructible_v<plain::arrival_token>);
static_assert(std::is_nothrow_move_assignable_v<plain::arrival_token>);
static_assert(std::is_same_v<decltype(heddle::barrier(1)), plain>);
static_assert(std::is_same_v<decltype(heddle::barrier(1, nothing{})), heddle::barrier<nothing>>);

constinit heddle::barrier made_before_main(1);

}  // namespace

HEDDLE_STD_TEST(Barrier, NobodyPassesAPhaseBeforeAllHaveArrived) {
  constexpr int parties = 6;
  const int phases = static_cast<int>(rounds(300));
  typename kit::template barrier<> b(parties);
  std::array<int, parties> reached{};  // each written by its party, read between the phases
  for (int p = 0; p < parties; ++p) {
    all.start([&, p] {
      jitter late(static_cast<unsigned>(p) + 1);
      for (int phase = 1; phase <= phases; ++phase) {
        late();
        reached[p] = phase;
        b.arrive_and_wait();
        for (const int each : reached) EXPECT_EQ(each, phase);
        b.arrive_and_wait();
      }
    });
  }
  all.join();
}

HEDDLE_STD_TEST(Barrier, TheCompletionRunsOnceAPhaseAfterAllHaveComeAndBeforeAnyGoesOn) {
  constexpr int parties = 5;
  const int phases = static_cast<int>(rounds(300));
  std::array<int, parties> reached{};
  int completed = 0;  // written by the completion only
  const auto completion = [&]() noexcept {
    ++completed;
    for (const int each : reached) EXPECT_EQ(each, completed);
  };
  typename kit::template barrier<decltype(completion)> b(parties, completion);
  for (int p = 0; p < parties; ++p) {
    all.start([&, p] {
      jitter late(static_cast<unsigned>(p) + 1);
      for (int phase = 1; phase <= phases; ++phase) {
        late();
        reached[p] = phase;
        if (p % 2 == 0) {
          b.arrive_and_wait();
        } else {
          auto token = b.arrive();
          late();
          b.wait(std::move(token));
        }
        EXPECT_EQ(completed, phase);
      }
    });
  }
  all.join();
  EXPECT_EQ(completed, phases);
}

HEDDLE_STD_TEST(Barrier, ArriveDoesNotWaitAndMayCountForSeveral) {
  int completed = 0;
  const auto completion = [&]() noexcept { ++completed; };
  typename kit::template barrier<decltype(completion)> b(5, completion);
  auto one = b.arrive();
  auto three = b.arrive(3);
  EXPECT_EQ(completed, 0);
  auto last = b.arrive();
  EXPECT_EQ(completed, 1);  // though nobody waits
  b.wait(std::move(one));   // the phase before: at once
  b.wait(std::move(three));
  b.wait(std::move(last));
  auto all_at_once = b.arrive(5);
  EXPECT_EQ(completed, 2);
  b.wait(std::move(all_at_once));
}

HEDDLE_STD_TEST(Barrier, ATokenCanBeMovedAndWaitedForElsewhere) {
  typename kit::template barrier<> b(2);
  auto token = b.arrive();
  auto other = b.arrive();
  b.wait(std::move(other));
  other = b.arrive();
  token = std::move(other);  // of the current phase
  std::atomic<bool> through{false};
  all.start([&, mine = std::move(token)]() mutable {
    b.wait(std::move(mine));
    through = true;
  });
  EXPECT_FALSE(through.load());
  (void)b.arrive();
  all.join();
  EXPECT_TRUE(through.load());
}

HEDDLE_STD_TEST(Barrier, WhoDropsIsNotExpectedAgain) {
  constexpr int parties = 4;
  int completed = 0;
  const auto completion = [&]() noexcept { ++completed; };
  typename kit::template barrier<decltype(completion)> b(parties, completion);
  for (int p = 0; p < parties; ++p) {
    all.start([&, p] {
      for (int phase = 0; phase < p; ++phase) b.arrive_and_wait();
      b.arrive_and_drop();  // party p takes part in p + 1 phases
    });
  }
  all.join();
  EXPECT_EQ(completed, parties);
}

HEDDLE_STD_TEST(Barrier, WhoDropsLastCompletesThePhase) {
  int completed = 0;
  const auto completion = [&]() noexcept { ++completed; };
  typename kit::template barrier<decltype(completion)> b(3, completion);
  auto token = b.arrive(2);
  b.arrive_and_drop();
  EXPECT_EQ(completed, 1);
  b.wait(std::move(token));
  (void)b.arrive(2);
  EXPECT_EQ(completed, 2);
}

HEDDLE_STD_TEST(Barrier, OfOneIsAlwaysReady) {
  int completed = 0;
  const auto completion = [&]() noexcept { ++completed; };
  typename kit::template barrier<decltype(completion)> b(1, completion);
  for (int i = 1; i <= 3; ++i) {
    b.arrive_and_wait();
    EXPECT_EQ(completed, i);
  }
}

HEDDLE_STD_TEST(Barrier, OfNobodyCanBeDestroyed) { typename kit::template barrier<> b(0); }

namespace {

/// Can be moved, and has a state.
struct counting {
  std::unique_ptr<int> mine = std::make_unique<int>(0);
  int* told;
  void operator()() noexcept { *told = ++*mine; }
};

struct cannot_be_moved {
  cannot_be_moved() = default;
  cannot_be_moved(cannot_be_moved&&) { throw std::runtime_error("no"); }
  void operator()() noexcept {}
};

}  // namespace

HEDDLE_STD_TEST(Barrier, KeepsItsCompletionWithItsState) {
  int told = 0;
  typename kit::template barrier<counting> b(1, counting{.told = &told});
  for (int i = 1; i <= 3; ++i) {
    b.arrive_and_wait();
    EXPECT_EQ(told, i);
  }
  EXPECT_THROW((typename kit::template barrier<cannot_be_moved>(1)), std::runtime_error);
}

HEDDLE_CREW_TEST(Barrier, ReleasesAllWhoSleep) {
  heddle::barrier b(7);
  std::atomic<int> through{0};
  for (int i = 0; i < 6; ++i) {
    all.start_and_sleep([&] {
      b.arrive_and_wait();
      ++through;
    });
  }
  EXPECT_EQ(through.load(), 0);
  auto token = b.arrive();
  all.join();
  EXPECT_EQ(through.load(), 6);
  b.wait(std::move(token));
}

// No internal lock is held: it may wait for whatever it likes, others may look at the barrier, and
// those who wait go on only after it.
HEDDLE_CREW_TEST(Barrier, TheCompletionMayBlockAndRunsOnTheLastToCome) {
  heddle::latch go_on(1);
  std::atomic<bool> inside{false}, complete{false};
  std::atomic<int> through{0};
  heddle::fiber::id ran_on, last_on;
  const auto completion = [&]() noexcept {
    ran_on = heddle::this_fiber::get_id();
    inside = true;
    go_on.wait();
    complete = true;
  };
  heddle::barrier b(4, completion);
  auto token = b.arrive();
  const auto passes = [&] {
    EXPECT_TRUE(complete.load());
    ++through;
  };
  for (int i = 0; i < 2; ++i) {
    all.start_and_sleep([&] {
      b.arrive_and_wait();
      passes();
    });
  }
  all.start([&] {
    last_on = heddle::this_fiber::get_id();
    b.arrive_and_wait();
    passes();
  });
  EXPECT_TRUE(eventually([&] { return inside.load(); }));
  all.start([&, mine = std::move(token)]() mutable {
    b.wait(std::move(mine));
    passes();
  });
  for (int i = 0; i < 50; ++i) heddle::this_fiber::yield();
  EXPECT_EQ(through.load(), 0);
  go_on.count_down();
  all.join();
  EXPECT_EQ(through.load(), 4);
  EXPECT_EQ(ran_on, last_on);
}

// Tokens of many phases, by parties that fall asleep or do not, as it comes.
HEDDLE_CREW_TEST(Barrier, AnyMixtureStaysInStep) {
  constexpr int parties = 5;
  const int phases = static_cast<int>(rounds(1'000));
  std::atomic<int> phase{0};
  const auto completion = [&]() noexcept { ++phase; };
  heddle::barrier b(parties, completion);
  for (int p = 0; p < parties; ++p) {
    all.start([&, p] {
      jitter late(static_cast<unsigned>(p) + 1);
      for (int i = 0; i < phases; ++i) {
        EXPECT_EQ(phase.load(), i);
        if (late.below(2) == 0) {
          b.arrive_and_wait();
          continue;
        }
        auto token = b.arrive();
        late();
        b.wait(std::move(token));
      }
      if (p > 0) b.arrive_and_drop();
    });
  }
  all.join();
  b.arrive_and_wait();
  b.arrive_and_wait();
  EXPECT_EQ(phase.load(), phases + 2);
}

HEDDLE_TEST(Barrier, IsNoCancellationPoint) {
  heddle::barrier b(2);
  std::atomic<bool> through{false};
  auto waits = sleeping_fiber(rt, [&] {
    EXPECT_FALSE(cancelled_in([&] { b.arrive_and_wait(); }));
    through = true;
  });
  EXPECT_TRUE(waits.cancel());
  for (int i = 0; i < 50; ++i) heddle::this_fiber::yield();
  EXPECT_FALSE(through.load());
  in_cancelled_fiber(rt, [&] {
    EXPECT_FALSE(cancelled_in([&] { b.arrive_and_wait(); }));
    EXPECT_FALSE(cancelled_in([&] { b.wait(b.arrive(2)); }));
  });
  waits.join();
  EXPECT_TRUE(through.load());
}

TEST(Barrier, CanBeMadeBeforeMain) { made_before_main.arrive_and_wait(); }

HEDDLE_TEST(Barrier, ItsCompletionIsShielded) {
  in_cancelled_fiber(rt, [&] {
    bool completed = false;
    heddle::barrier b(1, [&]() noexcept {
      heddle::this_fiber::check_cancel();
      completed = true;
    });
    b.arrive_and_wait();
    EXPECT_TRUE(completed);
  });
}

#if defined(HEDDLE_ASSERTIONS)
TEST(Barrier, DiesWithAMessageOfTooManyArrivals) {
  EXPECT_DEATH(heddle::barrier(-1), "heddle: barrier 0x[0-9a-f]+ is made for -1 parties");
  EXPECT_DEATH((void)heddle::barrier(2).arrive(3),
               "heddle: barrier 0x[0-9a-f]+: 3 arrive where 2 are still missing");
  EXPECT_DEATH((void)heddle::barrier(2).arrive(0), "barrier .*: 0 arrive where 2");
  EXPECT_DEATH((void)heddle::barrier(2).arrive(-1), "barrier .*: -1 arrive where 2");
  EXPECT_DEATH(heddle::barrier(0).arrive_and_wait(), "barrier .*: 1 arrive where 0");
  EXPECT_DEATH(heddle::barrier(0).arrive_and_drop(), "barrier .*: 1 arrive where 0");
  const auto dropped = [] {
    heddle::barrier b(2);
    b.arrive_and_drop();
    (void)b.arrive();
    (void)b.arrive(2);
  };
  EXPECT_DEATH(dropped(), "barrier .*: 2 arrive where 1");
}

TEST(Barrier, DiesWithAMessageOfAForeignOrStaleToken) {
  heddle::barrier b(1), other(1);
  EXPECT_DEATH(b.wait(other.arrive()), "heddle: barrier 0x[0-9a-f]+: wait.. with a token of barr");
  const auto stale = [&] {
    auto token = b.arrive();
    b.arrive_and_wait();
    b.wait(std::move(token));
  };
  EXPECT_DEATH(stale(), "barrier .*: wait.. with a token of phase 0 in phase 2");
}

TEST(Barrier, DiesWithAMessageIfDestroyedWhileWaitedOn) {
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        std::optional<heddle::barrier<>> b(std::in_place, 2);
        auto waits = sleeping_fiber(rt, [&] { b->arrive_and_wait(); });
        b.reset();
      },
      "heddle: barrier 0x[0-9a-f]+ is destroyed while it is waited on");
}
#endif
