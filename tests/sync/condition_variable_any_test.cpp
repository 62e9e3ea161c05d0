// SPDX-License-Identifier: BSL-1.0
// condition_variable_any: waiting, notifying, times, locks of many kinds. What std promises is
//   asked of std too. Stop tokens and cancellation: condition_variable_any_stop_test.cpp.
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/semaphore.hpp>

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <system_error>
#include <type_traits>

using heddle_test::eventually;
using heddle_test::heddle_kit;
using heddle_test::jitter;
using heddle_test::kind;
using heddle_test::manual_clock;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

using any = heddle::condition_variable_any;
static_assert(std::is_default_constructible_v<any>);
static_assert(!std::is_copy_constructible_v<any> && !std::is_copy_assignable_v<any>);

template <class C, class L>
concept std_like = requires(C c, L& lock, bool (*ready)(), steady_clock::time_point at) {
  { c.notify_one() }
  noexcept->std::same_as<void>;
  { c.notify_all() }
  noexcept->std::same_as<void>;
  { c.wait(lock) } -> std::same_as<void>;
  { c.wait(lock, ready) } -> std::same_as<void>;
  { c.wait_for(lock, 1ms) } -> std::same_as<std::cv_status>;
  { c.wait_for(lock, 1ms, ready) } -> std::same_as<bool>;
  { c.wait_until(lock, at) } -> std::same_as<std::cv_status>;
  { c.wait_until(lock, at, ready) } -> std::same_as<bool>;
};
static_assert(std_like<std::condition_variable_any, std::mutex>);
static_assert(std_like<any, heddle::mutex>);
static_assert(std_like<any, std::unique_lock<heddle::mutex>>);
static_assert(std_like<any, std::shared_lock<std::shared_mutex>>);

constinit any made_before_main;

/// A lock of the user's: it can be locked and unlocked, and counts.
template <class kit>
struct counting_lock {
  typename kit::mutex m;
  int locked = 0, unlocked = 0;  // guarded by m
  void lock() {
    m.lock();
    ++locked;
  }
  void unlock() {
    ++unlocked;
    m.unlock();
  }
};

/// How many of a crew wait: counted under the mutex before they do, which is let go of only when
/// they have their places.
template <class kit>
struct place {
  counting_lock<kit> m;
  typename kit::condition_variable_any changed;
  int waiting = 0;  // guarded by m, as below
  int released = 0;
  bool ready = false;

  bool are_waiting(int n) {
    return eventually([&] {
      const std::lock_guard hold(m);
      return waiting == n;
    });
  }
};

}  // namespace

HEDDLE_STD_TEST(ConditionVariableAny, WaitLetsGoOfTheLockAndTakesItAgain) {
  place<kit> at;
  all.start([&] {
    const std::lock_guard hold(at.m);
    ++at.waiting;
    while (!at.ready) at.changed.wait(at.m);
    at.released = 1;
    heddle::this_fiber::yield();
    EXPECT_EQ(at.released, 1);
    at.released = 2;
  });
  EXPECT_TRUE(at.are_waiting(1));
  {
    const std::lock_guard hold(at.m);
    EXPECT_EQ(at.m.locked, at.m.unlocked + 1);
    EXPECT_EQ(at.released, 0);
    at.ready = true;
    at.changed.notify_one();
    EXPECT_EQ(at.released, 0);  // the lock is held here
  }
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard hold(at.m);
    return at.released == 2;
  }));
  all.join();
  EXPECT_EQ(at.m.locked, at.m.unlocked);
}

HEDDLE_STD_TEST(ConditionVariableAny, APredicateIsAskedUnderTheLockUntilItIsTrue) {
  place<kit> at;
  int asked = 0;
  all.start([&] {
    std::unique_lock hold(at.m);
    ++at.waiting;
    at.changed.wait(hold, [&] {
      EXPECT_TRUE(hold.owns_lock());
      ++asked;
      return at.ready;
    });
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_TRUE(at.ready);
  });
  EXPECT_TRUE(at.are_waiting(1));
  for (int i = 2; i < 5; ++i) {  // in vain
    at.changed.notify_all();
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard hold(at.m);
      return asked >= i;
    }));
  }
  {
    const std::lock_guard hold(at.m);
    at.ready = true;
  }
  at.changed.notify_one();
  all.join();
  EXPECT_GE(asked, 5);
}

