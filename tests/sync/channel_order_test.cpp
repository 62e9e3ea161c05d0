// SPDX-License-Identifier: BSL-1.0
// channel: those who wait are served in the order in which they came, and what a try that fails
//   did not see came after it.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>

#include <array>
#include <atomic>
#include <thread>

using heddle::channel;
using heddle::channel_status;
using heddle_test::eventually;
using namespace std::chrono_literals;

namespace {
constexpr int parties = 7;
}

HEDDLE_CREW_TEST(ChannelOrder, ReceiversAreServedInTheOrderTheyCame) {
  for (const std::size_t capacity : {0u, 1u, 3u}) {
    channel<int> c(capacity);
    for (int i = 0; i < parties; ++i) {
      all.start_and_sleep([&, i] { EXPECT_EQ(c.receive(), i); });
    }
    for (int i = 0; i < parties; ++i) EXPECT_EQ(c.try_send(i), channel_status::ok);
    all.join();
    EXPECT_EQ(c.size(), 0u);
  }
}

HEDDLE_CREW_TEST(ChannelOrder, ReceiversOfEveryKindAreServedInOneOrder) {
  channel<int> c;
  all.start_and_sleep([&] { EXPECT_EQ(*c.receive_for(1h), 0); });
  all.start_and_sleep([&] { EXPECT_EQ(c.receive(), 1); });
  all.start_and_sleep([&] { EXPECT_EQ(*c.receive_until(heddle::clock::now() + 1h), 2); });
  all.start_and_sleep([&] {
    int n = 3;
    for (int v : c) EXPECT_EQ(v, n++);
    EXPECT_EQ(n, 4);
  });
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(c.send(i));
  c.close();
  all.join();
}

HEDDLE_CREW_TEST(ChannelOrder, SendersAreServedInTheOrderTheyCame) {
  for (const std::size_t capacity : {0u, 1u, 3u}) {
    channel<int> c(capacity);
    const int first = static_cast<int>(capacity);
    for (int i = 0; i < first; ++i) EXPECT_TRUE(c.send(i));
    std::atomic<int> returned{0};
    for (int i = 0; i < parties; ++i) {
      all.start_and_sleep([&, i] {
        EXPECT_TRUE(c.send(first + i));
        EXPECT_EQ(returned.fetch_add(1), i);
      });
    }
    for (int i = 0; i < first + parties; ++i) {
      EXPECT_EQ(c.receive(), i);
      const int released = std::min(i + 1, parties);
      EXPECT_TRUE(eventually([&] { return returned.load() == released; }));
    }
    all.join();
  }
}

HEDDLE_CREW_TEST(ChannelOrder, ATryDoesNotOvertakeThoseWhoWait) {
  channel<int> c(1);
  EXPECT_TRUE(c.send(0));
  all.start_and_sleep([&] { EXPECT_TRUE(c.send(1)); });
  all.start_and_sleep([&] { EXPECT_EQ(c.send_for(2, 1h), channel_status::ok); });
  EXPECT_EQ(c.try_send(9), channel_status::full);
  EXPECT_EQ(c.receive(), 0);
  EXPECT_EQ(c.try_send(9), channel_status::full);
  EXPECT_EQ(c.receive(), 1);
  EXPECT_EQ(c.try_send(9), channel_status::full);
  EXPECT_EQ(c.receive(), 2);
  EXPECT_EQ(c.try_send(3), channel_status::ok);
  EXPECT_EQ(c.receive(), 3);
  all.join();
}

HEDDLE_CREW_TEST(ChannelOrder, OneWhoTimedOutLeavesTheOthersTheirTurns) {
  channel<int> c;
  std::atomic<bool> left{false};
  all.start_and_sleep([&] { EXPECT_EQ(c.receive(), 0); });
  all.start([&] {
    EXPECT_EQ(c.receive_for(5ms).status(), channel_status::timeout);
    left = true;
  });
  EXPECT_TRUE(eventually([&] { return left.load(); }));
  all.start_and_sleep([&] { EXPECT_EQ(c.receive(), 1); });
  for (int i = 0; i < 2; ++i) EXPECT_EQ(c.try_send(i), channel_status::ok);
  EXPECT_EQ(c.try_send(2), channel_status::full);
  all.join();
}

HEDDLE_CREW_TEST(ChannelOrder, NobodyStarvesWhileOthersComeAndGo) {
  channel<int> c;
  std::atomic<bool> over{false};
  std::array<std::atomic<int>, 6> served{};
  for (auto& mine : served) {
    all.start([&] {
      for (int v : c) mine.fetch_add(v);
    });
  }
  all.start([&] {
    while (!over.load()) EXPECT_TRUE(c.send(1));
    c.close();
  });
  EXPECT_TRUE(eventually([&] {
    for (auto& n : served) {
      if (n.load() < 20) return false;
    }
    return true;
  }));
  over = true;
  all.join();
}

// Two who say "I am here" by a flag and look for each other's value: one of them sees the other.
TEST(ChannelOrder, ATryThatFailsCameBeforeWhatItDidNotSee) {
  channel<int> c(4);
  std::atomic<int> flag{0};
  std::atomic<std::size_t> begun{0}, ended{0};
  std::atomic<bool> over{false};
  int seen_by_sender = 0;
  std::thread sender([&] {
    for (std::size_t i = 1;; ++i) {
      while (begun.load() < i) {
        if (over.load()) return;
      }
      (void)c.try_send(1);
      seen_by_sender = flag.load();
      ended.store(i);
    }
  });
  int missed = 0;
  const heddle_test::time_limit limit;
  for (std::size_t i = 1; i <= heddle_test::rounds(300'000) && !limit.over(); ++i) {
    flag.store(0);
    begun.store(i);
    for (std::size_t k = 0; k < i % 32; ++k) heddle::detail::cpu_relax();
    flag.store(1);
    const bool received = c.try_receive().has_value();
    while (ended.load() < i) {
    }
    missed += !received && seen_by_sender == 0;
    if (!received) (void)c.try_receive();
  }
  over = true;
  sender.join();
  EXPECT_EQ(missed, 0);
}
