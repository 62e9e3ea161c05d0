// SPDX-License-Identifier: BSL-1.0
// channel: cancellation, on entry and while waiting, has no effect on the channel.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>

#include <memory>
#include <string>
#include <vector>

using heddle::cancel_reason;
using heddle::channel;
using heddle::channel_status;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::sleeping_fiber;
using namespace std::chrono_literals;

HEDDLE_TEST(ChannelCancel, OnEntryItThrowsThoughItCouldComplete) {
  channel<std::unique_ptr<int>> c(4);
  c.send(std::make_unique<int>(1));
  in_cancelled_fiber(rt, [&] {
    auto value = std::make_unique<int>(2);
    const auto soon = std::chrono::steady_clock::now() + 1h;
    const auto past = std::chrono::system_clock::now() - 1h;
    EXPECT_EQ(cancelled_in([&] { c.send(std::move(value)); }), cancel_reason::requested);
    EXPECT_TRUE(cancelled_in([&] { (void)c.send_for(std::move(value), 1h); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.send_for(std::move(value), 0s); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.send_until(std::move(value), soon); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.send_until(std::move(value), past); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.receive(); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.receive_for(1h); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.receive_for(-1s); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.receive_until(soon); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.receive_until(past); }));
    EXPECT_TRUE(cancelled_in([&] {
      for (auto& v : c) ADD_FAILURE() << *v;
    }));
    ASSERT_NE(value, nullptr);
    EXPECT_EQ(*value, 2);
  });
  EXPECT_EQ(c.size(), 1u);
  EXPECT_EQ(**c.try_receive(), 1);
}

HEDDLE_TEST(ChannelCancel, OnEntryItThrowsThoughTheChannelIsClosedOrNil) {
  channel<std::string> closed, nil = nullptr;
  closed.close();
  in_cancelled_fiber(rt, [&] {
    for (auto* c : {&closed, &nil}) {
      EXPECT_TRUE(cancelled_in([&] { (void)c->send("x"); }));
      EXPECT_TRUE(cancelled_in([&] { (void)c->receive(); }));
      EXPECT_TRUE(cancelled_in([&] { (void)c->send_for("x", 0s); }));
      EXPECT_TRUE(cancelled_in([&] { (void)c->receive_for(0s); }));
    }
  });
}

HEDDLE_TEST(ChannelCancel, WhatCannotBlockIsNoCancellationPoint) {
  channel<int> c(1);
  in_cancelled_fiber(rt, [&] {
    EXPECT_EQ(c.try_send(1), channel_status::ok);
    EXPECT_EQ(c.try_send(2), channel_status::full);
    EXPECT_EQ(*c.try_receive(), 1);
    EXPECT_EQ(c.try_receive().status(), channel_status::empty);
    EXPECT_TRUE(c.close());
    EXPECT_TRUE(c.closed());
    EXPECT_EQ(c.try_send(1), channel_status::closed);
    channel<int> another(3);
    another = c;
    EXPECT_EQ(another, c);
  });
}

HEDDLE_TEST(ChannelCancel, AWaitingSenderKeepsItsValue) {
  for (const std::size_t capacity : {0u, 1u}) {
    channel<std::unique_ptr<int>> c(capacity);
    if (capacity == 1) c.send(std::make_unique<int>(0));
    for (int how = 0; how < 3; ++how) {
      auto value = std::make_unique<int>(7);
      auto sends = sleeping_fiber(rt, [&] {
        const auto reason = cancelled_in([&] {
          if (how == 0) (void)c.send(std::move(value));
          if (how == 1) (void)c.send_for(std::move(value), 1h);
          if (how == 2) (void)c.send_until(std::move(value), std::chrono::system_clock::now() + 1h);
        });
        EXPECT_EQ(reason, cancel_reason::requested);
        EXPECT_TRUE(cancelled_in([&] { (void)c.send(std::move(value)); }));  // again at each point
      });
      EXPECT_TRUE(sends.cancel());
      sends.join();
      ASSERT_NE(value, nullptr);
      EXPECT_EQ(*value, 7);
    }
    EXPECT_EQ(c.size(), capacity);
    if (capacity == 1) {
      EXPECT_EQ(**c.try_receive(), 0);
    }
    EXPECT_EQ(c.try_receive().status(), channel_status::empty);
  }
}

