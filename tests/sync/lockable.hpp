// SPDX-License-Identifier: BSL-1.0
// lockable: what every mutex must do, whatever else it does: std's is asked the same where it can
//   answer. Each is called from a crew's body, which joins its crew in it.
#pragma once

#include "migrate.hpp"
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <chrono>
#include <cstddef>
#include <mutex>
#include <shared_mutex>
#include <stop_token>
#include <thread>
#include <utility>

namespace heddle_test {

/// Tries from elsewhere: whoever owns a mutex must not try it.
template <class Mutex>
bool free_for_others(crew& all, Mutex& m) {
  bool got = false;
  all.start([&] {
    got = m.try_lock();
    if (got) m.unlock();
  });
  all.join();
  return got;
}

template <class Mutex>
void expect_one_at_a_time(crew& all) {
  Mutex m;
  constexpr int members = 6;
  const int each = static_cast<int>(rounds(2'000));
  int count = 0;               // guarded by m
  std::atomic<int> inside{0};  // to see it otherwise
  for (int i = 0; i < members; ++i) {
    all.start([&, i] {
      for (int n = 0; n < each; ++n) {
        if (i % 3 == 0) {
          while (!m.try_lock()) heddle::this_fiber::yield();
        } else {
          m.lock();
        }
        EXPECT_EQ(inside.fetch_add(1), 0);
        ++count;
        if (n % 16 == i) heddle::this_fiber::yield();  // held over a switch
        inside.fetch_sub(1);
        m.unlock();
      }
    });
  }
  all.join();
  EXPECT_EQ(count, members * each);
}

template <class Mutex>
void expect_stds_guards_work(crew& all) {
  Mutex m, n;
  {
    const std::lock_guard hold(m);
    EXPECT_FALSE(free_for_others(all, m));
  }
  EXPECT_TRUE(free_for_others(all, m));
  {
    std::unique_lock hold(m, std::defer_lock);
    EXPECT_TRUE(hold.try_lock());
    EXPECT_FALSE(free_for_others(all, m));
    hold.unlock();
    EXPECT_TRUE(free_for_others(all, m));
    hold.lock();
    std::unique_lock other(std::move(hold));
    EXPECT_FALSE(free_for_others(all, m));
  }
  {
    const std::scoped_lock both(m, n);
    EXPECT_FALSE(free_for_others(all, m));
    EXPECT_FALSE(free_for_others(all, n));
  }
  std::lock(n, m);
  EXPECT_FALSE(free_for_others(all, m));
  m.unlock();
  n.unlock();
  EXPECT_EQ(std::try_lock(m, n), -1);
  m.unlock();
  n.unlock();
  EXPECT_TRUE(free_for_others(all, m));
  EXPECT_TRUE(free_for_others(all, n));
}

/// Trap 36, with an owner that lets go only to take it again at once, or also yields inside. With
/// one worker it is the watchdog that lets the others run, so the time is the scheduler's.
template <class Mutex>
void expect_that_nobody_starves(crew& all) {
  for (const bool yields : {false, true}) {
    Mutex m;
    std::atomic<bool> begun{false}, over{false};
    std::atomic<int> turns{0};
    all.start([&] {
      while (!over.load()) {
        const std::lock_guard hold(m);
        begun = true;
        if (yields) heddle::this_fiber::yield();
        for (int i = 0; i < 100; ++i) asm volatile("");
      }
    });
    // Or the other would be through before it meets anybody.
    EXPECT_TRUE(eventually([&] { return begun.load(); }));
    all.start([&] {
      for (int i = 0; i < 10; ++i) {
        const std::lock_guard hold(m);
        ++turns;
      }
    });
    EXPECT_TRUE(within_a_second(all.rt(), [&] { return turns.load() == 10; }));
    over = true;
    all.join();
  }
}

/// Traps 30 and 15.
template <class Mutex>
void expect_that_it_is_the_fibers(heddle::runtime& rt) {
  Mutex m;
  m.lock();
  heddle::fiber other([&] { EXPECT_FALSE(m.try_lock()); });
  other.join();
  std::thread thread([&] { EXPECT_FALSE(m.try_lock()); });
  thread.join();
  m.unlock();
  for (std::size_t i = 0; i < rounds(20); ++i) {
    const std::lock_guard hold(m);
    if (rt.workers() > 1) migrate();
  }
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

template <class Mutex>
void expect_that_locking_is_no_cancellation_point(heddle::runtime& rt) {
  Mutex m;
  in_cancelled_fiber(rt, [&] {
    m.lock();
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
  m.lock();
  std::atomic<bool> got{false};
  auto waits = sleeping_fiber(rt, [&] {
    m.lock();
    got = true;
    m.unlock();
  });
  EXPECT_TRUE(waits.cancel());
  for (int i = 0; i < 100; ++i) heddle::this_fiber::yield();
  EXPECT_FALSE(got.load());
  m.unlock();
  waits.join();
  EXPECT_TRUE(got.load());
}

// ---- with limits in time ----

template <class Mutex>
void expect_timed_locking(crew& all) {
  using std::chrono::steady_clock;
  using std::chrono::system_clock;
  Mutex m;
  EXPECT_TRUE(m.try_lock_for(1h));
  EXPECT_FALSE(free_for_others(all, m));
  all.start([&] {
    const auto start = steady_clock::now();
    EXPECT_FALSE(m.try_lock_for(20ms));
    EXPECT_GE(steady_clock::now() - start, 20ms);
    EXPECT_FALSE(m.try_lock_until(start + 40ms));
    EXPECT_GE(steady_clock::now() - start, 40ms);
    const auto by_the_wall = system_clock::now() + 10ms;
    EXPECT_FALSE(m.try_lock_until(by_the_wall));
    EXPECT_GE(system_clock::now(), by_the_wall);
    // In the past: once. (std takes no time before the machine was started.)
    EXPECT_FALSE(m.try_lock_for(0s));
    EXPECT_FALSE(m.try_lock_for(-1s));
    EXPECT_FALSE(m.try_lock_until(steady_clock::now() - 1s));
    EXPECT_FALSE(m.try_lock_until(system_clock::time_point{}));
  });
  all.join();
  m.unlock();
  EXPECT_TRUE(free_for_others(all, m)) << "those who gave up have changed nothing";
  all.start([&] {
    EXPECT_TRUE(m.try_lock_for(0s));
    m.unlock();
    EXPECT_TRUE(m.try_lock_for(-1s));
    m.unlock();
    EXPECT_TRUE(m.try_lock_until(steady_clock::now() - 1s));
    m.unlock();
    EXPECT_TRUE(m.try_lock_until(system_clock::time_point{}));
    m.unlock();
  });
  all.join();
  std::unique_lock guard(m, 1h);
  EXPECT_TRUE(guard.owns_lock());
  guard.unlock();
  std::unique_lock later(m, steady_clock::now() + 1h);
  EXPECT_TRUE(later.owns_lock());
  all.start([&] { EXPECT_FALSE(std::unique_lock(m, 1ms).owns_lock()); });
  all.join();
}

/// Huge times, which also are no time at all for who gets it.
template <class Mutex>
void expect_that_huge_times_do_not_overflow(crew& all) {
  Mutex m;
  m.lock();
  std::atomic<int> got{0};
  const auto note = [&](bool owns) {
    EXPECT_TRUE(owns);
    ++got;
    m.unlock();
  };
  all.start_and_sleep([&] { note(m.try_lock_for(std::chrono::hours::max())); });
  all.start_and_sleep([&] { note(m.try_lock_for(std::chrono::duration<double>(1e300))); });
  all.start_and_sleep(
      [&] { note(m.try_lock_until(std::chrono::steady_clock::time_point::max())); });
  EXPECT_EQ(got.load(), 0);
  m.unlock();
  all.join();
  EXPECT_EQ(got.load(), 3);
}

/// Trap 37.
template <class Mutex>
void expect_that_it_follows_a_clock_that_is_set(crew& all) {
  manual_clock::reset();
  Mutex m;
  m.lock();
  std::atomic<bool> over{false};
  all.start([&] {
    EXPECT_FALSE(m.try_lock_until(manual_clock::time_point{1h}));
    over = true;
  });
  EXPECT_TRUE(eventually([] { return manual_clock::asked.load() > 2; }));
  EXPECT_FALSE(over.load());
  manual_clock::ms = 7'200'000;
  all.join();
  EXPECT_TRUE(over.load());
  // A clock that throws is the caller's; the mutex is as it was.
  manual_clock::reset();
  all.start([&] {
    EXPECT_THROW((void)m.try_lock_until(manual_clock::time_point{1h}), std::runtime_error);
  });
  EXPECT_TRUE(eventually([] { return manual_clock::asked.load() > 1; }));
  manual_clock::broken = true;
  all.join();
  manual_clock::reset();
  m.unlock();
  EXPECT_TRUE(free_for_others(all, m));
}

template <class Mutex>
void expect_the_turn_of_one_with_a_clock_of_his_own(crew& all) {
  // He has no turn while he asks his clock, which a busy machine may draw out. Who always lost it
  // would never be the first.
  int first_of_all = 0;
  for (int tries = 0; tries < 20 && first_of_all != 1; ++tries) {
    Mutex m;
    std::atomic<int> first{0};
    const auto come = [&](int who) {
      int none = 0;
      first.compare_exchange_strong(none, who);
      m.unlock();
    };
    manual_clock::reset();
    m.lock();
    all.start_and_sleep([&] {
      EXPECT_TRUE(m.try_lock_until(manual_clock::time_point{1h}));
      come(1);
    });
    all.start_and_sleep([&] {
      m.lock();
      come(2);
    });
    // Over two slices.
    const int asked = manual_clock::asked.load();
    EXPECT_TRUE(eventually([&] { return manual_clock::asked.load() > asked + 1; }));
    std::this_thread::sleep_for(10ms);
    m.unlock();
    all.join();
    first_of_all = first.load();
  }
  EXPECT_EQ(first_of_all, 1);
}

template <class Mutex>
void expect_that_timed_locking_is_no_cancellation_point(heddle::runtime& rt) {
  Mutex m;
  in_cancelled_fiber(rt, [&] {
    EXPECT_TRUE(m.try_lock_for(1h));
    m.unlock();
    EXPECT_TRUE(m.try_lock_until(std::chrono::system_clock::now() + 1h));
    m.unlock();
  });
  m.lock();
  auto fails = sleeping_fiber(rt, [&] { EXPECT_FALSE(m.try_lock_for(20ms)); });
  EXPECT_TRUE(fails.cancel());
  fails.join();
  auto gets = sleeping_fiber(rt, [&] {
    EXPECT_TRUE(m.try_lock_for(1h));
    m.unlock();
  });
  EXPECT_TRUE(gets.cancel());
  m.unlock();
  gets.join();
}

/// Lets about `d` pass, and others run: for what shall end when a time of that order ends.
inline void pass(std::chrono::microseconds d) {
  const auto end = std::chrono::steady_clock::now() + d;
  while (std::chrono::steady_clock::now() < end) heddle::this_fiber::yield();
}

/// Trap 9: the wait ends once, by the unlock or by its time, and the mutex is not lost.
template <class Mutex>
void expect_one_end_of_a_wait(crew& all, std::size_t times) {
  Mutex m;
  start_line line(2);
  bool owned_elsewhere = false;
  std::size_t got = 0, gave_up = 0;
  all.start([&] {
    jitter late(1);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      const auto d = std::chrono::microseconds(late.below(30));
      const bool owns =
          i % 2 == 0 ? m.try_lock_for(d) : m.try_lock_until(std::chrono::system_clock::now() + d);
      EXPECT_FALSE(owns && owned_elsewhere);
      ++(owns ? got : gave_up);
      if (owns) m.unlock();
      line.wait();
    }
  });
  jitter late(2);
  for (std::size_t i = 0; i < times; ++i) {
    m.lock();
    owned_elsewhere = true;
    line.wait();
    pass(std::chrono::microseconds(late.below(40)));
    owned_elsewhere = false;
    m.unlock();
    line.wait();
    ASSERT_TRUE(m.try_lock()) << "after round " << i;
    m.unlock();
  }
  all.join();
  EXPECT_EQ(got + gave_up, times);
}

/// Some give up, all others get it: nobody is passed over for one who has gone.
template <class Mutex>
void expect_that_those_behind_one_who_gave_up_get_it(crew& all) {
  for (const unsigned who : {1u, 6u, 11u}) {
    manual_clock::reset();
    Mutex m;
    std::atomic<int> got{0}, gave_up{0};
    int leaving = 0;
    m.lock();
    for (unsigned i = 0; i < 4; ++i) {
      const bool leaves = (who >> i & 1) != 0;
      leaving += leaves;
      all.start_and_sleep([&, leaves] {
        const bool owns = leaves ? m.try_lock_until(manual_clock::time_point{1h})  // till it is set
                                 : m.try_lock_for(1h);
        ++(owns ? got : gave_up);
        if (owns) m.unlock();
      });
    }
    manual_clock::ms = 7'200'000;
    EXPECT_TRUE(eventually([&] { return gave_up.load() == leaving; }));
    EXPECT_EQ(got.load(), 0);
    m.unlock();
    all.join();
    EXPECT_EQ(got.load(), 4 - leaving);
    EXPECT_TRUE(free_for_others(all, m));
  }
}

template <class Mutex>
void expect_that_any_mixture_excludes(crew& all) {
  Mutex m;
  int inside = 0;          // guarded by m
  std::size_t locked = 0;  // the same
  const std::size_t each = rounds(1'500);
  for (unsigned i = 0; i < 6; ++i) {
    all.start([&, i] {
      jitter pick(i + 1);
      for (std::size_t n = 0; n < each; ++n) {
        const auto d = std::chrono::microseconds(pick.below(40));
        bool owns = true;
        switch (pick.below(4)) {
          case 0:
            owns = m.try_lock();
            break;
          case 1:
            m.lock();
            break;
          case 2:
            owns = m.try_lock_for(d);
            break;
          default:
            owns = m.try_lock_until(std::chrono::system_clock::now() + d);
        }
        if (!owns) continue;
        EXPECT_EQ(inside++, 0);
        ++locked;
        pick();
        --inside;
        m.unlock();
      }
    });
  }
  all.join();
  EXPECT_GE(locked, each);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

}  // namespace heddle_test
