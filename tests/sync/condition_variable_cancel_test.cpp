// SPDX-License-Identifier: BSL-1.0
// condition_variable: cancellation throws with the lock held, and eats no notification.
#include "sync/crew.hpp"

#include <heddle/sync/condition_variable.hpp>

#include <chrono>
#include <mutex>

using heddle::cancel_reason;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::sleeping_fiber;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

using lock_type = std::unique_lock<heddle::mutex>;

/// Each way of waiting, by number.
constexpr int ways = 8;
void wait_in_way(int way, heddle::condition_variable& c, lock_type& hold, bool truth) {
  const auto answer = [&] { return truth; };
  switch (way) {
    case 0:
      c.wait(hold, answer);
      break;
    case 1:
      (void)c.wait_for(hold, 1h, answer);
      break;
    case 2:
      (void)c.wait_until(hold, steady_clock::now() + 1h, answer);
      break;
    case 3:
      (void)c.wait_until(hold, system_clock::now() + 1h, answer);
      break;
    case 4:
      c.wait(hold);
      break;
    case 5:
      (void)c.wait_for(hold, 1h);
      break;
    case 6:
      (void)c.wait_until(hold, steady_clock::now() + 1h);
      break;
    default:
      while (c.wait_until(hold, system_clock::now() + 1h) != std::cv_status::timeout) {
      }
  }
}

}  // namespace

HEDDLE_TEST(ConditionVariableCancel, OnEntryItThrowsAlsoWithATruePredicate) {
  heddle::condition_variable c;
  heddle::mutex m;
  in_cancelled_fiber(rt, [&] {
    for (int way = 0; way < ways; ++way) {
      for (const bool truth : {false, true}) {
        lock_type hold(m);
        EXPECT_EQ(cancelled_in([&] { wait_in_way(way, c, hold, truth); }), cancel_reason::requested)
            << way;
        EXPECT_TRUE(hold.owns_lock());
        EXPECT_FALSE(m.try_lock());
      }
    }
    lock_type hold(m);
    EXPECT_TRUE(cancelled_in([&] { (void)c.wait_for(hold, -1s, [] { return true; }); }));
    EXPECT_TRUE(cancelled_in([&] { (void)c.wait_until(hold, system_clock::now()); }));
    c.notify_one();  // no cancellation points
    c.notify_all();
  });
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

HEDDLE_TEST(ConditionVariableCancel, WhileWaitingItThrowsWithTheLockHeld) {
  heddle::condition_variable c;
  heddle::mutex m;
  for (int way = 0; way < ways; ++way) {
    bool inside = false;  // guarded by m
    auto waits = sleeping_fiber(rt, [&] {
      lock_type hold(m);
      EXPECT_EQ(cancelled_in([&] { wait_in_way(way, c, hold, false); }), cancel_reason::requested);
      EXPECT_TRUE(hold.owns_lock());
      EXPECT_FALSE(inside);
    });
    m.lock();
    inside = true;
    EXPECT_TRUE(waits.cancel());
    for (int i = 0; i < 50; ++i) heddle::this_fiber::yield();
    inside = false;
    m.unlock();
    waits.join();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }
}

HEDDLE_TEST(ConditionVariableCancel, ACancelledOneTakesNoNotificationFromTheNext) {
  heddle::condition_variable c;
  heddle::mutex m;
  heddle_test::jitter late(5);
  for (std::size_t round = 0; round < heddle_test::rounds(2'000); ++round) {
    std::atomic<int> notified{0}, cancelled{0};
    int waiting = 0;  // guarded by m, which each holds until it is in c's queue
    const auto waits = [&] {
      lock_type hold(m);
      ++waiting;
      if (cancelled_in([&] { c.wait(hold); })) {
        ++cancelled;
      } else {
        ++notified;
      }
    };
    const auto are_waiting = [&](int wanted) {
      return eventually([&] {
        const lock_type hold(m);
        return waiting == wanted;
      });
    };
    heddle::fiber first(waits);
    EXPECT_TRUE(are_waiting(1));
    heddle::fiber second(waits);
    EXPECT_TRUE(are_waiting(2));
    heddle::fiber cancels([&] { first.cancel(); });
    late();
    c.notify_one();
    EXPECT_TRUE(eventually([&] { return notified.load() == 1; }));
    cancels.join();
    second.cancel();
    first.join();
    second.join();
    ASSERT_EQ(notified.load(), 1);
    ASSERT_EQ(cancelled.load(), 1);
  }
}

HEDDLE_THREAD_TEST(ConditionVariableCancel, AnEndingRuntimeCancelsThoseWhoWait) {
  heddle::condition_variable c;
  heddle::mutex m;
  std::atomic<int> cancelled{0};
  {
    heddle::runtime ends({.workers = rt.workers()});
    for (int i = 0; i < 3; ++i) {
      const auto before = ends.stats().parks;
      ends.go([&] {
        lock_type hold(m);
        cancelled += cancelled_in([&] { c.wait(hold); }) == cancel_reason::shutdown;
      });
      EXPECT_TRUE(eventually([&] { return ends.stats().parks > before; }));
    }
  }
  EXPECT_EQ(cancelled.load(), 3);
}
