// SPDX-License-Identifier: BSL-1.0
// condition_variable_any: stop tokens, as in std; and cancellation, which throws with the lock held
//   and eats no notification.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>

using heddle::cancel_reason;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::heddle_kit;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;
using heddle_test::start_line;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

using any = heddle::condition_variable_any;
using lock_type = std::unique_lock<heddle::mutex>;

template <class C, class L>
concept std_like = requires(C c, L& lock, std::stop_token token, bool (*ready)(),
                            steady_clock::time_point at) {
  { c.wait(lock, token, ready) } -> std::same_as<bool>;
  { c.wait_for(lock, token, 1ms, ready) } -> std::same_as<bool>;
  { c.wait_until(lock, token, at, ready) } -> std::same_as<bool>;
};
static_assert(std_like<std::condition_variable_any, std::mutex>);
static_assert(std_like<any, heddle::mutex> && std_like<any, lock_type>);

/// Each way of waiting with a token, by number.
constexpr int ways = 4;
template <class Condition, class Lock, class Predicate>
bool wait_in_way(int way, Condition& c, Lock& lock, std::stop_token token, Predicate ready) {
  switch (way) {
    case 0:
      return c.wait(lock, token, ready);
    case 1:
      return c.wait_for(lock, token, 1h, ready);
    case 2:
      return c.wait_until(lock, token, steady_clock::now() + 1h, ready);
    default:
      return c.wait_until(lock, token, system_clock::now() + 1h, ready);
  }
}

/// Each way of waiting without one.
constexpr int plain_ways = 7;
void wait_in_plain_way(int way, any& c, lock_type& hold, bool truth) {
  const auto answer = [&] { return truth; };
  switch (way) {
    case 0:
      return c.wait(hold, answer);
    case 1:
      return (void)c.wait_for(hold, 1h, answer);
    case 2:
      return (void)c.wait_until(hold, steady_clock::now() + 1h, answer);
    case 3:
      return (void)c.wait_until(hold, system_clock::now() + 1h, answer);
    case 4:
      return c.wait(hold);
    case 5:
      return (void)c.wait_for(hold, 1h);
    default:
      return (void)c.wait_until(hold, steady_clock::now() + 1h);
  }
}

template <class kit>
struct place {
  typename kit::mutex m;
  typename kit::condition_variable_any changed;
  int waiting = 0;  // guarded by m, as below
  bool ready = false;

  bool are_waiting(int n) {
    return eventually([&] {
      const std::lock_guard hold(m);
      return waiting == n;
    });
  }
};

/// A lock whose unlock() goes on for as long as the test likes once the lock is open.
struct lingering_lock {
  heddle::mutex m;
  std::function<void()> linger;  // guarded by m
  void lock() { m.lock(); }
  void unlock() {
    const std::function<void()> then = std::exchange(linger, nullptr);
    m.unlock();
    if (then) then();
  }
};

}  // namespace

HEDDLE_STD_TEST(ConditionVariableAnyStop, AStopEndsTheWaitWithTheLockHeld) {
  for (int way = 0; way < ways; ++way) {
    place<kit> at;
    std::stop_source stop;
    all.start([&] {
      std::unique_lock hold(at.m);
      ++at.waiting;
      EXPECT_FALSE(wait_in_way(way, at.changed, hold, stop.get_token(), [&] {
        EXPECT_TRUE(hold.owns_lock());
        return at.ready;
      }));
      EXPECT_TRUE(hold.owns_lock());
      at.waiting = 0;
    });
    EXPECT_TRUE(at.are_waiting(1));
    EXPECT_TRUE(stop.request_stop());
    all.join();
    EXPECT_EQ(at.waiting, 0);
  }
}

HEDDLE_STD_TEST(ConditionVariableAnyStop, WhatBecameTrueBeforeTheStopIsTrue) {
  for (int way = 0; way < ways; ++way) {
    place<kit> at;
    std::stop_source stop;
    all.start([&] {
      std::unique_lock hold(at.m);
      ++at.waiting;
      EXPECT_TRUE(wait_in_way(way, at.changed, hold, stop.get_token(), [&] { return at.ready; }));
    });
    EXPECT_TRUE(at.are_waiting(1));
    {
      const std::lock_guard hold(at.m);
      at.ready = true;  // and nobody is told
    }
    EXPECT_TRUE(stop.request_stop());
    all.join();
  }
}

HEDDLE_STD_TEST(ConditionVariableAnyStop, AStoppedTokenOrATruePredicateDoesNotWait) {
  place<kit> at;
  std::stop_source stopped;
  stopped.request_stop();
  std::unique_lock hold(at.m);
  for (int way = 0; way < ways; ++way) {
    for (const bool truth : {false, true}) {
      const auto ready = [&] { return truth; };
      EXPECT_EQ(wait_in_way(way, at.changed, hold, stopped.get_token(), ready), truth);
    }
    EXPECT_TRUE(wait_in_way(way, at.changed, hold, std::stop_token{}, [] { return true; }));
  }
  EXPECT_TRUE(hold.owns_lock());
}