HEDDLE_STD_TEST(ConditionVariableAny, ATruePredicateDoesNotWait) {
  place<kit> at;
  const std::lock_guard hold(at.m);
  const auto yes = [] { return true; };
  at.changed.wait(at.m, yes);
  EXPECT_TRUE(at.changed.wait_for(at.m, 1h, yes));
  EXPECT_TRUE(at.changed.wait_until(at.m, system_clock::now() + 1h, yes));
  EXPECT_TRUE(at.changed.wait_until(at.m, steady_clock::now() - 1s, yes));
  EXPECT_EQ(at.m.unlocked, 0);
}

HEDDLE_STD_TEST(ConditionVariableAny, NotifyAllReleasesAll) {
  place<kit> at;
  for (int i = 0; i < 8; ++i) {
    all.start([&, i] {
      std::unique_lock hold(at.m);
      ++at.waiting;
      const auto ready = [&] { return at.ready; };
      bool woken = true;
      if (i % 4 == 0) at.changed.wait(at.m, ready);
      if (i % 4 == 1) woken = at.changed.wait_for(hold, 1h, ready);
      if (i % 4 == 2) woken = at.changed.wait_until(at.m, system_clock::now() + 1h, ready);
      if (i % 4 == 3) woken = at.changed.wait_until(hold, steady_clock::now() + 1h, ready);
      EXPECT_TRUE(woken);
      ++at.released;
    });
  }
  EXPECT_TRUE(at.are_waiting(8));
  {
    const std::lock_guard hold(at.m);
    at.ready = true;
  }
  at.changed.notify_all();
  all.join();
  EXPECT_EQ(at.released, 8);
}

HEDDLE_CREW_TEST(ConditionVariableAny, NotifyOneReleasesOneInTheOrderTheyCame) {
  place<heddle_kit> at;
  for (int i = 0; i < 6; ++i) {
    all.start([&, i] {
      std::unique_lock hold(at.m);
      ++at.waiting;
      at.changed.wait(hold);
      EXPECT_EQ(at.released++, i);
    });
    EXPECT_TRUE(at.are_waiting(i + 1));
  }
  for (int i = 1; i <= 6; ++i) {
    at.changed.notify_one();
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard hold(at.m);
      return at.released == i;
    }));
    for (int n = 0; n < 20; ++n) heddle::this_fiber::yield();
    const std::lock_guard hold(at.m);
    EXPECT_EQ(at.released, i);  // and no other
  }
  at.changed.notify_one();
  all.join();
}

HEDDLE_STD_TEST(ConditionVariableAny, ANotificationIsNotRemembered) {
  place<kit> at;
  at.changed.notify_one();
  at.changed.notify_all();
  const std::lock_guard hold(at.m);
  EXPECT_EQ(at.changed.wait_for(at.m, 2ms), std::cv_status::timeout);
  EXPECT_FALSE(at.changed.wait_for(at.m, 2ms, [] { return false; }));
}

HEDDLE_STD_TEST(ConditionVariableAny, ATimeoutIsNotTooEarlyAndHoldsTheLock) {
  place<kit> at;
  all.start([&] {
    std::unique_lock hold(at.m);
    const auto no = [] { return false; };
    const auto expect = [&](auto wait) {
      const auto start = steady_clock::now();
      const auto system_start = system_clock::now();
      wait();
      EXPECT_TRUE(hold.owns_lock());
      EXPECT_TRUE(steady_clock::now() - start >= 2ms || system_clock::now() - system_start >= 2ms);
    };
    expect([&] { EXPECT_EQ(at.changed.wait_for(hold, 2ms), std::cv_status::timeout); });
    expect([&] {
      EXPECT_EQ(at.changed.wait_until(hold, steady_clock::now() + 2ms), std::cv_status::timeout);
    });
    expect([&] {
      EXPECT_EQ(at.changed.wait_until(hold, system_clock::now() + 2ms), std::cv_status::timeout);
    });
    expect([&] { EXPECT_FALSE(at.changed.wait_for(hold, 2ms, no)); });
    expect([&] { EXPECT_FALSE(at.changed.wait_until(hold, steady_clock::now() + 2ms, no)); });
    expect([&] { EXPECT_FALSE(at.changed.wait_until(hold, system_clock::now() + 2ms, no)); });
    // What became true in time, though nobody said so, is true at the end.
    int asked = 0;
    EXPECT_TRUE(at.changed.wait_for(hold, 2ms, [&] { return ++asked > 1; }));
  });
  all.join();
  EXPECT_EQ(at.m.locked, at.m.unlocked);
}

