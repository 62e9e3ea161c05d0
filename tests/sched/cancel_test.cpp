// SPDX-License-Identifier: BSL-1.0
// cancel: what is a cancellation point, what is none, and what a cancelled fiber sees.
#include "sync/cancellation_points.hpp"

#include <heddle/heddle.hpp>

#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::cancel_reason;
using heddle::cancelled;
using heddle::fiber;

static_assert(!std::is_base_of_v<std::exception, cancelled>,
              "catch (std::exception&) must not swallow it");

/// Lets `fibers` others run until they have come to wait.
void wait_until_parked(heddle::runtime& rt, std::uint64_t parks_before, std::uint64_t fibers) {
  EXPECT_TRUE(eventually([&] { return rt.stats().parks >= parks_before + fibers; }));
}

HEDDLE_TEST(Cancel, IsThrownByEveryPointOnEntry) {
  for (const auto& all : {points(), points_that_need_not_wait()}) {
    for (const point& each : all) {
      obstacles o;
      heddle::channel<int> gate;
      bool thrown = false;
      fiber f([&, gate]() mutable {
        while (!this_fiber::get_stop_token().stop_requested()) this_fiber::yield();
        thrown = throws_cancelled([&] { each.wait(o); });
      });
      EXPECT_TRUE(f.cancel());
      f.join();
      EXPECT_TRUE(thrown) << each.name;
      expect_undisturbed(o, each.name);
    }
  }
}

HEDDLE_TEST(Cancel, EndsEveryWait) {
  for (const point& each : points()) {
    if (!each.sleeps) continue;
    obstacles o;
    bool thrown = false;
    const auto parks = rt.stats().parks;
    fiber f([&] { thrown = throws_cancelled([&] { each.wait(o); }); });
    wait_until_parked(rt, parks, 1);
    EXPECT_TRUE(f.cancel());
    f.join();
    EXPECT_TRUE(thrown) << each.name;
    // What was waited for is as it was: nobody is left in its queue.
    expect_undisturbed(o, each.name);
  }
}

HEDDLE_TEST(Cancel, IsThrownAgainWhenItWasSwallowed) {
  obstacles o;
  std::size_t thrown = 0, tried = 0;
  fiber f([&] {
    while (!this_fiber::get_stop_token().stop_requested()) this_fiber::yield();
    for (int round = 0; round < 3; ++round) {
      for (const auto& all : {points(), points_that_need_not_wait()}) {
        for (const point& each : all) {
          ++tried;
          thrown += throws_cancelled([&] { each.wait(o); }) ? 1 : 0;
        }
      }
    }
  });
  f.cancel();
  f.join();
  EXPECT_EQ(thrown, tried);
  EXPECT_GT(tried, 60u);
}

HEDDLE_TEST(Cancel, IsNotThrownByWhatIsNoPoint) {
  std::atomic<bool> done{false};
  fiber f([&] {
    while (!this_fiber::get_stop_token().stop_requested()) this_fiber::yield();
    heddle::mutex mutex;
    heddle::channel<int> c(1);
    heddle::condition_variable condition;
    this_fiber::yield();
    mutex.lock();
    fiber contender([&] {
      mutex.lock();
      mutex.unlock();
    });
    for (int i = 0; i < 20; ++i) this_fiber::yield();
    mutex.unlock();
    mutex.lock();  // perhaps after the other one
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
    EXPECT_EQ(c.try_send(1), heddle::channel_status::ok);
    EXPECT_EQ(*c.try_receive(), 1);
    EXPECT_TRUE(c.close());
    condition.notify_one();
    condition.notify_all();
    rt.run([] {});
    this_fiber::set_name("still here");
    (void)this_fiber::get_id();
    { const heddle::no_migrate stay; }
    const fiber child([] {});  // its destructor joins
    done = true;
  });
  f.cancel();
  f.join();
  EXPECT_TRUE(done);
}

HEDDLE_TEST(Cancel, DoesNotEndTheWaitForAMutex) {
  heddle::mutex mutex;
  bool got_it = false, cancelled_after = false;
  mutex.lock();
  const auto parks = rt.stats().parks;
  fiber f([&] {
    mutex.lock();
    got_it = true;
    mutex.unlock();
    cancelled_after = throws_cancelled([] { this_fiber::check_cancel(); });
  });
  wait_until_parked(rt, parks, 1);
  EXPECT_TRUE(f.cancel());
  for (int i = 0; i < 50; ++i) this_fiber::yield();
  EXPECT_FALSE(got_it);
  mutex.unlock();
  f.join();
  EXPECT_TRUE(got_it);
  EXPECT_TRUE(cancelled_after);
}

