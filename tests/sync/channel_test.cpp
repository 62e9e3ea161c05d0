// SPDX-License-Identifier: BSL-1.0
// channel: sending and receiving, trying, the nil channel, handles, capacities.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

using heddle::channel;
using heddle::channel_status;
using heddle_test::eventually;

HEDDLE_CREW_TEST(Channel, AnUnbufferedSendReturnsWhenItsValueWasReceived) {
  channel<int> c;
  std::atomic<bool> returned{false};
  all.start_and_sleep([&] {
    EXPECT_TRUE(c.send(42));
    returned.store(true);
  });
  EXPECT_FALSE(returned.load());
  EXPECT_EQ(c.size(), 0u);
  EXPECT_EQ(c.receive(), 42);
  all.join();
  EXPECT_TRUE(returned.load());
}

HEDDLE_CREW_TEST(Channel, AReceiveWaitsForAValue) {
  for (const std::size_t capacity : {0u, 1u, 5u}) {
    channel<std::string> c(capacity);
    std::atomic<bool> returned{false};
    all.start_and_sleep([&] {
      EXPECT_EQ(c.receive(), "hello");
      returned.store(true);
    });
    EXPECT_FALSE(returned.load());
    EXPECT_TRUE(c.send("hello"));
    all.join();
    EXPECT_TRUE(returned.load());
    EXPECT_EQ(c.size(), 0u);
  }
}

HEDDLE_CREW_TEST(Channel, ABufferedSendWaitsOnlyWhileTheChannelIsFull) {
  channel<int> c(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(c.send(i));
    EXPECT_EQ(c.size(), static_cast<std::size_t>(i) + 1);
  }
  std::atomic<bool> returned{false};
  all.start_and_sleep([&] {
    EXPECT_TRUE(c.send(3));
    returned.store(true);
  });
  EXPECT_FALSE(returned.load());
  EXPECT_EQ(c.size(), 3u);
  EXPECT_EQ(c.receive(), 0);
  EXPECT_EQ(c.size(), 3u);  // the one who waited has his value in
  all.join();
  EXPECT_TRUE(returned.load());
  for (int i = 1; i < 4; ++i) EXPECT_EQ(c.receive(), i);
  EXPECT_EQ(c.size(), 0u);
}

HEDDLE_CREW_TEST(Channel, ValuesArriveInTheOrderSent) {
  for (const std::size_t capacity : {0u, 1u, 2u, 7u, 1000u}) {
    channel<int> c(capacity);
    all.start([&] {
      for (int i = 0; i < 500; ++i) EXPECT_TRUE(c.send(i));
    });
    for (int i = 0; i < 500; ++i) ASSERT_EQ(c.receive(), i);
    all.join();
  }
}

HEDDLE_CREW_TEST(Channel, TrySendOnAnUnbufferedOneNeedsAWaitingReceiver) {
  channel<int> c;
  EXPECT_EQ(c.try_send(1), channel_status::full);
  all.start_and_sleep([&] { EXPECT_EQ(c.receive(), 2); });
  EXPECT_EQ(c.try_send(2), channel_status::ok);
  EXPECT_EQ(c.try_send(3), channel_status::full);
  const int lvalue = 4;
  EXPECT_EQ(c.try_send(lvalue), channel_status::full);
  all.join();
}

HEDDLE_CREW_TEST(Channel, TryReceiveTakesFromAWaitingSender) {
  channel<int> c;
  EXPECT_EQ(c.try_receive().status(), channel_status::empty);
  all.start_and_sleep([&] { EXPECT_TRUE(c.send(5)); });
  auto got = c.try_receive();
  EXPECT_EQ(got.status(), channel_status::ok);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, 5);
  EXPECT_EQ(c.try_receive().status(), channel_status::empty);
  all.join();
}

HEDDLE_CREW_TEST(Channel, TryReceiveFromAFullOneLetsTheFirstWaitingSenderIn) {
  channel<int> c(1);
  EXPECT_EQ(c.try_send(1), channel_status::ok);
  EXPECT_EQ(c.try_send(2), channel_status::full);
  all.start_and_sleep([&] { EXPECT_TRUE(c.send(3)); });
  EXPECT_EQ(c.try_send(4), channel_status::full);
  EXPECT_EQ(*c.try_receive(), 1);
  EXPECT_EQ(c.size(), 1u);
  EXPECT_EQ(*c.try_receive(), 3);
  EXPECT_EQ(c.try_receive().status(), channel_status::empty);
  all.join();
}

