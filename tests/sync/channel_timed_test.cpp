// SPDX-License-Identifier: BSL-1.0
// channel: sending and receiving for, and until, some time.
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <heddle/sync/channel.hpp>

#include <chrono>
#include <limits>
#include <memory>
#include <ratio>
#include <stdexcept>

using heddle::channel;
using heddle::channel_status;
using heddle_test::eventually;
using heddle_test::manual_clock;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

template <class T>
void expect_times_out(T&& operation, std::chrono::nanoseconds no_earlier_than) {
  const auto start = steady_clock::now();
  EXPECT_EQ(operation(), channel_status::timeout);
  EXPECT_GE(steady_clock::now() - start, no_earlier_than);
}

// A wait by a clock that is not steady is made of slices; those that wait with it must not notice.
// What comes at the very moment between two slices proves nothing: then it is tried again.
HEDDLE_CREW_TEST(ChannelTimed, AWaitByAUsersClockKeepsItsTurn) {
  const auto undisturbed_after_a_slice = [](auto&& act) {
    const int before = manual_clock::asked.load();
    EXPECT_TRUE(eventually([&] { return manual_clock::asked.load() > before + 1; }));
    heddle::this_fiber::sleep_for(5ms);
    const int during = manual_clock::asked.load();
    act();
    return manual_clock::asked.load() == during;
  };
  int valid = 0;
  for (int attempt = 0; attempt < 20 && valid < 2; ++attempt) {
    manual_clock::reset();
    channel<int> c;
    std::atomic<int> first{0}, second{0};
    all.start_and_sleep([&] { first = *c.receive_until(manual_clock::time_point(1h)); });
    all.start_and_sleep([&] { second = *c.receive(); });
    const bool receivers_valid = undisturbed_after_a_slice([&] {
      EXPECT_TRUE(c.send(1));
      EXPECT_TRUE(c.send(2));
    });
    all.join();
    if (receivers_valid) {
      ++valid;
      EXPECT_EQ(first.load() * 10 + second.load(), 12);
    }

    all.start_and_sleep(
        [&] { EXPECT_EQ(c.send_until(1, manual_clock::time_point(1h)), channel_status::ok); });
    all.start_and_sleep([&] { EXPECT_TRUE(c.send(2)); });
    int order = 0;
    const bool senders_valid =
        undisturbed_after_a_slice([&] { order = *c.receive() * 10 + *c.receive(); });
    all.join();
    if (senders_valid) {
      ++valid;
      EXPECT_EQ(order, 12);
    }
  }
  EXPECT_GT(valid, 0);
}

}  // namespace

HEDDLE_CREW_TEST(ChannelTimed, AReceiveTimesOutAndNotTooEarly) {
  for (const std::size_t capacity : {0u, 2u}) {
    channel<int> c(capacity);
    all.start([&] {
      expect_times_out([&] { return c.receive_for(2ms).status(); }, 2ms);
      expect_times_out([&] { return c.receive_until(steady_clock::now() + 2ms).status(); }, 2ms);
      expect_times_out([&] { return c.receive_until(heddle::clock::now() + 2ms).status(); }, 2ms);
      const auto at = system_clock::now() + 2ms;
      EXPECT_EQ(c.receive_until(at).status(), channel_status::timeout);
      EXPECT_GE(system_clock::now(), at);
    });
    all.join();
    EXPECT_EQ(c.try_send(1), capacity == 0 ? channel_status::full : channel_status::ok);
  }
}

HEDDLE_CREW_TEST(ChannelTimed, ASendTimesOutAndKeepsItsValue) {
  for (const std::size_t capacity : {0u, 2u}) {
    channel<std::unique_ptr<int>> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) c.send(nullptr);
    all.start([&] {
      auto value = std::make_unique<int>(9);
      expect_times_out([&] { return c.send_for(std::move(value), 2ms); }, 2ms);
      expect_times_out([&] { return c.send_until(std::move(value), steady_clock::now() + 2ms); },
                       2ms);
      expect_times_out([&] { return c.send_until(std::move(value), heddle::clock::now() + 2ms); },
                       2ms);
      const auto at = system_clock::now() + 2ms;
      EXPECT_EQ(c.send_until(std::move(value), at), channel_status::timeout);
      EXPECT_GE(system_clock::now(), at);
      ASSERT_NE(value, nullptr);
      EXPECT_EQ(*value, 9);
    });
    all.join();
    EXPECT_EQ(c.size(), capacity);
    for (std::size_t i = 0; i < capacity; ++i) EXPECT_TRUE(c.try_receive());
    EXPECT_FALSE(c.try_receive());  // nothing of what timed out
  }
}

