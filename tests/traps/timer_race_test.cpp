// SPDX-License-Identifier: BSL-1.0
// timer_race: trap 11: a timer fires while it is cancelled. Cancelled: it never fires, and nobody
//   touches it any more. Not cancelled: it fires once.
#include "world.hpp"

#include <heddle/base/atomic.hpp>
#include <heddle/fiber/agent.hpp>
#include <heddle/sched/timer.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <cstring>
#include <thread>

namespace {

using namespace heddle_test;
using namespace heddle::detail;

struct sleeper : agent {
  sleeper() noexcept : agent(false) {}
};

// One thread arms and ends waits, another fires whatever is due.
TEST(TimerRace, AMillionTimersFireOrAreCancelledNeverBoth) {
  timer_store store;
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> fired{0};
  std::thread firing([&] {
    agent* out[8];
    while (!over.load(std::memory_order_acquire)) {
      const std::size_t n = store.expire(now_ns(), out, 8);
      // Its owner waits for this: the agent may be gone once it is counted.
      fired.fetch_add(n, std::memory_order_release);
    }
  });
  std::uint64_t timed_out = 0;
  std::uint64_t cancelled = 0;
  const std::size_t races = rounds(1'000'000);
  const auto too_few = [races](std::uint64_t n) { return n <= races / 10'000; };
  // Until both have come about: a busy machine may leave the other thread out for long.
  for (std::size_t i = 0; i < races || too_few(timed_out) || too_few(cancelled); ++i) {
    sleeper self;
    timer_node node;
    const ticket t = self.claim.next(false);
    self.claim.open(t);
    node.who = &self;
    node.claim = t;
    node.deadline_ns = now_ns() + static_cast<std::int64_t>(i % 4) * 200 - 300;
    store.add(node);
    for (std::size_t k = 0; k < i % 128; ++k) cpu_relax();
    if (self.claim.try_claim(t, 0)) {
      store.cancel(node);
      ASSERT_FALSE(node.linked());
      ASSERT_EQ(self.claim.winner(), 0);
      ++cancelled;
    } else {
      ++timed_out;
      for (backoff wait; fired.load(std::memory_order_acquire) < timed_out;) wait.pause();
      ASSERT_EQ(self.claim.winner(), case_timeout);
      ASSERT_FALSE(node.linked());
    }
    ASSERT_EQ(fired.load(std::memory_order_relaxed), timed_out) << "one fired that was cancelled";
    // Nobody may touch either any more.
    std::memset(static_cast<void*>(&node), 0xDB, sizeof node);
  }
  over.store(true, std::memory_order_release);
  firing.join();
  EXPECT_EQ(store.size(), 0u);
}

// The same through the interface: a value arrives as the time runs out. It is received, or still
// with the sender: never lost, never both.
HEDDLE_TEST(TimerRace, AValueThatArrivesAsTheTimeRunsOutIsNotLost) {
  heddle::channel<std::size_t> c;
  const std::size_t races = rounds(50'000);
  std::size_t received = 0;
  std::size_t timed_out = 0;
  std::atomic<bool> over{false};
  std::size_t sent = 0;
  heddle::fiber sender([&] {
    while (!over.load(std::memory_order_relaxed)) {
      const auto status = c.send_for(std::size_t{sent}, std::chrono::microseconds(sent % 50));
      if (status == heddle::channel_status::ok) ++sent;
    }
  });
  for (std::size_t i = 0; i < races; ++i) {
    const auto got = c.receive_for(std::chrono::microseconds(i % 50));
    if (got) {
      ASSERT_EQ(*got, received);
      ++received;
    } else {
      ASSERT_EQ(got.status(), heddle::channel_status::timeout);
      ++timed_out;
    }
  }
  over.store(true, std::memory_order_relaxed);
  sender.join();
  EXPECT_EQ(sent, received);
}

// Many at once, cancelled from other fibers.
HEDDLE_TEST(TimerRace, ASleepThatIsCancelledAsItEndsEndsOnce) {
  std::atomic<std::uint64_t> ends{0};
  const std::size_t races = rounds(20'000);
  for (std::size_t i = 0; i < races; ++i) {
    heddle::fiber f([&ends, i] {
      try {
        heddle::this_fiber::sleep_for(std::chrono::microseconds(i % 40));
      } catch (const heddle::cancelled&) {
      }
      ends.fetch_add(1, std::memory_order_relaxed);
    });
    if (i % 2 == 0) heddle::this_fiber::yield();
    f.cancel();
    f.join();
  }
  EXPECT_EQ(ends.load(), races);
}

}  // namespace
