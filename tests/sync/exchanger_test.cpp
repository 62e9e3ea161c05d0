// SPDX-License-Identifier: BSL-1.0
// exchanger: pairs, their order, values of all kinds, cancellation.
#include "sync/crew.hpp"

#include <heddle/sync/exchanger.hpp>

#include <concepts>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using heddle::cancel_reason;
using heddle::exchanger;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;
using heddle_test::start_line;

namespace {

static_assert(std::is_same_v<decltype(std::declval<exchanger<int>&>().exchange(1)), int>);
static_assert(std::is_nothrow_default_constructible_v<exchanger<int>>);
static_assert(!std::is_copy_constructible_v<exchanger<int>>);
static_assert(!std::is_copy_assignable_v<exchanger<int>>);

constinit exchanger<int> made_before_main;

}  // namespace

HEDDLE_CREW_TEST(Exchanger, EachOfAPairGetsWhatTheOtherGave) {
  exchanger<std::string> e;
  for (int i = 0; i < 3; ++i) {
    int told = 0, answered = 0;
    all.start_and_sleep([&] {
      told = 1;
      EXPECT_EQ(e.exchange("one"), "two");
      EXPECT_EQ(answered, 1);
    });
    answered = 1;
    EXPECT_EQ(e.exchange("two"), "one");
    EXPECT_EQ(told, 1);
    all.join();
  }
}

HEDDLE_CREW_TEST(Exchanger, PairsAreMadeInTheOrderTheyCome) {
  exchanger<int> e;
  for (int i = 0; i < 8; i += 2) {
    all.start_and_sleep([&, i] { EXPECT_EQ(e.exchange(i), i + 1); });
    all.start([&, i] { EXPECT_EQ(e.exchange(i + 1), i); });
    all.join();
  }
}