HEDDLE_CREW_TEST(ChannelTimed, WhatComesInTimeIsOk) {
  channel<int> c;
  all.start_and_sleep([&] { EXPECT_EQ(*c.receive_for(1h), 1); });
  EXPECT_EQ(c.send_for(1, 1h), channel_status::ok);
  all.join();
  all.start_and_sleep([&] { EXPECT_EQ(*c.receive_until(system_clock::now() + 1h), 2); });
  EXPECT_EQ(c.send_until(2, system_clock::now() + 1h), channel_status::ok);
  all.join();
  all.start_and_sleep([&] {
    const int three = 3;
    EXPECT_EQ(c.send_for(three, 1h), channel_status::ok);
  });
  EXPECT_EQ(*c.receive_until(steady_clock::now() + 1h), 3);
  all.join();
  all.start_and_sleep([&] {
    const int four = 4;
    EXPECT_EQ(c.send_until(four, heddle::clock::now() + 1h), channel_status::ok);
  });
  EXPECT_EQ(c.receive(), 4);
  all.join();
}

HEDDLE_CREW_TEST(ChannelTimed, ATimeInThePastTriesOnce) {
  channel<int> c(1);
  const auto expect_received = [&](auto receive) {
    EXPECT_EQ(receive().status(), channel_status::timeout);
    EXPECT_EQ(c.try_send(5), channel_status::ok);
    auto got = receive();
    ASSERT_EQ(got.status(), channel_status::ok);
    EXPECT_EQ(*got, 5);
  };
  expect_received([&] { return c.receive_for(0s); });
  expect_received([&] { return c.receive_for(-1h); });
  expect_received([&] { return c.receive_for(std::chrono::nanoseconds::min()); });
  expect_received([&] { return c.receive_for(std::chrono::duration<double>(-1e300)); });
  expect_received([&] { return c.receive_until(steady_clock::now()); });
  expect_received([&] { return c.receive_until(steady_clock::time_point{}); });
  expect_received([&] { return c.receive_until(heddle::clock::now() - 1s); });
  expect_received([&] { return c.receive_until(system_clock::now() - 1s); });
  expect_received([&] { return c.receive_until(system_clock::time_point{}); });

  const auto expect_sent = [&](auto send) {
    EXPECT_EQ(send(), channel_status::ok);
    EXPECT_EQ(send(), channel_status::timeout);
    EXPECT_EQ(*c.try_receive(), 6);
    EXPECT_FALSE(c.try_receive());
  };
  const int six = 6;
  expect_sent([&] { return c.send_for(six, 0s); });
  expect_sent([&] { return c.send_for(6, -1h); });
  expect_sent([&] { return c.send_until(six, steady_clock::now()); });
  expect_sent([&] { return c.send_until(6, steady_clock::time_point{}); });
  expect_sent([&] { return c.send_until(6, system_clock::now() - 1h); });
  expect_sent([&] { return c.send_until(six, heddle::clock::time_point{}); });
}

HEDDLE_CREW_TEST(ChannelTimed, TheBeginningOfAllTimeIsInThePast) {
  channel<int> c(1);
  EXPECT_EQ(c.receive_until(steady_clock::time_point::min()).status(), channel_status::timeout);
  EXPECT_EQ(c.receive_until(system_clock::time_point::min()).status(), channel_status::timeout);
  EXPECT_EQ(c.send_until(1, steady_clock::time_point::min()), channel_status::ok);
  EXPECT_EQ(c.send_until(1, system_clock::time_point::min()), channel_status::timeout);
}

HEDDLE_CREW_TEST(ChannelTimed, AHugeTimeIsForEver) {
  channel<int> c;
  int next = 0;
  const auto expect_waits = [&](auto receive) {
    all.start_and_sleep([&, receive] {
      auto got = receive();
      ASSERT_EQ(got.status(), channel_status::ok);
      EXPECT_EQ(*got, next);
    });
    EXPECT_TRUE(c.send(next));
    all.join();
    ++next;
  };
  using seconds_float = std::chrono::duration<double>;
  expect_waits([&] { return c.receive_for(std::chrono::hours::max()); });
  expect_waits([&] { return c.receive_for(std::chrono::nanoseconds::max()); });
  expect_waits([&] { return c.receive_for(std::chrono::years::max()); });
  expect_waits([&] { return c.receive_for(seconds_float(1e300)); });
  expect_waits([&] { return c.receive_for(seconds_float::max()); });
  expect_waits([&] {
    return c.receive_for(std::chrono::duration<float>(std::numeric_limits<float>::infinity()));
  });
  expect_waits([&] { return c.receive_until(steady_clock::time_point::max()); });
  expect_waits([&] { return c.receive_until(heddle::clock::time_point::max()); });
  expect_waits([&] { return c.receive_until(system_clock::time_point::max()); });
  expect_waits(
      [&] { return c.receive_until(std::chrono::time_point<steady_clock, seconds_float>::max()); });
  all.join();
}

