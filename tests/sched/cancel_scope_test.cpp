// SPDX-License-Identifier: BSL-1.0
// cancel scopes: shield, and deadline_scope.
#include "sync/cancellation_points.hpp"

#include <heddle/heddle.hpp>

#include <atomic>
#include <memory>
#include <optional>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::cancel_reason;
using heddle::deadline_scope;
using heddle::fiber;
using heddle::shield;

static_assert(!std::is_copy_constructible_v<shield> && !std::is_copy_assignable_v<shield>);
static_assert(!std::is_copy_constructible_v<deadline_scope>);
static_assert(!std::is_convertible_v<std::chrono::milliseconds, deadline_scope>);
static_assert(std::is_nothrow_default_constructible_v<shield>);

bool expired() {
  return throws_cancelled([] { this_fiber::check_cancel(); }, cancel_reason::deadline);
}

void wait_until_stopped() {
  while (!this_fiber::get_stop_token().stop_requested()) this_fiber::yield();
}

}  // namespace

HEDDLE_TEST(DeadlineScope, IsThrownByEveryPointOnEntry) {
  for (const auto& all : {points(), points_that_need_not_wait()}) {
    for (const point& each : all) {
      obstacles o;
      const deadline_scope over(0s);
      EXPECT_TRUE(throws_cancelled([&] { each.wait(o); }, cancel_reason::deadline)) << each.name;
      expect_undisturbed(o, each.name);
    }
  }
  EXPECT_FALSE(expired()) << "it holds inside its block";
  EXPECT_FALSE(this_fiber::get_stop_token().stop_requested());
}

HEDDLE_TEST(DeadlineScope, EndsEveryWait) {
  virtual_time time;
  for (const point& each : points()) {
    if (!each.sleeps) continue;
    obstacles o;
    bool thrown = false;
    const auto parks = rt.stats().parks;
    fiber f([&] {
      const deadline_scope soon(50ms);
      thrown = throws_cancelled([&] { each.wait(o); }, cancel_reason::deadline);
      EXPECT_FALSE(this_fiber::get_stop_token().stop_requested()) << "it stops no token";
    });
    EXPECT_TRUE(eventually([&] { return rt.stats().parks > parks; })) << each.name;
    time.advance(51ms);  // timers fire at ticks of 33 us
    f.join();
    EXPECT_TRUE(thrown) << each.name;
    expect_undisturbed(o, each.name);
  }
}

HEDDLE_TEST(DeadlineScope, IsThrownAgainWhenItWasSwallowed) {
  heddle::channel<int> empty;
  const deadline_scope soon(1ms);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(throws_cancelled([&] { empty.receive(); }, cancel_reason::deadline));
  }
}

HEDDLE_TEST(DeadlineScope, OfNestedOnesTheEarliestCounts) {
  virtual_time time;
  const deadline_scope outer(heddle::clock::now() + 1h);
  EXPECT_FALSE(expired());
  {
    const deadline_scope inner(10ms);
    EXPECT_FALSE(expired());
    {
      const deadline_scope later(30ms);
      time.advance(10ms);
      EXPECT_TRUE(expired());
    }
    EXPECT_TRUE(expired());
  }
  EXPECT_FALSE(expired());
  time.advance(1h);
  EXPECT_TRUE(expired());
}

HEDDLE_TEST(DeadlineScope, LeavesEarlierTimeoutsAlone) {
  heddle::channel<int> empty;
  const deadline_scope far(1h);
  EXPECT_EQ(empty.receive_for(1ms).status(), heddle::channel_status::timeout);
  this_fiber::sleep_for(1ms);
  heddle::counting_semaphore<> none(0);
  EXPECT_FALSE(none.try_acquire_for(1ms));
  const deadline_scope never(std::chrono::hours::max());
  EXPECT_EQ(empty.receive_for(1ms).status(), heddle::channel_status::timeout);
}

HEDDLE_TEST(DeadlineScope, IsNotThrownByWhatIsNoPoint) {
  heddle::mutex mutex;
  mutex.lock();
  std::atomic<bool> waits{false}, locked{false};
  fiber f([&] {
    const deadline_scope over(0s);
    waits = true;
    mutex.lock();
    locked = true;
    mutex.unlock();
    this_fiber::yield();
    const fiber child([] { this_fiber::sleep_for(1ms); });  // its destructor joins
    heddle::channel<int> c(1);
    EXPECT_EQ(c.try_send(1), heddle::channel_status::ok);
    EXPECT_TRUE(c.try_receive());
  });
  EXPECT_TRUE(eventually([&] { return waits.load(); }));
  EXPECT_FALSE(locked);
  mutex.unlock();
  f.join();
  EXPECT_TRUE(locked);
}

HEDDLE_TEST(DeadlineScope, IsNotInheritedByFibersStartedInside) {
  const deadline_scope over(0s);
  heddle::wait_group done;
  {
    const shield finish;
    done.go([] { EXPECT_FALSE(expired()); });
    fiber f([] { this_fiber::sleep_for(1ms); });
    f.join();
    done.wait();
  }
}

HEDDLE_TEST(DeadlineScope, YieldsToACancellationOfTheFiber) {
  fiber f([] {
    const deadline_scope over(0s);
    wait_until_stopped();
    EXPECT_TRUE(throws_cancelled([] { this_fiber::check_cancel(); }));
  });
  f.cancel();
  f.join();
}