HEDDLE_CREW_TEST(Exchanger, NoValueIsLostOrDoubledAmongMany) {
  exchanger<std::unique_ptr<int>> e;
  constexpr int parties = 5;
  const int calls = 2 * static_cast<int>(rounds(3'000));  // an even number: nobody is left over
  std::atomic<int> begun{0};
  std::atomic<int> sum{0};
  for (int p = 0; p < parties; ++p) {
    all.start([&, p] {
      auto mine = std::make_unique<int>(1 << p);
      jitter late(static_cast<unsigned>(p) + 1);
      while (begun.fetch_add(1) < calls) {
        mine = e.exchange(std::move(mine));
        late();
      }
      sum += *mine;
    });
  }
  all.join();
  EXPECT_EQ(sum.load(), (1 << parties) - 1);
}

namespace {

/// Cannot be assigned, nor made from nothing.
struct fixed {
  explicit fixed(int n) : number(n) {}
  const int number;
};

/// Counts how many there are, and throws when it is moved for the n-th time.
struct fragile {
  explicit fragile(int n) : number(n) { ++alive; }
  fragile(fragile&& from) : number(from.number) {
    if (moves_left == 0) throw std::runtime_error("broken");
    --moves_left;
    from.number = -1;
    ++alive;
  }
  ~fragile() { --alive; }
  int number;
  static inline std::atomic<int> alive{0}, moves_left{0};
};

/// Copies only, and the copy may throw as far as anybody knows.
struct only_copied {
  explicit only_copied(int n) : number(n) {}
  only_copied(const only_copied& from) : number(from.number) {}
  int number;
};

}  // namespace

HEDDLE_CREW_TEST(Exchanger, ValuesMayBeOfAnyKind) {
  const auto expect_swapped = [&]<class T>(T one, T other, auto read) {
    exchanger<T> e;
    const auto first = read(one), second = read(other);
    all.start([&] {
      const T got = e.exchange(std::move(one));
      EXPECT_EQ(read(got), second);
    });
    const T got = e.exchange(std::move(other));
    EXPECT_EQ(read(got), first);
    all.join();
  };
  const auto number = [](const auto& each) { return each.number; };
  expect_swapped(fixed(1), fixed(2), number);
  expect_swapped(only_copied(1), only_copied(2), number);
  expect_swapped(std::make_unique<int>(1), std::make_unique<int>(2),
                 [](const auto& each) { return *each; });
  expect_swapped(std::deque{1, 2}, std::deque{3}, [](const auto& each) { return each.size(); });
}

HEDDLE_CREW_TEST(Exchanger, AMoveThatThrowsLeavesThePartnerWithAWholeValueOrWaiting) {
  exchanger<fragile> e;
  fragile::moves_left = 1'000;
  std::atomic<int> met{0};
  all.start_and_sleep([&] { met = e.exchange(fragile(1)).number; });
  const auto attempt = [&](int moves) {
    fragile mine(2);
    fragile::moves_left = moves;
    return e.exchange(std::move(mine)).number;
  };
  EXPECT_THROW(attempt(0), std::runtime_error);  // into the parameter
  EXPECT_THROW(attempt(1), std::runtime_error);  // into the box
  EXPECT_EQ(met.load(), 0);
  fragile::moves_left = 1'000;
  EXPECT_EQ(attempt(1'000), 1);
  all.join();
  EXPECT_EQ(met.load(), 2);
  EXPECT_EQ(fragile::alive.load(), 0);
}

HEDDLE_TEST(Exchanger, ACancelledOneHasGivenNothing) {
  exchanger<std::shared_ptr<int>> e;
  const auto given = std::make_shared<int>(1);
  std::optional<cancel_reason> why;
  auto gives_up = sleeping_fiber(rt, [&] { why = cancelled_in([&] { (void)e.exchange(given); }); });
  EXPECT_TRUE(gives_up.cancel());
  gives_up.join();
  EXPECT_EQ(why, cancel_reason::requested);
  EXPECT_EQ(given.use_count(), 1);
  // It is not met by those who come later.
  auto waits = sleeping_fiber(rt, [&] { EXPECT_EQ(*e.exchange(std::make_shared<int>(2)), 3); });
  EXPECT_EQ(*e.exchange(std::make_shared<int>(3)), 2);
  waits.join();
}

HEDDLE_TEST(Exchanger, OnEntryACancelledOneThrowsAlsoWhereAPartnerWaits) {
  exchanger<int> e;
  auto waits = sleeping_fiber(rt, [&] { EXPECT_EQ(e.exchange(1), 2); });
  in_cancelled_fiber(rt, [&] { EXPECT_TRUE(cancelled_in([&] { e.exchange(9); })); });
  EXPECT_EQ(e.exchange(2), 1);
  waits.join();
}

// One waits, and is cancelled at the moment when another comes: they have met, or it threw and the
// other waits for the next.
HEDDLE_TEST(Exchanger, CancelAndPartnerAtOnceAreOneOfThem) {
  exchanger<std::unique_ptr<int>> e;
  jitter late(3);
  int met = 0, gave_up = 0;
  for (std::size_t i = 0; i < rounds(3'000); ++i) {
    start_line line(3);
    std::atomic<int> first_got{0}, second_got{0};
    heddle::fiber first([&] {
      line.wait();
      const auto why = cancelled_in([&] { first_got = *e.exchange(std::make_unique<int>(1)); });
      EXPECT_EQ(why.has_value(), first_got.load() == 0);
    });
    heddle::fiber second([&] {
      line.wait();
      jitter{static_cast<unsigned>(i) + 1}();
      second_got = *e.exchange(std::make_unique<int>(2));
    });
    line.wait();
    late();
    first.cancel();
    first.join();
    if (first_got.load() == 0) {
      ++gave_up;
      EXPECT_EQ(*e.exchange(std::make_unique<int>(3)), 2);
      second.join();
      ASSERT_EQ(second_got.load(), 3);
    } else {
      ++met;
      second.join();
      ASSERT_EQ(first_got.load(), 2);
      ASSERT_EQ(second_got.load(), 1);
    }
  }
  EXPECT_EQ(static_cast<std::size_t>(met + gave_up), rounds(3'000));
}

TEST(Exchanger, CanBeMadeBeforeMain) {
  std::thread other([] { EXPECT_EQ(made_before_main.exchange(1), 2); });
  EXPECT_EQ(made_before_main.exchange(2), 1);
  other.join();
}

#if defined(HEDDLE_ASSERTIONS)
TEST(Exchanger, DiesWithAMessageIfDestroyedWhileWaitedOn) {
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        std::optional<exchanger<int>> e(std::in_place);
        auto waits = sleeping_fiber(rt, [&] { e->exchange(1); });
        e.reset();
      },
      "heddle: exchanger 0x[0-9a-f]+ is destroyed while it is waited on");
}
#endif