HEDDLE_CREW_TEST(ChannelTimed, AFractionOfATickIsRoundedUp) {
  channel<int> c;
  using float_ms = std::chrono::duration<double, std::milli>;
  using third_of_a_ns = std::chrono::duration<int, std::ratio<1, 3'000'000'000>>;
  expect_times_out([&] { return c.receive_for(float_ms(1.5)).status(); }, 1500us);
  expect_times_out([&] { return c.receive_for(third_of_a_ns(3'000'001)).status(); }, 1'000'001ns);
}

HEDDLE_CREW_TEST(ChannelTimed, AUsersClockDecides) {
  manual_clock::reset();
  channel<int> c;
  std::atomic<bool> over{false};
  all.start([&] {
    EXPECT_EQ(c.receive_until(manual_clock::time_point(10ms)).status(), channel_status::timeout);
    over = true;
  });
  const auto ask_again = [] {
    const int before = manual_clock::asked.load();
    EXPECT_TRUE(eventually([&] { return manual_clock::asked.load() > before + 1; }));
  };
  ask_again();
  EXPECT_FALSE(over.load());
  manual_clock::ms = 9;
  ask_again();
  manual_clock::ms = -1'000'000;  // it was set back
  ask_again();
  EXPECT_FALSE(over.load());
  manual_clock::ms = 10;
  all.join();
  EXPECT_TRUE(over.load());
}

HEDDLE_CREW_TEST(ChannelTimed, AWaitByAUsersClockIsServed) {
  manual_clock::reset();
  channel<int> c;
  all.start_and_sleep([&] { EXPECT_EQ(*c.receive_until(manual_clock::time_point(1h)), 1); });
  EXPECT_TRUE(c.send(1));
  all.join();
  all.start_and_sleep(
      [&] { EXPECT_EQ(c.send_until(2, manual_clock::time_point(1h)), channel_status::ok); });
  EXPECT_EQ(c.receive(), 2);
  all.join();
  all.start_and_sleep([&] {
    EXPECT_EQ(c.receive_until(manual_clock::time_point(1h)).status(), channel_status::closed);
  });
  c.close();
  all.join();
}

HEDDLE_TEST(ChannelTimed, WhatAClockThrowsIsHandedOn) {
  manual_clock::reset();
  manual_clock::broken = true;
  channel<std::unique_ptr<int>> c(1);
  auto value = std::make_unique<int>(1);
  EXPECT_THROW((void)c.receive_until(manual_clock::time_point(1h)), std::runtime_error);
  EXPECT_THROW((void)c.send_until(std::move(value), manual_clock::time_point(1h)),
               std::runtime_error);
  ASSERT_NE(value, nullptr);
  manual_clock::broken = false;
  EXPECT_EQ(c.send_until(std::move(value), manual_clock::time_point(0ms)), channel_status::ok);
  EXPECT_EQ(c.size(), 1u);
}

HEDDLE_TEST(ChannelTimed, WaitsFollowHeddlesClock) {
  heddle_test::virtual_time time;
  channel<int> c;
  std::atomic<int> timeouts{0};
  const auto start = heddle::clock::now();
  for (const auto after : {1h, 2h}) {
    auto waits = heddle_test::sleeping_fiber(rt, [&, after] {
      EXPECT_EQ(c.receive_for(after).status(), channel_status::timeout);
      EXPECT_GE(heddle::clock::now() - start, after);
      ++timeouts;
    });
    waits.detach();
  }
  time.advance(59min);
  for (int i = 0; i < 1000; ++i) heddle::this_fiber::yield();
  EXPECT_EQ(timeouts.load(), 0);
  time.advance(2min);
  EXPECT_TRUE(eventually([&] { return timeouts.load() == 1; }));
  for (int i = 0; i < 1000; ++i) heddle::this_fiber::yield();
  EXPECT_EQ(timeouts.load(), 1);
  time.advance(1h);
  EXPECT_TRUE(eventually([&] { return timeouts.load() == 2; }));
}