HEDDLE_CREW_TEST(Channel, TheRingMayWrapAnyNumberOfTimes) {
  for (const std::size_t capacity : {1u, 2u, 3u, 4u, 5u}) {
    channel<std::size_t> c(capacity);
    std::size_t in = 0, out = 0;
    for (std::size_t round = 0; round < 40; ++round) {
      const std::size_t burst = 1 + round % capacity;
      for (std::size_t i = 0; i < burst; ++i) ASSERT_EQ(c.try_send(in++), channel_status::ok);
      EXPECT_EQ(c.size(), burst);
      for (std::size_t i = 0; i < burst; ++i) ASSERT_EQ(*c.try_receive(), out++);
      EXPECT_EQ(c.size(), 0u);
    }
  }
}

HEDDLE_CREW_TEST(Channel, CopiesReferToOneChannel) {
  channel<int> a(2);
  channel<int> b = a;
  channel<int> c(2);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  all.start_and_sleep([copy = a] { EXPECT_EQ(copy.receive(), 1); });
  EXPECT_TRUE(b.send(1));
  all.join();
  c = b;
  EXPECT_EQ(a, c);
  EXPECT_TRUE(c.send(2));
  EXPECT_EQ(a.receive(), 2);
  EXPECT_TRUE(c.close());
  EXPECT_TRUE(a.closed());
  EXPECT_FALSE(b.close());
}

HEDDLE_TEST(Channel, AMovedHandleTakesTheChannelWithIt) {
  channel<int> a(2);
  const channel<int> same = a;
  channel<int> b = std::move(a);
  EXPECT_EQ(b, same);
  EXPECT_NE(a, same);
  channel<int> c(1);
  c = std::move(b);
  EXPECT_EQ(c, same);
  using std::swap;
  swap(a, c);
  EXPECT_EQ(a, same);
  auto& itself = a;
  a = itself;
  EXPECT_EQ(a, same);
  EXPECT_TRUE(a.send(7));
  EXPECT_EQ(same.size(), 1u);
  EXPECT_EQ(a.receive(), 7);
}

HEDDLE_TEST(Channel, TheNilChannelIsNeverReady) {
  channel<int> nil{nullptr};
  const channel<int> other = nullptr;
  EXPECT_EQ(nil, other);
  EXPECT_NE(nil, channel<int>());
  EXPECT_EQ(nil.try_send(1), channel_status::full);
  const int one = 1;
  EXPECT_EQ(nil.try_send(one), channel_status::full);
  EXPECT_EQ(nil.try_receive().status(), channel_status::empty);
  EXPECT_FALSE(nil.close());
  EXPECT_FALSE(nil.close());
  EXPECT_FALSE(nil.closed());
  EXPECT_EQ(nil.size(), 0u);
  EXPECT_EQ(nil.capacity(), 0u);
  EXPECT_EQ(nil.send_for(1, std::chrono::microseconds(200)), channel_status::timeout);
  EXPECT_EQ(nil.receive_for(std::chrono::microseconds(200)).status(), channel_status::timeout);
  EXPECT_EQ(nil.send_for(one, std::chrono::seconds(-1)), channel_status::timeout);
  EXPECT_EQ(nil.receive_until(std::chrono::steady_clock::now()).status(), channel_status::timeout);
  EXPECT_EQ(nil.receive_until(std::chrono::system_clock::now()).status(), channel_status::timeout);
  EXPECT_EQ(nil.send_until(1, heddle::clock::now()), channel_status::timeout);
}

TEST(Channel, TheNilChannelTimesOutOnAPlainThread) {
  channel<int> nil{nullptr};
  EXPECT_EQ(nil.send_for(1, std::chrono::microseconds(200)), channel_status::timeout);
  EXPECT_EQ(nil.receive_for(std::chrono::microseconds(200)).status(), channel_status::timeout);
}