HEDDLE_TEST(Cancel, DoesNotEndABlockingCallThatHasBegun) {
  std::atomic<bool> begun{false}, go_on{false};
  int result = 0;
  bool cancelled_after = false;
  fiber f([&] {
    result = heddle::blocking([&] {
      begun = true;
      while (!go_on) std::this_thread::yield();
      return 7;
    });
    cancelled_after = throws_cancelled([] { this_fiber::check_cancel(); });
  });
  EXPECT_TRUE(eventually([&] { return begun.load(); }));
  EXPECT_TRUE(f.cancel());
  go_on = true;
  f.join();
  EXPECT_EQ(result, 7) << "it is what the call returned";
  EXPECT_TRUE(cancelled_after);
}

HEDDLE_TEST(Cancel, KeepsABlockingCallFromBeginning) {
  bool begun = false;
  fiber f([&] {
    while (!this_fiber::get_stop_token().stop_requested()) this_fiber::yield();
    heddle::blocking([&] { begun = true; });
  });
  f.cancel();
  f.join();
  EXPECT_FALSE(begun);
}

HEDDLE_TEST(Cancel, IsTrueForTheFirstCallOnly) {
  fiber f([] { this_fiber::sleep_for(1h); });
  EXPECT_TRUE(f.cancel());
  EXPECT_FALSE(f.cancel());
  f.join();
  EXPECT_FALSE(f.cancel()) << "no fiber any more";
  for (std::size_t i = 0; i < rounds(200); ++i) {
    fiber g([] { this_fiber::sleep_for(1h); });
    std::atomic<int> firsts{0};
    heddle::wait_group all;
    for (int k = 0; k < 3; ++k) {
      all.go([&] {
        if (g.cancel()) ++firsts;
      });
    }
    all.wait();
    ASSERT_EQ(firsts, 1);
  }
}

HEDDLE_TEST(Cancel, HasNoEffectOnceTheFiberHasEnded) {
  fiber f([] {});
  auto token = f.get_stop_token();
  std::atomic<bool> sees_end{false};
  fiber other([&] { sees_end = true; });
  EXPECT_TRUE(eventually([&] { return sees_end && rt.stats().fibers_alive == 1; }));
  EXPECT_FALSE(f.cancel());
  EXPECT_FALSE(token.stop_requested());
  f.join();
}

HEDDLE_TEST(Cancel, ImpliesStop) {
  fiber f([] { this_fiber::sleep_for(1h); });
  auto token = f.get_stop_token();
  EXPECT_TRUE(f.cancel());
  EXPECT_TRUE(token.stop_requested());
  EXPECT_FALSE(f.request_stop());
}

HEDDLE_TEST(Cancel, MayComeAfterStop) {
  bool thrown = false;
  fiber f([&](std::stop_token token) {
    while (!token.stop_requested()) this_fiber::yield();
    thrown = throws_cancelled([] { this_fiber::sleep_for(1h); });
  });
  EXPECT_TRUE(f.request_stop());
  EXPECT_TRUE(f.cancel());
  f.join();
  EXPECT_TRUE(thrown);
}

HEDDLE_TEST(Cancel, IsNotImpliedByStop) {
  bool came_through = false;
  fiber f([&](std::stop_token token) {
    while (!token.stop_requested()) this_fiber::yield();
    this_fiber::check_cancel();
    this_fiber::sleep_for(1ns);
    came_through = true;
  });
  f.request_stop();
  f.join();
  EXPECT_TRUE(came_through);
}

HEDDLE_TEST(Cancel, CanBeDoneToOneself) {
  fiber f;
  heddle::channel<int> handle_is_set;
  bool thrown = false;
  f = fiber([&, handle_is_set]() mutable {
    handle_is_set.receive();
    EXPECT_TRUE(f.cancel());
    this_fiber::yield();
    thrown = throws_cancelled([] { this_fiber::check_cancel(); });
  });
  handle_is_set.close();
  f.join();
  EXPECT_TRUE(thrown);
}

HEDDLE_TEST(Cancel, ReachesAFiberThatHasNotStarted) {
  bool ran = false, thrown = false;
  // One worker, and no spare one: it cannot start while this fiber runs.
  heddle::run({.workers = 1, .max_spare_workers = 0}, [&] {
    fiber f([&] {
      ran = true;
      thrown = throws_cancelled([] { this_fiber::check_cancel(); });
    });
    f.cancel();
    f.join();
  });
  EXPECT_TRUE(ran);
  EXPECT_TRUE(thrown);
}