HEDDLE_TEST(ChannelCancel, AWaitingReceiverTakesNothing) {
  channel<int> c;
  for (int how = 0; how < 4; ++how) {
    auto receives = sleeping_fiber(rt, [&] {
      EXPECT_TRUE(cancelled_in([&] {
        if (how == 0) (void)c.receive();
        if (how == 1) (void)c.receive_for(1h);
        if (how == 2) (void)c.receive_until(std::chrono::system_clock::now() + 1h);
        if (how == 3) {
          for (int v : c) ADD_FAILURE() << v;
        }
      }));
    });
    EXPECT_TRUE(receives.cancel());
    receives.join();
    EXPECT_EQ(c.try_send(1), channel_status::full);
  }
}

HEDDLE_TEST(ChannelCancel, ThoseBehindACancelledReceiverAreServedInOrder) {
  channel<int> c;
  heddle::wait_group served;
  served.add(3);
  const auto expect = [&](int value) {
    return [&, value] {
      EXPECT_EQ(c.receive(), value);
      served.done();
    };
  };
  auto first = sleeping_fiber(rt, expect(1));
  auto second = sleeping_fiber(rt, [&] { (void)c.receive(); });
  auto third = sleeping_fiber(rt, expect(2));
  auto fourth = sleeping_fiber(rt, expect(3));
  second.cancel();
  second.join();
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(c.try_send(i), channel_status::ok);
  EXPECT_EQ(c.try_send(4), channel_status::full);
  served.wait();
}

HEDDLE_TEST(ChannelCancel, ThoseBehindACancelledSenderAreServedInOrder) {
  channel<int> c(1);
  EXPECT_TRUE(c.send(0));
  const auto sends = [&](int value) { return [&, value] { EXPECT_TRUE(c.send(value)); }; };
  auto first = sleeping_fiber(rt, sends(1));
  auto second = sleeping_fiber(rt, [&] { (void)c.send(-1); });
  auto third = sleeping_fiber(rt, sends(2));
  auto fourth = sleeping_fiber(rt, [&] { (void)c.send(-2); });
  second.cancel();
  second.join();
  fourth.cancel();
  fourth.join();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*c.try_receive(), i);
  EXPECT_FALSE(c.try_receive());
  first.join();
  third.join();
}

HEDDLE_THREAD_TEST(ChannelCancel, AnEndingRuntimeCancelsThoseWhoWait) {
  channel<std::unique_ptr<int>> c, full(1);
  EXPECT_TRUE(full.send(nullptr));
  auto value = std::make_unique<int>(4);
  std::atomic<int> cancelled{0};
  {
    heddle::runtime ends({.workers = rt.workers()});
    const auto go = [&](auto f) {
      const auto before = ends.stats().parks;
      ends.go([&, f] { cancelled += cancelled_in(f) == cancel_reason::shutdown; });
      EXPECT_TRUE(eventually([&] { return ends.stats().parks > before; }));
    };
    go([&] { (void)c.receive(); });
    go([&] { (void)full.send(std::move(value)); });
    go([&] { (void)c.receive_for(1h); });
    go([&] { (void)channel<int>(nullptr).receive(); });
  }
  EXPECT_EQ(cancelled.load(), 4);
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(c.try_send(nullptr), channel_status::full);
  EXPECT_EQ(full.size(), 1u);
}

// Stop is not cancel: nothing is thrown.
HEDDLE_TEST(ChannelCancel, AStopRequestDoesNotEndAWait) {
  channel<int> c;
  auto receives = sleeping_fiber(rt, [&] {
    EXPECT_EQ(c.receive(), 1);
    EXPECT_TRUE(heddle::this_fiber::get_stop_token().stop_requested());
  });
  EXPECT_TRUE(receives.request_stop());
  for (int i = 0; i < 100; ++i) heddle::this_fiber::yield();
  EXPECT_TRUE(c.send(1));
  receives.join();
}