HEDDLE_STD_TEST(ConditionVariableAnyStop, AStopAfterThePredicateWasAskedIsNotLost) {
  for (int way = 0; way < ways; ++way) {
    place<kit> at;
    std::stop_source stop;
    std::unique_lock hold(at.m);
    EXPECT_FALSE(wait_in_way(way, at.changed, hold, stop.get_token(), [&] {
      stop.request_stop();
      return false;
    }));
  }
}

HEDDLE_STD_TEST(ConditionVariableAnyStop, ANotificationEndsTheWaitToo) {
  for (int way = 0; way < ways; ++way) {
    for (const bool stoppable : {false, true}) {
      place<kit> at;
      std::stop_source stop;
      all.start([&] {
        std::unique_lock hold(at.m);
        ++at.waiting;
        const auto token = stoppable ? stop.get_token() : std::stop_token{};
        EXPECT_TRUE(wait_in_way(way, at.changed, at.m, token, [&] { return at.ready; }));
      });
      EXPECT_TRUE(at.are_waiting(1));
      {
        const std::lock_guard hold(at.m);
        at.ready = true;
      }
      at.changed.notify_one();
      all.join();
    }
  }
}

HEDDLE_STD_TEST(ConditionVariableAnyStop, ATimeoutEndsTheWaitToo) {
  place<kit> at;
  std::stop_source stop;
  const auto token = stop.get_token();
  const auto no = [] { return false; };
  std::unique_lock hold(at.m);
  const auto start = steady_clock::now();
  EXPECT_FALSE(at.changed.wait_for(hold, token, 2ms, no));
  EXPECT_GE(steady_clock::now() - start, 2ms);
  EXPECT_FALSE(at.changed.wait_until(hold, token, steady_clock::now() + 2ms, no));
  EXPECT_GE(steady_clock::now() - start, 4ms);
  EXPECT_FALSE(at.changed.wait_until(hold, token, system_clock::now() + 2ms, no));
  EXPECT_FALSE(at.changed.wait_for(hold, token, -1s, no));
  EXPECT_FALSE(at.changed.wait_until(hold, token, system_clock::time_point{}, no));
  int asked = 0;
  EXPECT_TRUE(at.changed.wait_for(hold, token, 2ms, [&] { return ++asked > 1; }));
  EXPECT_TRUE(hold.owns_lock());
}

// Between the unlocking and the falling asleep.
HEDDLE_CREW_TEST(ConditionVariableAnyStop, AStopWhileUnlockingIsNotLost) {
  all.start([&] {
    for (int way = 0; way < ways; ++way) {
      lingering_lock m;
      any c;
      std::stop_source stop;
      std::unique_lock hold(m);
      m.linger = [&] { stop.request_stop(); };
      EXPECT_FALSE(wait_in_way(way, c, m, stop.get_token(), [] { return false; }));
    }
  });
  all.join();
}

// Stopped at the moment of the notification: the work is done by one of the two who wait for it.
HEDDLE_STD_TEST(ConditionVariableAnyStop, StopAndNotifyAtOnceLoseNoWork) {
  const std::size_t times = rounds(200);
  place<kit> at;
  start_line line(3);
  std::stop_source stop;
  int work = 0, done = 0;  // guarded by at.m
  all.start([&] {
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      {
        std::unique_lock hold(at.m);
        ++at.waiting;
        if (at.changed.wait(hold, stop.get_token(), [&] { return work > 0; })) --work, ++done;
        --at.waiting;
      }
      line.wait();
    }
  });
  all.start([&] {
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      {
        std::unique_lock hold(at.m);
        ++at.waiting;
        at.changed.wait(hold, [&] { return work > 0; });
        --work, ++done;
        --at.waiting;
      }
      line.wait();
    }
  });
  all.start([&] {
    jitter late(1);
    for (std::size_t i = 0; i < times; ++i) {
      stop = std::stop_source();
      line.wait();
      for (unsigned n = late.below(8); n > 0; --n) late();
      if (i % 2 == 0) stop.request_stop();
      {
        const std::lock_guard hold(at.m);
        ++work;
      }
      at.changed.notify_one();
      if (i % 2 != 0) stop.request_stop();
      // One of them has it; where the stopped one took it, the other is still to be served.
      EXPECT_TRUE(eventually([&] {
        const std::lock_guard hold(at.m);
        return done == 1;
      }));
      {
        const std::lock_guard hold(at.m);
        done = 0;
        ++work;
      }
      at.changed.notify_one();
      line.wait();
      const std::lock_guard hold(at.m);
      work = done = 0;
    }
  });
  all.join();
}

