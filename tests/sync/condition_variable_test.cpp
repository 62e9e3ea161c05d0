// SPDX-License-Identifier: BSL-1.0
// condition_variable: waiting, notifying, times. What std promises is asked of std too.
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <heddle/sync/condition_variable.hpp>

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <type_traits>

using heddle_test::eventually;
using heddle_test::manual_clock;
using heddle_test::rounds;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

static_assert(!std::is_copy_constructible_v<heddle::condition_variable>);
static_assert(!std::is_copy_assignable_v<heddle::condition_variable>);

template <class C, class M>
concept std_like = requires(C c, std::unique_lock<M>& lock, bool (*ready)(),
                            steady_clock::time_point at) {
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
static_assert(std_like<std::condition_variable, std::mutex>);
static_assert(std_like<heddle::condition_variable, heddle::mutex>);

/// How many of a crew are asleep in wait(): counted under the mutex before they wait, which lets go
/// of it only when they do.
template <class kit>
struct place {
  typename kit::mutex m;
  typename kit::condition_variable changed;
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

HEDDLE_STD_TEST(ConditionVariable, WaitLetsGoOfTheLockAndTakesItAgain) {
  place<kit> at;
  all.start([&] {
    std::unique_lock hold(at.m);
    ++at.waiting;
    while (!at.ready) at.changed.wait(hold);
    EXPECT_TRUE(hold.owns_lock());
    at.released = 1;
    heddle::this_fiber::yield();
    EXPECT_EQ(at.released, 1);
    at.released = 2;
  });
  EXPECT_TRUE(at.are_waiting(1));
  {
    const std::lock_guard hold(at.m);
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
}

HEDDLE_STD_TEST(ConditionVariable, APredicateIsAskedUnderTheLockUntilItIsTrue) {
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

HEDDLE_STD_TEST(ConditionVariable, ATruePredicateDoesNotWait) {
  place<kit> at;
  std::unique_lock hold(at.m);
  const auto yes = [] { return true; };
  at.changed.wait(hold, yes);
  EXPECT_TRUE(at.changed.wait_for(hold, 1h, yes));
  EXPECT_TRUE(at.changed.wait_until(hold, system_clock::now() + 1h, yes));
  EXPECT_TRUE(at.changed.wait_until(hold, steady_clock::now() - 1s, yes));
  EXPECT_TRUE(hold.owns_lock());
}

HEDDLE_STD_TEST(ConditionVariable, NotifyAllReleasesAll) {
  place<kit> at;
  for (int i = 0; i < 8; ++i) {
    all.start([&, i] {
      std::unique_lock hold(at.m);
      ++at.waiting;
      const auto ready = [&] { return at.ready; };
      bool woken = true;
      if (i % 3 == 0) at.changed.wait(hold, ready);
      if (i % 3 == 1) woken = at.changed.wait_for(hold, 1h, ready);
      if (i % 3 == 2) woken = at.changed.wait_until(hold, system_clock::now() + 1h, ready);
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

HEDDLE_CREW_TEST(ConditionVariable, NotifyOneReleasesOneInTheOrderTheyCame) {
  place<heddle_test::heddle_kit> at;
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

HEDDLE_STD_TEST(ConditionVariable, ANotificationIsNotRemembered) {
  place<kit> at;
  at.changed.notify_one();
  at.changed.notify_all();
  std::unique_lock hold(at.m);
  EXPECT_EQ(at.changed.wait_for(hold, 2ms), std::cv_status::timeout);
  EXPECT_FALSE(at.changed.wait_for(hold, 2ms, [] { return false; }));
}

HEDDLE_STD_TEST(ConditionVariable, ATimeoutIsNotTooEarlyAndHoldsTheLock) {
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
  EXPECT_TRUE(at.m.try_lock());
  at.m.unlock();
}

HEDDLE_STD_TEST(ConditionVariable, ATimeInThePastTimesOutAtOnce) {
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

HEDDLE_CREW_TEST(ConditionVariable, AHugeTimeIsForEver) {
  place<heddle_test::heddle_kit> at;
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

// A queue with room for one: each side waits for the other all the time.
HEDDLE_STD_TEST(ConditionVariable, NoWakeUpIsLost) {
  typename kit::mutex m;
  typename kit::condition_variable not_full, not_empty;
  std::deque<int> queue;  // guarded by m
  constexpr int members = 3;
  const int each = static_cast<int>(rounds(1'500));
  long sum = 0;  // guarded by m
  for (int i = 0; i < members; ++i) {
    all.start([&] {
      for (int n = 1; n <= each; ++n) {
        std::unique_lock hold(m);
        not_full.wait(hold, [&] { return queue.empty(); });
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
          EXPECT_TRUE(not_empty.wait_for(hold, 1h, ready));
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

HEDDLE_STD_TEST(ConditionVariable, ABarrierOfNotifyAllLosesNobody) {
  place<kit> at;
  constexpr int members = 5;
  const int phases = static_cast<int>(rounds(400));
  int arrived = 0, phase = 0;  // guarded by at.m
  for (int i = 0; i < members; ++i) {
    all.start([&] {
      for (int n = 0; n < phases; ++n) {
        std::unique_lock hold(at.m);
        if (++arrived == members) {
          arrived = 0;
          ++phase;
          at.changed.notify_all();
        } else {
          at.changed.wait(hold, [&] { return phase > n; });
        }
        EXPECT_EQ(phase, n + 1);
      }
    });
  }
  all.join();
  EXPECT_EQ(phase, phases);
}

namespace {

/// A user's clock. The third time that it is asked, the world changes, and says so.
struct telling_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<telling_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static inline place<heddle_test::heddle_kit>* at = nullptr;
  static inline int asked = 0;
  static time_point now() {
    // Asked by the waiter, which holds the lock.
    if (++asked == 3) {
      at->ready = true;
      at->changed.notify_all();
    }
    return time_point(duration(asked));
  }
};

}  // namespace

// Between two looks at the clock the waiter does not wait; what becomes true meanwhile counts.
HEDDLE_CREW_TEST(ConditionVariable, AUsersClockLosesNoNotification) {
  place<heddle_test::heddle_kit> at;
  telling_clock::at = &at;
  telling_clock::asked = 0;
  all.start([&] {
    std::unique_lock hold(at.m);
    EXPECT_TRUE(
        at.changed.wait_until(hold, telling_clock::time_point(100h), [&] { return at.ready; }));
  });
  all.join();
}

HEDDLE_CREW_TEST(ConditionVariable, AUsersClockDecides) {
  place<heddle_test::heddle_kit> at;
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

#if defined(HEDDLE_ASSERTIONS)
TEST(ConditionVariable, DiesWithAMessageIfMisused) {
  EXPECT_DEATH(
      {
        heddle::mutex m;
        heddle::condition_variable c;
        std::unique_lock open(m, std::defer_lock);
        c.wait(open);
      },
      "heddle: condition_variable 0x[0-9a-f]+: the lock handed to wait is not locked");
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        heddle::mutex one;
        heddle::mutex other;
        heddle::condition_variable c;
        auto waits = heddle_test::sleeping_fiber(rt, [&] {
          std::unique_lock hold(one);
          c.wait(hold);
        });
        std::unique_lock hold(other);
        c.wait(hold);
      },
      "condition_variable 0x[0-9a-f]+: a wait with mutex 0x[0-9a-f]+, while others wait with");
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        heddle::mutex m;
        std::optional<heddle::condition_variable> c(std::in_place);
        auto waits = heddle_test::sleeping_fiber(rt, [&] {
          std::unique_lock hold(m);
          c->wait(hold);
        });
        c.reset();
      },
      "heddle: condition_variable 0x[0-9a-f]+ is destroyed while it is waited on");
}
#endif