HEDDLE_STD_TEST(ConditionVariableAny, ATimeInThePastTimesOutAtOnce) {
  place<kit> at;
  std::unique_lock hold(at.m);
  EXPECT_EQ(at.changed.wait_for(hold, 0s), std::cv_status::timeout);
  EXPECT_EQ(at.changed.wait_for(hold, -1s), std::cv_status::timeout);
  EXPECT_EQ(at.changed.wait_until(hold, steady_clock::now() - 1s), std::cv_status::timeout);
  EXPECT_EQ(at.changed.wait_until(hold, steady_clock::time_point{}), std::cv_status::timeout);
  EXPECT_EQ(at.changed.wait_until(hold, system_clock::time_point{}), std::cv_status::timeout);
  EXPECT_FALSE(at.changed.wait_for(hold, -1s, [] { return false; }));
  EXPECT_TRUE(hold.owns_lock());
}

HEDDLE_CREW_TEST(ConditionVariableAny, AHugeTimeIsForEver) {
  place<heddle_kit> at;
  const auto expect_waits = [&](auto wait) {
    at.waiting = 0;
    all.start([&, wait] {
      std::unique_lock hold(at.m);
      ++at.waiting;
      EXPECT_EQ(wait(hold), std::cv_status::no_timeout);
    });
    EXPECT_TRUE(at.are_waiting(1));
    at.changed.notify_one();
    all.join();
  };
  expect_waits([&](auto& hold) { return at.changed.wait_for(hold, std::chrono::hours::max()); });
  expect_waits([&](auto& hold) { return at.changed.wait_for(hold, 1s * 1e300); });
  expect_waits(
      [&](auto& hold) { return at.changed.wait_until(hold, steady_clock::time_point::max()); });
  expect_waits(
      [&](auto& hold) { return at.changed.wait_until(hold, system_clock::time_point::max()); });
}

HEDDLE_CREW_TEST(ConditionVariableAny, AUsersClockDecides) {
  place<heddle_kit> at;
  manual_clock::reset();
  std::atomic<bool> over{false};
  all.start([&] {
    std::unique_lock hold(at.m);
    ++at.waiting;
    EXPECT_FALSE(at.changed.wait_until(hold, manual_clock::time_point(5ms), [] { return false; }));
    while (at.changed.wait_until(hold, manual_clock::time_point(6ms)) ==
           std::cv_status::no_timeout) {
    }
    over = true;
  });
  EXPECT_TRUE(at.are_waiting(1));
  for (const int tick : {4, -100, 5}) {
    EXPECT_FALSE(over.load());
    manual_clock::ms = tick;
  }
  manual_clock::ms = 6;
  all.join();
  EXPECT_TRUE(over.load());
}