// Timer, canceller and value at the same instant: one of them, and nothing lost.
HEDDLE_TEST(DeadlineScope, OneEndOfTheWaitWins) {
  for (std::size_t i = 0; i < rounds(2'000); ++i) {
    heddle::channel<int> c;
    std::optional<int> got;
    bool thrown = false;
    fiber f([&] {
      const deadline_scope soon(std::chrono::microseconds(i % 60));
      try {
        got = c.receive();
      } catch (const heddle::cancelled&) {
        thrown = true;
      }
    });
    bool sent = false;
    fiber g([&] {
      sent = c.send_for(1, std::chrono::microseconds(i % 70)) == heddle::channel_status::ok;
    });
    if (i % 2 == 0) f.cancel();
    g.join();
    c.close();
    f.join();
    ASSERT_EQ(sent, got.has_value());
    ASSERT_FALSE(thrown && got);
  }
}

HEDDLE_TEST(DeadlineScope, GoesWithItsFiber) {
  heddle::wait_group all;
  for (int i = 0; i < 16; ++i) {
    all.go([i] {
      const auto own = heddle::clock::now() + std::chrono::milliseconds(i % 4);
      const deadline_scope d(own);
      std::optional<shield> held;
      if (i % 2 == 0) held.emplace();
      while (heddle::clock::now() < own) this_fiber::yield();
      for (int k = 0; k < 100; ++k) {
        this_fiber::yield();
        EXPECT_EQ(expired(), i % 2 != 0);
      }
    });
  }
  all.wait();
}

HEDDLE_TEST(Shield, HoldsOffTheFibersCancellation) {
  heddle::channel<int> c(1);
  fiber f([&] {
    wait_until_stopped();
    {
      const shield finish;
      this_fiber::check_cancel();
      this_fiber::sleep_for(1ms);
      {
        const shield twice;
        EXPECT_TRUE(c.send(1));
      }
      fiber child([] {});
      child.join();
    }
    EXPECT_TRUE(throws_cancelled([] { this_fiber::check_cancel(); }));
  });
  EXPECT_TRUE(f.cancel());
  f.join();
  EXPECT_EQ(c.size(), 1u);
}

HEDDLE_TEST(Shield, KeepsItsWaitsFromBeingEnded) {
  heddle::channel<int> c;
  std::optional<int> got;
  const auto parks = rt.stats().parks;
  fiber f([&] {
    {
      const shield finish;
      got = c.receive();
    }
    EXPECT_TRUE(throws_cancelled([&] { c.receive(); }));
  });
  EXPECT_TRUE(eventually([&] { return rt.stats().parks > parks; }));
  EXPECT_TRUE(f.cancel());
  EXPECT_TRUE(c.send(7));
  f.join();
  EXPECT_EQ(got, 7);
}

HEDDLE_TEST(Shield, HoldsOffDeadlinesAroundItButNotInside) {
  heddle::channel<int> empty;
  const deadline_scope over(0s);
  {
    const shield finish;
    EXPECT_FALSE(expired());
    EXPECT_EQ(empty.receive_for(1ms).status(), heddle::channel_status::timeout);
    {
      const deadline_scope soon(1ms);
      EXPECT_TRUE(throws_cancelled([&] { empty.receive(); }, cancel_reason::deadline));
    }
    EXPECT_FALSE(expired());
  }
  EXPECT_TRUE(expired());
}

HEDDLE_TEST(Shield, LetsADeadlineInsideThrowInACancelledFiber) {
  fiber f([] {
    wait_until_stopped();
    const shield finish;
    EXPECT_FALSE(throws_cancelled([] { this_fiber::check_cancel(); }));
    const deadline_scope soon(1ms);
    heddle::channel<int> empty;
    EXPECT_TRUE(throws_cancelled([&] { empty.receive(); }, cancel_reason::deadline));
  });
  f.cancel();
  f.join();
}

HEDDLE_TEST(Cancel, ThrowsWhereItsOwnTokenIsWaitedFor) {
  heddle::counting_semaphore<> none(0);
  const auto parks = rt.stats().parks;
  fiber f([&](std::stop_token mine) {
    EXPECT_TRUE(throws_cancelled([&] { (void)none.acquire(mine); })) << "no mere stop";
  });
  EXPECT_TRUE(eventually([&] { return rt.stats().parks > parks; }));
  f.cancel();
  f.join();
}

HEDDLE_TEST(Shield, LetsAStopThroughInACancelledFiber) {
  heddle::counting_semaphore<> none(0);
  fiber f([&](std::stop_token mine) {
    wait_until_stopped();
    const shield finish;
    EXPECT_FALSE(none.acquire(mine));
  });
  f.cancel();
  f.join();
}

HEDDLE_THREAD_TEST(DeadlineScope, IsTheThreadsOnAPlainThread) {
  heddle::channel<int> empty;
  {
    const deadline_scope soon(1ms);
    EXPECT_TRUE(throws_cancelled([&] { empty.receive(); }, cancel_reason::deadline));
    EXPECT_TRUE(expired());
    {
      const shield finish;
      EXPECT_FALSE(expired());
      EXPECT_EQ(empty.receive_for(1ms).status(), heddle::channel_status::timeout);
    }
    std::thread([] { EXPECT_FALSE(expired()); }).join();
    rt.run([] { EXPECT_FALSE(expired()); });
    EXPECT_TRUE(throws_cancelled([] { this_fiber::sleep_for(1h); }, cancel_reason::deadline));
  }
  EXPECT_FALSE(expired());
}

#if defined(HEDDLE_ASSERTIONS)
TEST(DeadlineScope, DiesWithAMessageIfItEndsOutOfTurn) {
  EXPECT_DEATH(
      {
        auto first = std::make_unique<deadline_scope>(1h);
        const shield second;
        first.reset();
      },
      "deadline_scope 0x[0-9a-f]+ ends in another fiber than it was made in, or before one that");
}
#endif
