// SPDX-License-Identifier: BSL-1.0
// select: what ends it beside channels: time, stop tokens, cancellation.
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <heddle/sync/select.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>

using heddle::cancel_reason;
using heddle::channel;
using heddle::on_receive;
using heddle::on_send;
using heddle::on_stop;
using heddle::on_timeout;
using heddle::otherwise;
using heddle::select;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::manual_clock;
using heddle_test::sleeping_fiber;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

constexpr auto unwanted = [](auto&&...) { ADD_FAILURE() << "not this case"; };

template <class Time>
void expect_times_out(Time until, std::chrono::nanoseconds no_earlier_than) {
  channel<int> a, b;
  bool handled = false;
  const auto start = steady_clock::now();
  EXPECT_EQ(select(on_receive(a, unwanted), on_timeout(until, [&] { handled = true; }),
                   on_send(b, 1, unwanted)),
            1u);
  EXPECT_TRUE(handled);
  EXPECT_GE(steady_clock::now() - start, no_earlier_than);
  EXPECT_FALSE(a.send_for(1, 0s) == heddle::channel_status::ok) << "it has left the list";
}

}  // namespace

HEDDLE_CREW_TEST(SelectTimed, TimesOutAndNotTooEarly) {
  all.start([] {
    expect_times_out(2ms, 2ms);
    expect_times_out(steady_clock::now() + 2ms, 1ms);
    expect_times_out(heddle::clock::now() + 2ms, 1ms);
    expect_times_out(system_clock::now() + 2ms, 1ms);
    expect_times_out(0s, 0s);
    expect_times_out(-1h, 0s);
    expect_times_out(steady_clock::time_point::min(), 0s);
    expect_times_out(system_clock::time_point(), 0s);
    expect_times_out(std::chrono::duration<double>(0.001), 1ms);
    EXPECT_EQ(select(on_timeout(1ms)), 0u);
    EXPECT_EQ(select(on_timeout(1h, unwanted), on_timeout(2ms), on_timeout(2h, unwanted)), 1u);
    EXPECT_EQ(select(on_timeout(system_clock::now() + 1ms), on_timeout(1h, unwanted)), 0u);
    EXPECT_EQ(select(on_timeout(system_clock::now() + 1h, unwanted), on_timeout(60ms)), 1u);
  });
  all.join();
}

HEDDLE_CREW_TEST(SelectTimed, WhatIsReadyGoesBeforeTimeAndTimeBeforeOtherwise) {
  channel<int> c(1), empty;
  c.send(1);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(select(on_timeout(0s, unwanted), on_receive(c), on_receive(empty)), 1u);
    EXPECT_EQ(select(on_send(c, 1), on_timeout(-1s, unwanted), otherwise(unwanted)), 0u);
    EXPECT_EQ(select(on_receive(empty, unwanted), otherwise(unwanted), on_timeout(0s)), 2u);
    EXPECT_EQ(select(on_timeout(steady_clock::now()), otherwise(unwanted)), 0u);
    EXPECT_EQ(select(on_timeout(system_clock::now()), otherwise(unwanted)), 0u);
    EXPECT_EQ(select(on_timeout(1h, unwanted), on_receive(empty, unwanted), otherwise()), 2u);
  }
}

HEDDLE_CREW_TEST(SelectTimed, HugeTimesDoNotOverflow) {
  channel<int> c;
  all.start_and_sleep([&] {
    EXPECT_EQ(select(on_timeout(std::chrono::hours::max(), unwanted),
                     on_timeout(steady_clock::time_point::max(), unwanted),
                     on_timeout(system_clock::time_point::max(), unwanted),
                     on_timeout(std::chrono::duration<double>(1e300), unwanted), on_receive(c)),
              4u);
  });
  c.send(1);
  all.join();
}

HEDDLE_CREW_TEST(SelectTimed, ADurationCountsFromTheSelectsStart) {
  channel<int> c;
  all.start([&] {
    auto times_out = on_timeout(3ms);
    for (int i = 0; i < 3; ++i) {
      heddle::this_fiber::sleep_for(4ms);
      const auto start = steady_clock::now();
      EXPECT_EQ(select(times_out, on_receive(c)), 0u);
      EXPECT_GE(steady_clock::now() - start, 3ms);
      // It has not elapsed, unless the machine had something else to do for so long.
      const auto again = steady_clock::now();
      EXPECT_TRUE(select(times_out, otherwise()) == 1 || steady_clock::now() - again >= 3ms);
    }
  });
  all.join();
}

HEDDLE_CREW_TEST(SelectTimed, FollowsAClockThatIsSet) {
  manual_clock::reset();
  channel<int> c;
  std::atomic<bool> over{false};
  all.start([&] {
    EXPECT_EQ(select(on_receive(c, unwanted), on_timeout(manual_clock::time_point(1h))), 1u);
    over = true;
  });
  const int before = manual_clock::asked.load();
  EXPECT_TRUE(eventually([&] { return manual_clock::asked.load() > before + 2; }));
  EXPECT_FALSE(over.load());
  manual_clock::ms = 7'200'000;
  all.join();
  EXPECT_TRUE(over.load());
}

HEDDLE_CREW_TEST(SelectTimed, AnExceptionOfTheClockPropagates) {
  manual_clock::reset();
  channel<int> c;
  manual_clock::broken = true;
  const manual_clock::time_point at(1h);
  EXPECT_THROW(select(on_receive(c, unwanted), on_timeout(at)), std::runtime_error);
  manual_clock::broken = false;
  all.start(
      [&] { EXPECT_THROW(select(on_receive(c, unwanted), on_timeout(at)), std::runtime_error); });
  EXPECT_TRUE(eventually([] { return manual_clock::asked.load() > 0; }));
  manual_clock::broken = true;
  all.join();
  EXPECT_EQ(c.try_send(1), heddle::channel_status::full) << "it has left the list";
  manual_clock::reset();
}

