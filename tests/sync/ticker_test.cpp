// SPDX-License-Identifier: BSL-1.0
// ticker: time over a channel, once and again and again.
#include "sync/crew.hpp"

#include <heddle/sync/select.hpp>
#include <heddle/sync/ticker.hpp>

#include <chrono>
#include <concepts>
#include <optional>
#include <ratio>
#include <stdexcept>
#include <type_traits>

using heddle::after;
using heddle::channel_status;
using heddle::on_receive;
using heddle::receiver;
using heddle::select;
using heddle::ticker;
using heddle_test::virtual_time;
using namespace std::chrono_literals;
using time_point = heddle::clock::time_point;

namespace {

static_assert(std::same_as<decltype(after(1ms)), receiver<time_point>>);
static_assert(std::same_as<decltype(std::declval<ticker&>().channel()), receiver<time_point>>);
static_assert(!std::is_copy_constructible_v<ticker> &&
              !std::is_convertible_v<decltype(1ms), ticker>);
static_assert(noexcept(std::declval<ticker&>().stop()));

// A timer fires up to this much after its time.
constexpr auto grain = 1ms;

}  // namespace

HEDDLE_TEST(After, SendsTheTimeOnce) {
  virtual_time time;
  const auto start = heddle::clock::now();
  auto in_a_while = after(10ms);
  EXPECT_EQ(in_a_while.try_receive().status(), channel_status::empty);
  time.advance(9ms);
  for (int i = 0; i < 10; ++i) heddle::this_fiber::yield();
  EXPECT_EQ(in_a_while.try_receive().status(), channel_status::empty);
  time.advance(1ms + grain);
  const auto at = in_a_while.receive();
  ASSERT_TRUE(at.has_value());
  EXPECT_GE(*at - start, 10ms);
  EXPECT_EQ(in_a_while.try_receive().status(), channel_status::empty) << "as in Go it stays open";
}

HEDDLE_CREW_TEST(After, WhatIsNotInTheFutureComesAtOnce) {
  EXPECT_TRUE(after(0s).try_receive());
  EXPECT_TRUE(after(-1h).try_receive());
  EXPECT_TRUE(after(std::chrono::hours::min()).try_receive());
}

HEDDLE_CREW_TEST(After, IsACaseOfASelect) {
  heddle::channel<int> never;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(select(on_receive(never), on_receive(after(2ms), [](auto at) { EXPECT_TRUE(at); })),
            1u);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 2ms);
}

HEDDLE_TEST(After, WhatNobodyReceivesIsLeftBehind) {
  virtual_time time;
  { const auto forgotten = after(10ms); }
  time.advance(10ms + grain);
}

TEST(After, IsClosedIfItsRuntimeEndsBefore) {
  std::optional<receiver<time_point>> longest, long_enough;
  heddle::run({.workers = 1}, [&] {
    longest = after(std::chrono::hours::max());
    long_enough = after(1h);
  });
  EXPECT_EQ(longest->receive(), std::nullopt);
  EXPECT_EQ(long_enough->receive(), std::nullopt);
}

HEDDLE_TEST(Ticker, TicksAtEachPeriod) {
  virtual_time time;
  const auto start = heddle::clock::now();
  ticker t(10ms);
  auto ticks = t.channel();
  time.advance(5ms + grain);
  for (int i = 0; i < 10; ++i) heddle::this_fiber::yield();
  EXPECT_FALSE(ticks.try_receive());
  time.advance(5ms);
  for (int i = 1; i <= 5; ++i) {
    const auto at = ticks.receive();
    ASSERT_TRUE(at.has_value());
    EXPECT_GE(*at - start, 10ms * i);
    EXPECT_LT(*at - start, 10ms * i + 2 * grain) << "it does not drift";
    time.advance(10ms);
  }
}

HEDDLE_TEST(Ticker, WhoIsSlowMissesTicks) {
  virtual_time time;
  const auto start = heddle::clock::now();
  ticker t(10ms);
  auto ticks = t.channel();
  time.advance(10ms + grain);
  // It sleeps again: its timer is armed.
  const auto asleep = [&] { return rt.stats().timers_pending == 1; };
  EXPECT_TRUE(heddle_test::eventually([&] { return ticks.size() == 1 && asleep(); }));
  for (int i = 0; i < 3; ++i) {
    const auto before = rt.stats().parks;
    time.advance(10ms);
    EXPECT_TRUE(heddle_test::eventually([&] { return rt.stats().parks > before && asleep(); }));
  }
  EXPECT_LT(*ticks.receive() - start, 12ms) << "the first was kept";
  EXPECT_FALSE(ticks.try_receive()) << "the others were not";
  // One that is itself late leaves out what has passed.
  time.advance(95ms);
  EXPECT_GE(*ticks.receive() - start, 130ms);
  heddle::this_fiber::yield();
  EXPECT_FALSE(ticks.try_receive());
  time.advance(10ms);
  const auto at = ticks.receive();
  EXPECT_GE(*at - start, 140ms) << "at whole periods from the start";
}

HEDDLE_CREW_TEST(Ticker, StopClosesItsChannel) {
  ticker t(1h);
  auto ticks = t.channel();
  all.start_and_sleep([&] { EXPECT_EQ(t.channel().receive(), std::nullopt); });
  t.stop();
  all.join();
  EXPECT_EQ(ticks.try_receive().status(), channel_status::closed);
  t.stop();
}

HEDDLE_CREW_TEST(Ticker, ItsEndClosesItsChannel) {
  std::optional<ticker> t(std::in_place, std::chrono::duration<double, std::micro>(100.5));
  int seen = 0;
  for (const auto& at : t->channel()) {
    EXPECT_LE(at, heddle::clock::now());
    if (++seen == 3) t.reset();
    if (seen > 4) break;
  }
  EXPECT_GE(seen, 3);
  EXPECT_LE(seen, 4) << "one more may have been on its way";
}

HEDDLE_CREW_TEST(Ticker, APeriodMayBeOfAnyLengthButZero) {
  EXPECT_THROW(ticker{0s}, std::invalid_argument);
  EXPECT_THROW(ticker{-1ns}, std::invalid_argument);
  EXPECT_THROW(ticker{std::chrono::hours::min()}, std::invalid_argument);
  ticker never(std::chrono::hours::max()), nearly(std::chrono::nanoseconds::max());
  ticker at_once(std::chrono::duration<double, std::nano>(0.1));
  EXPECT_TRUE(at_once.channel().receive().has_value());
  EXPECT_FALSE(never.channel().try_receive());
  EXPECT_FALSE(nearly.channel().try_receive());
}

TEST(Ticker, MayOutliveItsRuntime) {
  std::optional<ticker> t;
  heddle::run({.workers = 1}, [&] { t.emplace(1h); });
  EXPECT_EQ(t->channel().receive(), std::nullopt);
  t->stop();
}
