// SPDX-License-Identifier: BSL-1.0
// channel: closing, and receiving in a loop until then.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

using heddle::channel;
using heddle::channel_status;
using heddle_test::eventually;
using heddle_test::sleeping_fiber;
using namespace std::chrono_literals;

HEDDLE_TEST(ChannelClose, OnlyTheFirstCloseIsTrue) {
  channel<int> c;
  EXPECT_FALSE(c.closed());
  EXPECT_TRUE(c.close());
  EXPECT_TRUE(c.closed());
  EXPECT_FALSE(c.close());
  EXPECT_TRUE(c.closed());
  static_assert(noexcept(c.close())&& noexcept(c.closed()));
}

HEDDLE_CREW_TEST(ChannelClose, AmongManyClosersOneIsTheFirst) {
  for (int round = 0; round < 50; ++round) {
    channel<int> c(1);
    std::atomic<int> firsts{0};
    heddle_test::start_line line(4);
    for (int i = 0; i < 4; ++i) {
      all.start([&] {
        line.wait();
        if (c.close()) firsts.fetch_add(1);
        EXPECT_TRUE(c.closed());
      });
    }
    all.join();
    ASSERT_EQ(firsts.load(), 1);
  }
}

HEDDLE_TEST(ChannelClose, AClosedOneTakesNothing) {
  for (const std::size_t capacity : {0u, 1u, 4u}) {
    channel<std::unique_ptr<int>> c(capacity);
    c.close();
    auto value = std::make_unique<int>(1);
    EXPECT_FALSE(c.send(std::move(value)));
    EXPECT_EQ(c.try_send(std::move(value)), channel_status::closed);
    EXPECT_EQ(c.send_for(std::move(value), 1h), channel_status::closed);
    EXPECT_EQ(c.send_for(std::move(value), -1s), channel_status::closed);
    EXPECT_EQ(c.send_until(std::move(value), heddle::clock::now() + 1h), channel_status::closed);
    EXPECT_EQ(c.send_until(std::move(value), std::chrono::system_clock::now() + 1h),
              channel_status::closed);
    ASSERT_NE(value, nullptr);
    EXPECT_EQ(c.size(), 0u);
    EXPECT_EQ(c.capacity(), capacity);
    EXPECT_EQ(c.receive(), std::nullopt);
    EXPECT_EQ(c.try_receive().status(), channel_status::closed);
    EXPECT_EQ(c.receive_for(1h).status(), channel_status::closed);
    EXPECT_EQ(c.receive_for(-1s).status(), channel_status::closed);
    EXPECT_EQ(c.receive_until(std::chrono::system_clock::now() + 1h).status(),
              channel_status::closed);
  }
}

HEDDLE_TEST(ChannelClose, WhatIsBufferedCanStillBeReceived) {
  channel<int> c(5);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(c.send(i));
  c.close();
  EXPECT_EQ(c.size(), 5u);
  EXPECT_EQ(c.receive(), 0);
  EXPECT_EQ(*c.try_receive(), 1);
  EXPECT_EQ(*c.receive_for(1h), 2);
  EXPECT_EQ(*c.receive_for(-1h), 3);
  EXPECT_EQ(*c.receive_until(std::chrono::system_clock::now()), 4);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(c.receive(), std::nullopt);
  EXPECT_EQ(c.try_receive().status(), channel_status::closed);
}

HEDDLE_CREW_TEST(ChannelClose, WaitingReceiversGetNothing) {
  channel<int> c(2);
  std::atomic<int> empty{0};
  all.start_and_sleep([&] { empty += c.receive() == std::nullopt; });
  all.start_and_sleep([&] { empty += c.receive_for(1h).status() == channel_status::closed; });
  all.start_and_sleep([&] {
    empty += c.receive_until(heddle::clock::now() + 1h).status() == channel_status::closed;
  });
  all.start_and_sleep([&] {
    for (int v : c) ADD_FAILURE() << v;
    ++empty;
  });
  EXPECT_EQ(empty.load(), 0);
  EXPECT_TRUE(c.close());
  all.join();
  EXPECT_EQ(empty.load(), 4);
}

HEDDLE_CREW_TEST(ChannelClose, WaitingSendersAreToldAndKeepTheirValues) {
  for (const std::size_t capacity : {0u, 2u}) {
    channel<std::unique_ptr<int>> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) c.send(std::make_unique<int>(static_cast<int>(i)));
    std::atomic<int> told{0};
    for (int i = 0; i < 4; ++i) {
      all.start_and_sleep([&, i] {
        auto value = std::make_unique<int>(100 + i);
        if (i % 2 == 0) {
          EXPECT_FALSE(c.send(std::move(value)));
        } else {
          EXPECT_EQ(c.send_for(std::move(value), 1h), channel_status::closed);
        }
        ASSERT_NE(value, nullptr);
        EXPECT_EQ(*value, 100 + i);
        ++told;
      });
    }
    EXPECT_EQ(told.load(), 0);
    c.close();
    all.join();
    EXPECT_EQ(told.load(), 4);
    for (std::size_t i = 0; i < capacity; ++i) {
      const auto got = c.receive();
      ASSERT_TRUE(got);
      EXPECT_EQ(**got, static_cast<int>(i));
    }
    EXPECT_FALSE(c.receive());
  }
}