HEDDLE_TEST(Cancel, ReachesOnlyTheOneFiber) {
  fiber child;
  heddle::channel<int> go_on;
  bool child_came_through = false;
  fiber parent([&] {
    child = fiber([&, go_on]() mutable {
      go_on.receive();
      this_fiber::check_cancel();
      child_came_through = true;
    });
    this_fiber::sleep_for(1h);
  });
  EXPECT_TRUE(eventually([&] { return rt.stats().fibers_alive == 3; }));
  parent.cancel();
  parent.join();
  go_on.close();
  child.join();
  EXPECT_TRUE(child_came_through);
}

HEDDLE_TEST(Cancel, DoesNotReachTheNextFiberInTheSameRecord) {
  for (std::size_t i = 0; i < rounds(300); ++i) {
    fiber a([] { this_fiber::sleep_for(1h); });
    a.cancel();
    a.join();
    bool came_through = false;
    fiber b([&] {
      this_fiber::check_cancel();
      EXPECT_FALSE(this_fiber::get_stop_token().stop_requested());
      came_through = true;
    });
    b.join();
    ASSERT_TRUE(came_through);
  }
}

HEDDLE_TEST(Cancel, UnwindsTheFiber) {
  int destroyed = 0;
  struct counts {
    int& n;
    ~counts() { ++n; }
  };
  const auto parks = rt.stats().parks;
  fiber f([&] {
    const counts a{destroyed};
    [&] {
      const counts b{destroyed};
      this_fiber::sleep_for(1h);
    }();
    ADD_FAILURE() << "it went on";
  });
  wait_until_parked(rt, parks, 1);
  f.cancel();
  f.join();
  EXPECT_EQ(destroyed, 2);
}

HEDDLE_TEST(Cancel, LeavesAJoinForAnotherTime) {
  std::atomic<bool> over{false};
  fiber target([&] {
    while (!over) this_fiber::yield();
  });
  bool thrown = false, still_joinable = false;
  fiber joiner([&] {
    thrown = throws_cancelled([&] { target.join(); });
    still_joinable = target.joinable();
  });
  EXPECT_TRUE(eventually([&] { return joiner.joinable(); }));
  for (int i = 0; i < 20; ++i) this_fiber::yield();
  joiner.cancel();
  joiner.join();
  EXPECT_TRUE(thrown);
  EXPECT_TRUE(still_joinable);
  over = true;
  target.join();
}

HEDDLE_TEST(Cancel, DoesNotKeepADestructorFromWaiting) {
  std::atomic<bool> child_ended{false};
  bool waited = false;
  fiber f([&] {
    {
      const fiber child([&](std::stop_token token) {
        while (!token.stop_requested()) this_fiber::yield();
        for (int i = 0; i < 100; ++i) this_fiber::yield();
        child_ended = true;
      });
      throws_cancelled([] { this_fiber::sleep_for(1h); });
    }
    waited = child_ended;
  });
  f.cancel();
  f.join();
  EXPECT_TRUE(waited);
}

HEDDLE_TEST(Cancel, RacesWithTheEndOfTheWait) {
  // Once or not at all, whatever comes first; and the value is in one place.
  for (std::size_t i = 0; i < rounds(2000); ++i) {
    heddle::channel<int> c;
    std::optional<int> got;
    bool thrown = false;
    fiber f([&] { thrown = throws_cancelled([&] { got = c.receive(); }); });
    std::atomic<bool> sent{false};
    fiber sender([&] { sent = c.send_for(5, 20us) == heddle::channel_status::ok; });
    for (std::size_t k = 0; k < i % 8; ++k) this_fiber::yield();
    f.cancel();
    f.join();
    sender.join();
    ASSERT_NE(thrown, got.has_value());
    ASSERT_EQ(got.has_value(), sent);
  }
}

HEDDLE_THREAD_TEST(Cancel, MayComeFromAPlainThread) {
  for (std::size_t i = 0; i < rounds(300); ++i) {
    std::atomic<bool> thrown{false};
    fiber f({.on = &rt}, [&] { thrown = throws_cancelled([] { this_fiber::sleep_for(1h); }); });
    if (i % 2 == 0) std::this_thread::yield();
    EXPECT_TRUE(f.cancel());
    f.join();
    ASSERT_TRUE(thrown);
  }
}

TEST(Cancelled, SaysWhy) {
  std::set<std::string> texts;
  for (const auto reason : {cancel_reason::requested, cancel_reason::sibling_failed,
                            cancel_reason::deadline, cancel_reason::shutdown}) {
    const cancelled c(reason);
    EXPECT_EQ(c.reason(), reason);
    texts.insert(c.what());
  }
  EXPECT_EQ(texts.size(), 4u);
}

TEST(Cancelled, IsNeverThrownOnAPlainThread) {
  this_fiber::check_cancel();
  this_fiber::sleep_for(0s);
}

}  // namespace