// A queue with room for one: each side waits for the other all the time.
HEDDLE_STD_TEST(ConditionVariableAny, NoWakeUpIsLost) {
  counting_lock<kit> m;
  typename kit::condition_variable_any not_full, not_empty;
  std::deque<int> queue;  // guarded by m
  constexpr int members = 3;
  const int each = static_cast<int>(rounds(1'500));
  long sum = 0;  // guarded by m
  for (int i = 0; i < members; ++i) {
    all.start([&] {
      for (int n = 1; n <= each; ++n) {
        std::unique_lock hold(m);
        not_full.wait(m, [&] { return queue.empty(); });
        queue.push_back(n);
        if (n % 2 == 0) hold.unlock();  // with the lock held, and without
        not_empty.notify_one();
      }
    });
    all.start([&, i] {
      for (int n = 1; n <= each; ++n) {
        std::unique_lock hold(m);
        const auto ready = [&] { return !queue.empty(); };
        if (i % 2 == 0) {
          not_empty.wait(hold, ready);
        } else {
          EXPECT_TRUE(not_empty.wait_for(m, 1h, ready));
        }
        sum += queue.front();
        queue.pop_front();
        if (n % 3 == 0) hold.unlock();
        not_full.notify_one();
      }
    });
  }
  all.join();
  EXPECT_EQ(sum, members * (static_cast<long>(each) * (each + 1) / 2));
}

HEDDLE_STD_TEST(ConditionVariableAny, WorksWithLocksOfDifferentTypesAtOnce) {
  place<kit> at;
  typename kit::mutex other;
  bool other_is_ready = false;  // guarded by other
  all.start([&] {
    std::unique_lock hold(at.m);
    ++at.waiting;
    at.changed.wait(hold, [&] { return at.ready; });
  });
  EXPECT_TRUE(at.are_waiting(1));
  all.start([&] {
    std::unique_lock hold(other);
    at.changed.wait(hold, [&] { return other_is_ready; });
  });
  {
    const std::scoped_lock hold(at.m.m, other);
    at.ready = other_is_ready = true;
  }
  at.changed.notify_all();
  all.join();
}

// std's own locks, for threads that know nothing of heddle.
TEST(ConditionVariableAny, WorksWithStdsLocksAmongThreads) {
  any c;
  std::shared_mutex m;
  int ready = 0, seen = 0;  // guarded by m
  std::mutex counts;        // guards seen too
  heddle_test::on_threads(4, [&](int i) {
    for (int n = 1; n <= 200; ++n) {
      if (i == 0) {
        std::unique_lock hold(m);
        c.wait(hold, [&] { return seen == 3; });
        seen = 0;
        ready = n;
        hold.unlock();
        c.notify_all();
      } else {
        std::shared_lock hold(m);
        {
          const std::lock_guard count(counts);
          ++seen;
        }
        hold.unlock();
        c.notify_all();
        hold.lock();
        c.wait(hold, [&] { return ready >= n; });
      }
    }
  });
  EXPECT_EQ(ready, 200);
}

namespace {

/// A lock whose unlock() goes on for as long as the test likes once the lock is open: what it does
/// then happens between the unlocking and the falling asleep.
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

HEDDLE_CREW_TEST(ConditionVariableAny, ANotificationBetweenUnlockingAndSleepingIsNotLost) {
  for (const bool notify_all : {false, true}) {
    lingering_lock m;
    any c;
    all.start([&] {
      std::unique_lock hold(m);
      m.linger = [&] { notify_all ? c.notify_all() : c.notify_one(); };
      c.wait(hold);
      m.linger = [&] { notify_all ? c.notify_all() : c.notify_one(); };
      EXPECT_EQ(c.wait_for(hold, 1h), std::cv_status::no_timeout);
      // Time was up meanwhile, but the notification was first.
      m.linger = [&] { notify_all ? c.notify_all() : c.notify_one(); };
      EXPECT_EQ(c.wait_for(hold, -1s), std::cv_status::no_timeout);
      EXPECT_EQ(c.wait_for(hold, -1s), std::cv_status::timeout);
    });
    all.join();
  }
}

// It parks, and notifies from elsewhere; the claim word is used by the waits inside.
HEDDLE_CREW_TEST(ConditionVariableAny, UnlockingMayPark) {
  lingering_lock m;
  any c;
  heddle::binary_semaphore unlocked(0), notified(0);
  for (int i = 0; i < 20; ++i) {
    all.start([&] {
      std::unique_lock hold(m);
      m.linger = [&] {
        unlocked.release();
        notified.acquire();
        heddle::this_fiber::sleep_for(1us);
      };
      c.wait(hold);
    });
    all.start([&] {
      unlocked.acquire();
      const std::lock_guard hold(m);
      c.notify_one();
      notified.release();
    });
    all.join();
  }
}

// The first place is that of one who is not asleep yet.
HEDDLE_CREW_TEST(ConditionVariableAny, WhoIsStillUnlockingKeepsHisTurn) {
  lingering_lock m;
  any c;
  heddle::binary_semaphore unlocked(0), notified(0);
  std::atomic<int> released{0};
  all.start([&] {
    std::unique_lock hold(m);
    m.linger = [&] {
      unlocked.release();
      notified.acquire();
    };
    c.wait(hold);
    EXPECT_EQ(released.fetch_add(1), 0);
  });
  unlocked.acquire();
  all.start_and_sleep([&] {
    std::unique_lock hold(m);
    c.wait(hold);
    EXPECT_EQ(released.fetch_add(1), 1);
  });
  c.notify_one();
  for (int i = 0; i < 20; ++i) heddle::this_fiber::yield();
  EXPECT_EQ(released.load(), 0);
  notified.release();
  EXPECT_TRUE(eventually([&] { return released.load() == 1; }));
  c.notify_one();
  all.join();
}

namespace {

/// A lock made of a channel: both calls may park.
struct channel_lock {
  heddle::channel<int> token{1};
  void lock() { (void)token.send(0); }
  void unlock() { (void)token.receive(); }
};

}  // namespace

HEDDLE_CREW_TEST(ConditionVariableAny, ALockThatParksLosesNobody) {
  channel_lock m;
  any c;
  constexpr int members = 5;
  const int phases = static_cast<int>(rounds(300));
  int arrived = 0, phase = 0;  // guarded by m
  for (int i = 0; i < members; ++i) {
    all.start([&] {
      for (int n = 0; n < phases; ++n) {
        const std::lock_guard hold(m);
        if (++arrived == members) {
          arrived = 0;
          ++phase;
          c.notify_all();
        } else {
          c.wait(m, [&] { return phase > n; });
        }
        EXPECT_EQ(phase, n + 1);
      }
    });
  }
  all.join();
  EXPECT_EQ(phase, phases);
}

HEDDLE_STD_TEST(ConditionVariableAny, WhatUnlockingThrowsLeavesTheWait) {
  place<kit> at;
  std::unique_lock never_locked(at.m, std::defer_lock);
  EXPECT_THROW(at.changed.wait(never_locked), std::system_error);
  EXPECT_THROW((void)at.changed.wait_for(never_locked, 1h), std::system_error);
  // It has left no place behind that would take a notification.
  all.start([&] {
    std::unique_lock hold(at.m);
    ++at.waiting;
    at.changed.wait(hold, [&] { return at.ready; });
  });
  EXPECT_TRUE(at.are_waiting(1));
  {
    const std::lock_guard hold(at.m);
    at.ready = true;
  }
  at.changed.notify_one();
  all.join();
}

// Notified while it unlocked, which then threw: the destructor waits for nobody.
HEDDLE_CREW_TEST(ConditionVariableAny, WhatUnlockingThrowsAfterANotificationLeavesItToo) {
  all.start([&] {
    lingering_lock m;
    any c;
    std::unique_lock hold(m);
    m.linger = [&] {
      c.notify_all();
      throw std::runtime_error("broken");
    };
    EXPECT_THROW(c.wait(m), std::runtime_error);
    hold.release();
  });
  all.join();
}

HEDDLE_STD_TEST(ConditionVariableAny, WhatThePredicateThrowsLeavesTheLockHeld) {
  place<kit> at;
  std::unique_lock hold(at.m);
  int asked = 0;
  const auto throws = [&]() -> bool {
    if (++asked % 2 == 0) throw std::runtime_error("no");
    return false;
  };
  EXPECT_THROW((void)at.changed.wait_for(hold, 1ms, throws), std::runtime_error);
  EXPECT_THROW((void)at.changed.wait_until(hold, system_clock::now() + 1ms, throws),
               std::runtime_error);
  ++asked;
  EXPECT_THROW(at.changed.wait(hold, throws), std::runtime_error);
  EXPECT_TRUE(hold.owns_lock());
  EXPECT_EQ(at.m.locked, at.m.unlocked + 1);
}

TEST(ConditionVariableAny, CanBeMadeBeforeMain) { made_before_main.notify_all(); }

namespace {

struct locks_once {
  bool was_locked = false;
  void lock() {
    if (was_locked) throw std::runtime_error("no more");
    was_locked = true;
  }
  void unlock() {}
};

}  // namespace

TEST(ConditionVariableAny, TerminatesIfTheLockCannotBeTakenAgain) {
  any c;
  locks_once m;
  m.lock();
  EXPECT_DEATH((void)c.wait_for(m, 1ms), "no more");
}

#if defined(HEDDLE_ASSERTIONS)
TEST(ConditionVariableAny, DiesWithAMessageIfDestroyedWhileWaitedOn) {
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        heddle::mutex m;
        std::optional<any> c(std::in_place);
        auto waits = sleeping_fiber(rt, [&] {
          std::unique_lock hold(m);
          c->wait(hold);
        });
        c.reset();
      },
      "heddle: condition_variable_any 0x[0-9a-f]+ is destroyed while it is waited on");
}
#endif