HEDDLE_TEST(Channel, OnTheNilChannelOneWaitsUntilCancelled) {
  channel<std::unique_ptr<int>> nil{nullptr};
  auto value = std::make_unique<int>(3);
  auto sends = heddle_test::sleeping_fiber(rt, [&] { (void)nil.send(std::move(value)); });
  auto receives = heddle_test::sleeping_fiber(rt, [&] { (void)nil.receive(); });
  auto loops = heddle_test::sleeping_fiber(rt, [&] {
    for (auto& v : nil) ADD_FAILURE() << *v;
  });
  for (auto* f : {&sends, &receives, &loops}) {
    EXPECT_TRUE(f->cancel());
    f->join();
  }
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, 3);
}

HEDDLE_TEST(Channel, CapacityIsAsAsked) {
  EXPECT_EQ(channel<int>().capacity(), 0u);
  EXPECT_EQ(channel<int>(0).capacity(), 0u);
  EXPECT_EQ(channel<int>{0}.capacity(), 0u);
  for (const std::size_t n : {1u, 2u, 3u, 100'000u}) {
    channel<std::uint16_t> c(n);
    EXPECT_EQ(c.capacity(), n);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(c.try_send(static_cast<std::uint16_t>(i)), channel_status::ok);
    }
    EXPECT_EQ(c.try_send(std::uint16_t{0}), channel_status::full);
    EXPECT_EQ(c.size(), n);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(*c.try_receive(), static_cast<std::uint16_t>(i));
    }
    EXPECT_EQ(c.capacity(), n);
  }
}

TEST(Channel, AnAbsurdCapacityIsBadAlloc) {
  struct huge {
    char bytes[1 << 20];
  };
  for (const std::size_t n : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX / 8,
                              SIZE_MAX / 4 + 2, std::size_t{1} << 61, std::size_t{1} << 48}) {
    EXPECT_THROW(channel<char>{n}, std::bad_alloc) << n;
    EXPECT_THROW(channel<int>{n}, std::bad_alloc) << n;
    EXPECT_THROW(channel<std::string>{n}, std::bad_alloc) << n;
    EXPECT_THROW(channel<huge>{n}, std::bad_alloc) << n;
  }
  EXPECT_THROW(channel<huge>{std::size_t{1} << 44}, std::bad_alloc);
}

HEDDLE_TEST(Channel, AReceivedSaysWhyItIsEmpty) {
  channel<std::string> c(1);
  auto none = c.try_receive();
  EXPECT_FALSE(none);
  EXPECT_FALSE(static_cast<bool>(none));
  EXPECT_EQ(none.status(), channel_status::empty);
  EXPECT_EQ(c.receive_for(std::chrono::seconds(0)).status(), channel_status::timeout);
  EXPECT_TRUE(c.send("value"));
  auto some = c.try_receive();
  ASSERT_TRUE(some);
  EXPECT_EQ(some.status(), channel_status::ok);
  EXPECT_EQ(*some, "value");
  EXPECT_EQ(some->size(), 5u);
  *some += "!";
  EXPECT_EQ(std::as_const(some)->size(), 6u);
  const std::string taken = *std::move(some);
  EXPECT_EQ(taken, "value!");
  c.close();
  EXPECT_EQ(c.try_receive().status(), channel_status::closed);
}

HEDDLE_CREW_TEST(Channel, ChannelsTravelThroughChannels) {
  struct request {
    int n;
    channel<int> answer;
  };
  channel<request> requests;
  all.start([&] {
    for (request& r : requests) EXPECT_TRUE(r.answer.send(r.n * r.n));
  });
  for (int i = 0; i < 20; ++i) {
    channel<int> answer(1);
    EXPECT_TRUE(requests.send({i, answer}));
    EXPECT_EQ(answer.receive(), i * i);
  }
  requests.close();
  all.join();
}

HEDDLE_CREW_TEST(Channel, ItLivesAsLongAsAnyHandle) {
  std::optional<channel<std::string>> made(std::in_place, 4u);
  channel<std::string> answers;
  all.start([mine = *made, answers] {
    for (std::string& s : mine) EXPECT_TRUE(answers.send(s + s));
    answers.close();
  });
  EXPECT_TRUE(made->send("ab"));
  EXPECT_TRUE(made->send("cd"));
  made->close();
  made.reset();
  EXPECT_EQ(answers.receive(), "abab");
  EXPECT_EQ(answers.receive(), "cdcd");
  EXPECT_EQ(answers.receive(), std::nullopt);
  all.join();
}