HEDDLE_CREW_TEST(ChannelClose, ALoopReceivesUntilClosedAndDrained) {
  for (const std::size_t capacity : {0u, 3u, 100u}) {
    channel<std::string> c(capacity);
    all.start([&] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(c.send(std::to_string(i)));
      c.close();
    });
    int i = 0;
    for (std::string& s : c) {
      EXPECT_EQ(s, std::to_string(i++));
      s.clear();  // it is the loop's own
    }
    EXPECT_EQ(i, 50);
    for (auto&& s : c) ADD_FAILURE() << s;
    all.join();
  }
}

HEDDLE_TEST(ChannelClose, ALoopThatIsLeftLeavesTheRest) {
  channel<std::unique_ptr<int>> c(10);
  for (int i = 0; i < 10; ++i) c.send(std::make_unique<int>(i));
  std::unique_ptr<int> kept;
  for (auto& v : c) {
    if (*v == 3) {
      kept = std::move(v);
      break;
    }
  }
  EXPECT_EQ(*kept, 3);
  EXPECT_EQ(c.size(), 6u);
  int next = 4;
  c.close();
  for (const auto& v : c) EXPECT_EQ(*v, next++);
  EXPECT_EQ(next, 10);
}

HEDDLE_TEST(ChannelClose, LoopsNest) {
  channel<channel<int>> outer(3);
  for (int i = 0; i < 3; ++i) {
    channel<int> inner(2);
    inner.send(10 * i);
    inner.send(10 * i + 1);
    inner.close();
    outer.send(inner);
  }
  outer.close();
  std::vector<int> got;
  for (auto& inner : outer) {
    for (int v : inner) got.push_back(v);
  }
  EXPECT_EQ(got, (std::vector<int>{0, 1, 10, 11, 20, 21}));
}

HEDDLE_CREW_TEST(ChannelClose, SeveralLoopsShareTheValues) {
  channel<int> c(4);
  std::atomic<long> sum{0};
  std::atomic<int> ended{0};
  for (int i = 0; i < 5; ++i) {
    all.start([&] {
      for (int v : c) sum += v;
      ++ended;
    });
  }
  for (int i = 1; i <= 1000; ++i) EXPECT_TRUE(c.send(i));
  c.close();
  all.join();
  EXPECT_EQ(sum.load(), 500'500);
  EXPECT_EQ(ended.load(), 5);
}

// Every value whose send was true is received, or still in the channel; no other is.
HEDDLE_CREW_TEST(ChannelClose, RacingWithSendersAndReceiversLosesNothing) {
  heddle_test::jitter when(7);
  for (std::size_t round = 0; round < heddle_test::rounds(60); ++round) {
    const std::size_t capacity = round % 4;
    channel<std::unique_ptr<int>> c(capacity);
    constexpr int senders = 3, each = 20;
    std::vector<std::atomic<int>> sent(senders * each), got(senders * each);
    heddle_test::start_line line(senders + 2 + 1);
    for (int s = 0; s < senders; ++s) {
      all.start([&, s] {
        line.wait();
        for (int i = 0; i < each; ++i) {
          auto value = std::make_unique<int>(s * each + i);
          bool ok = false;
          switch (i % 3) {
            case 0:
              ok = c.send(std::move(value));
              break;
            case 1:
              ok = c.try_send(std::move(value)) == channel_status::ok;
              break;
            default:
              ok = c.send_for(std::move(value), 20us) == channel_status::ok;
              break;
          }
          EXPECT_EQ(ok, value == nullptr);
          if (ok) ++sent[static_cast<std::size_t>(s * each + i)];
        }
      });
    }
    const auto note = [&](const std::unique_ptr<int>& v) { ++got[static_cast<std::size_t>(*v)]; };
    all.start([&] {
      line.wait();
      for (auto& v : c) note(v);
    });
    all.start([&] {
      line.wait();
      for (;;) {
        auto v = c.receive_for(10us);
        if (v.status() == channel_status::closed) break;
        if (v) note(*v);
      }
    });
    line.wait();
    for (unsigned i = when.below(100); i > 0; --i) {
      if (i % 8 == 0) heddle::this_fiber::yield();
      when();
    }
    EXPECT_TRUE(c.close());
    all.join();
    while (auto left = c.try_receive()) note(*left);
    for (std::size_t i = 0; i < sent.size(); ++i) {
      ASSERT_EQ(sent[i].load(), got[i].load()) << "value " << i << ", capacity " << capacity;
    }
  }
}

#if defined(HEDDLE_ASSERTIONS)
TEST(ChannelClose, DiesWithAMessageIfTheLastHandleEndsWhileItIsWaitedOn) {
  for (const std::size_t capacity : {0u, 1u}) {
    EXPECT_DEATH(
        {
          heddle::runtime rt({.workers = 1});
          auto c = std::make_unique<channel<int>>(capacity);
          auto waits = sleeping_fiber(rt, [at = c.get()] { (void)at->receive(); });
          c.reset();
        },
        "heddle: channel 0x[0-9a-f]+ is destroyed while it is waited on");
    EXPECT_DEATH(
        {
          heddle::runtime rt({.workers = 1});
          auto c = std::make_unique<channel<int>>(capacity);
          auto waits = sleeping_fiber(rt, [at = c.get()] {
            while (at->send(1)) {
            }
          });
          c.reset();
        },
        "heddle: channel 0x[0-9a-f]+ is destroyed while it is waited on");
  }
}
#endif