HEDDLE_TEST(ConditionVariableAnyStop, OnEntryACancelledWaitThrowsAlsoWithATruePredicate) {
  any c;
  heddle::mutex m;
  std::stop_source never, stopped;
  stopped.request_stop();
  in_cancelled_fiber(rt, [&] {
    for (const bool truth : {false, true}) {
      lock_type hold(m);
      for (int way = 0; way < plain_ways; ++way) {
        EXPECT_EQ(cancelled_in([&] { wait_in_plain_way(way, c, hold, truth); }),
                  cancel_reason::requested);
        EXPECT_TRUE(hold.owns_lock());
      }
      for (int way = 0; way < ways; ++way) {
        for (const auto& token : {never.get_token(), stopped.get_token(), std::stop_token{},
                                  heddle::this_fiber::get_stop_token()}) {
          EXPECT_TRUE(
              cancelled_in([&] { (void)wait_in_way(way, c, hold, token, [&] { return truth; }); }));
          EXPECT_TRUE(hold.owns_lock());
        }
      }
      EXPECT_FALSE(m.try_lock());
    }
    c.notify_one();  // no cancellation points
    c.notify_all();
  });
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

HEDDLE_TEST(ConditionVariableAnyStop, WhileWaitingItThrowsWithTheLockHeld) {
  any c;
  heddle::mutex m;
  for (int way = 0; way < plain_ways + ways; ++way) {
    bool inside = false;  // guarded by m
    auto waits = sleeping_fiber(rt, [&](std::stop_token mine) {
      lock_type hold(m);
      const auto why = cancelled_in([&] {
        if (way < plain_ways) return wait_in_plain_way(way, c, hold, false);
        // Its own token is stopped too; it throws all the same.
        (void)wait_in_way(way - plain_ways, c, hold, mine, [] { return false; });
      });
      EXPECT_EQ(why, cancel_reason::requested);
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

HEDDLE_TEST(ConditionVariableAnyStop, AFibersOwnStopIsNoCancellation) {
  any c;
  heddle::mutex m;
  for (int way = 0; way < ways; ++way) {
    auto waits = sleeping_fiber(rt, [&](std::stop_token mine) {
      lock_type hold(m);
      EXPECT_FALSE(cancelled_in(
          [&] { EXPECT_FALSE(wait_in_way(way, c, hold, mine, [] { return false; })); }));
    });
    EXPECT_TRUE(waits.request_stop());
    waits.join();
  }
}

HEDDLE_TEST(ConditionVariableAnyStop, WhoIsCancelledWhileUnlockingThrowsUnlessNotifiedBefore) {
  for (const bool notified : {false, true}) {
    lingering_lock m;
    any c;
    std::atomic<bool> unlocking{false}, cancelled{false};
    heddle::fiber waits([&] {
      std::unique_lock hold(m);
      m.linger = [&] {
        if (notified) c.notify_one();
        unlocking = true;
        while (!cancelled) heddle::this_fiber::yield();
      };
      EXPECT_EQ(cancelled_in([&] { c.wait(hold); }).has_value(), !notified);
      EXPECT_TRUE(hold.owns_lock());
      EXPECT_TRUE(cancelled_in([&] { c.wait(hold); }));
    });
    EXPECT_TRUE(eventually([&] { return unlocking.load(); }));
    EXPECT_TRUE(waits.cancel());
    cancelled = true;
    waits.join();
    EXPECT_TRUE(m.m.try_lock());
    m.m.unlock();
  }
}

HEDDLE_TEST(ConditionVariableAnyStop, ACancelledOneTakesNoNotificationFromTheNext) {
  any c;
  heddle::mutex m;
  jitter late(5);
  for (std::size_t round = 0; round < rounds(2'000); ++round) {
    std::atomic<int> notified{0}, cancelled{0};
    int waiting = 0;  // guarded by m, which each holds until it has a place
    const auto waits = [&] {
      lock_type hold(m);
      ++waiting;
      if (cancelled_in([&] { c.wait(m); })) {
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

// A lock made of a channel: to lock it is a cancellation point, but not where a wait ends.
HEDDLE_TEST(ConditionVariableAnyStop, LocksAgainWhateverLockThatIs) {
  struct channel_lock {
    heddle::channel<int> slot{1};
    void lock() { slot.send(1); }
    void unlock() { (void)slot.try_receive(); }
  };
  channel_lock l;
  any c;
  bool thrown = false;
  auto f = sleeping_fiber(rt, [&] {
    l.lock();
    thrown = cancelled_in([&] { c.wait(l); }).has_value();
    EXPECT_EQ(l.slot.size(), 1u) << "it must be held again";
    l.unlock();
  });
  f.cancel();
  f.join();
  EXPECT_TRUE(thrown);
}

HEDDLE_THREAD_TEST(ConditionVariableAnyStop, AnEndingRuntimeCancelsThoseWhoWait) {
  any c;
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