// What comes at the very moment between two slices proves nothing: then it is tried again.
HEDDLE_CREW_TEST(SelectTimed, AWaitByAUsersClockKeepsItsTurn) {
  int valid = 0;
  for (int attempt = 0; attempt < 20 && valid < 1; ++attempt) {
    manual_clock::reset();
    channel<int> c, d;
    std::atomic<int> first{0}, second{0};
    all.start_and_sleep([&] {
      select(on_receive(c, [&](std::optional<int> v) { first = *v; }), on_receive(d, unwanted),
             on_timeout(manual_clock::time_point(1h), unwanted));
    });
    all.start_and_sleep([&] { second = *c.receive(); });
    const int before = manual_clock::asked.load();
    EXPECT_TRUE(eventually([&] { return manual_clock::asked.load() > before + 1; }));
    heddle::this_fiber::sleep_for(5ms);
    const int during = manual_clock::asked.load();
    EXPECT_TRUE(c.send(1));
    EXPECT_TRUE(c.send(2));
    const bool undisturbed = manual_clock::asked.load() == during;
    all.join();
    if (!undisturbed) continue;
    ++valid;
    EXPECT_EQ(first.load() * 10 + second.load(), 12);
  }
  EXPECT_GT(valid, 0);
}

HEDDLE_CREW_TEST(SelectTimed, AStoppedTokenIsACase) {
  channel<int> c;
  std::stop_source first, second;
  bool handled = false;
  EXPECT_EQ(select(on_stop(first.get_token(), unwanted), otherwise()), 1u);
  EXPECT_EQ(select(on_stop(std::stop_token(), unwanted), on_timeout(1ms)), 1u);
  all.start_and_sleep([&] {
    EXPECT_EQ(select(on_receive(c, unwanted), on_stop(first.get_token(), unwanted),
                     on_stop(std::stop_token(), unwanted),
                     on_stop(second.get_token(), [&] { handled = true; }), on_timeout(1h)),
              3u);
  });
  second.request_stop();
  all.join();
  EXPECT_TRUE(handled);
  EXPECT_EQ(select(on_receive(c, unwanted), on_stop(second.get_token())), 1u);
  EXPECT_EQ(select(on_stop(second.get_token()), otherwise(unwanted)), 0u);
  EXPECT_EQ(select(on_timeout(0s, unwanted), on_stop(second.get_token())), 1u);
  all.start_and_sleep([&] {
    EXPECT_EQ(select(on_stop(first.get_token()), on_stop(first.get_token()), on_receive(c)), 2u);
  });
  c.send(1);
  all.join();
  EXPECT_EQ(c.try_send(1), heddle::channel_status::full);
}

HEDDLE_TEST(SelectTimed, IsACancellationPointOnEntryUnlessItCannotBlock) {
  channel<int> c(1);
  std::stop_source stop;
  stop.request_stop();
  in_cancelled_fiber(rt, [&] {
    EXPECT_TRUE(cancelled_in([&] { select(on_send(c, 1, unwanted)); }));
    EXPECT_TRUE(cancelled_in([&] { select(on_timeout(0s, unwanted)); }));
    EXPECT_TRUE(cancelled_in([&] { select(on_stop(stop.get_token(), unwanted)); }));
    EXPECT_TRUE(cancelled_in(
        [&] { select(on_stop(heddle::this_fiber::get_stop_token(), unwanted), on_send(c, 1)); }));
    EXPECT_TRUE(cancelled_in([&] { select(); }));
    EXPECT_EQ(c.size(), 0u);
    EXPECT_FALSE(cancelled_in([&] {
      EXPECT_EQ(select(on_send(c, 1), otherwise(unwanted)), 0u);
      EXPECT_EQ(select(on_send(c, 1, unwanted), otherwise()), 1u);
      EXPECT_EQ(select(on_stop(stop.get_token()), otherwise(unwanted)), 0u);
    }));
  });
  EXPECT_EQ(c.size(), 1u);
}

HEDDLE_TEST(SelectTimed, ACancelledOneHasHadNoEffect) {
  for (const std::size_t capacity : {0u, 1u}) {
    channel<std::unique_ptr<int>> in(capacity), out(capacity);
    if (capacity == 1) out.send(nullptr);
    std::optional<cancel_reason> why;
    auto sends = on_send(out, std::make_unique<int>(7), unwanted);
    auto waits = sleeping_fiber(rt, [&] {
      why = cancelled_in([&] {
        select(on_receive(in, unwanted), sends, on_timeout(1h, unwanted),
               on_stop(heddle::this_fiber::get_stop_token()));
      });
    });
    waits.cancel();
    waits.join();
    // Its token was stopped by the cancellation, and both are at once: it throws all the same.
    EXPECT_EQ(why, cancel_reason::requested);
    ASSERT_NE(sends.value(), nullptr);
    EXPECT_EQ(*sends.value(), 7);
    EXPECT_EQ(in.try_send(nullptr),
              capacity == 0 ? heddle::channel_status::full : heddle::channel_status::ok);
    EXPECT_EQ(out.try_receive().has_value(), capacity == 1);
    EXPECT_FALSE(out.try_receive().has_value());
  }
}
