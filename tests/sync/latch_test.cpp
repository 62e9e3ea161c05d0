// SPDX-License-Identifier: BSL-1.0
// latch: counting down, waiting, cancellation. What std promises is asked of std too.
#include "sync/crew.hpp"

#include <heddle/sync/latch.hpp>

#include <concepts>
#include <latch>
#include <limits>
#include <memory>
#include <type_traits>

using heddle::cancel_reason;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;

namespace {

template <class L>
concept std_like = requires(L l, const L c, std::ptrdiff_t n) {
  { L::max() }
  noexcept->std::same_as<std::ptrdiff_t>;
  { l.count_down() } -> std::same_as<void>;
  { l.count_down(n) } -> std::same_as<void>;
  { c.try_wait() }
  noexcept->std::same_as<bool>;
  { c.wait() } -> std::same_as<void>;
  { l.arrive_and_wait() } -> std::same_as<void>;
  { l.arrive_and_wait(n) } -> std::same_as<void>;
};
static_assert(std_like<std::latch> && std_like<heddle::latch>);
static_assert(heddle::latch::max() >= std::numeric_limits<int>::max());
static_assert(!std::is_copy_constructible_v<heddle::latch>);
static_assert(!std::is_copy_assignable_v<heddle::latch>);
static_assert(!std::is_default_constructible_v<heddle::latch>);
static_assert(!std::is_convertible_v<std::ptrdiff_t, heddle::latch>);

constinit heddle::latch made_before_main(1);

}  // namespace

HEDDLE_STD_TEST(Latch, OpensWhenTheCountIsZero) {
  typename kit::latch l(5);
  std::atomic<int> through{0};
  for (int i = 0; i < 3; ++i) {
    all.start([&] {
      l.wait();
      ++through;
    });
  }
  l.count_down();
  l.count_down(3);
  l.count_down(0);
  EXPECT_FALSE(l.try_wait());
  EXPECT_EQ(through.load(), 0);
  l.count_down();
  EXPECT_TRUE(l.try_wait());
  all.join();
  EXPECT_EQ(through.load(), 3);
  l.wait();
  l.count_down(0);
}

HEDDLE_STD_TEST(Latch, IsOpenFromTheStartWithACountOfZero) {
  typename kit::latch l(0);
  EXPECT_TRUE(l.try_wait());
  l.wait();
  l.arrive_and_wait(0);
}

HEDDLE_STD_TEST(Latch, AllWhoArriveSeeWhatTheOthersDid) {
  constexpr int parties = 6;
  for (std::size_t i = 0; i < rounds(200); ++i) {
    typename kit::latch l(2 * parties);
    int done[parties] = {};
    for (int p = 0; p < parties; ++p) {
      all.start([&, p] {
        done[p] = p + 1;
        l.arrive_and_wait(2);
        int sum = 0;
        for (const int each : done) sum += each;
        EXPECT_EQ(sum, parties * (parties + 1) / 2);
      });
    }
    all.join();
  }
}

HEDDLE_CREW_TEST(Latch, ReleasesAllWhoSleep) {
  heddle::latch l(1);
  std::atomic<int> through{0};
  for (int i = 0; i < 6; ++i) {
    all.start_and_sleep([&] {
      l.wait();
      ++through;
    });
  }
  EXPECT_EQ(through.load(), 0);
  l.count_down();
  all.join();
  EXPECT_EQ(through.load(), 6);
}

HEDDLE_TEST(Latch, ACancelledWaitThrows) {
  heddle::latch l(2);
  std::optional<cancel_reason> why;
  auto f = sleeping_fiber(rt, [&] { why = cancelled_in([&] { l.wait(); }); });
  EXPECT_TRUE(f.cancel());
  f.join();
  EXPECT_EQ(why, cancel_reason::requested);
  l.count_down(2);
  EXPECT_TRUE(l.try_wait());
}

HEDDLE_TEST(Latch, WhoIsCancelledOnEntryHasNotCountedAndLaterHas) {
  heddle::latch l(2);
  in_cancelled_fiber(rt, [&] {
    EXPECT_TRUE(cancelled_in([&] { l.arrive_and_wait(); }));
    EXPECT_TRUE(cancelled_in([&] { l.wait(); }));
    EXPECT_FALSE(cancelled_in([&] { l.count_down(); }));
  });
  EXPECT_FALSE(l.try_wait());
  heddle::latch two(2);
  auto f = sleeping_fiber(rt, [&] { EXPECT_TRUE(cancelled_in([&] { two.arrive_and_wait(); })); });
  EXPECT_TRUE(f.cancel());
  f.join();
  two.count_down();
  EXPECT_TRUE(two.try_wait());
}

HEDDLE_TEST(Latch, AnOpenLatchIsACancellationPointToo) {
  heddle::latch l(0);
  in_cancelled_fiber(rt, [&] { EXPECT_TRUE(cancelled_in([&] { l.wait(); })); });
}

TEST(Latch, CanBeMadeBeforeMain) { EXPECT_FALSE(made_before_main.try_wait()); }

TEST(Latch, DiesWithAMessageBelowZero) {
  EXPECT_DEATH(heddle::latch(1).count_down(2), "heddle: latch 0x[0-9a-f]+: its count of 1 .* by 2");
  EXPECT_DEATH(heddle::latch(1).count_down(-1), "latch .*count of 1 is taken down by -1");
  EXPECT_DEATH(heddle::latch(0).count_down(), "latch .*count of 0 is taken down by 1");
}
