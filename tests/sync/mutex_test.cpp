// SPDX-License-Identifier: BSL-1.0
// mutex: exclusion, whose it is, and that nobody waits for ever.
#include "sync/crew.hpp"
#include "sync/lockable.hpp"

#include <heddle/sync/mutex.hpp>

#include <sys/types.h>

#include <array>
#include <chrono>
#include <concepts>
#include <mutex>
#include <type_traits>
#include <utility>

using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::rounds;
using heddle_test::within_a_second;
using namespace std::chrono_literals;

namespace {

static_assert(!std::is_copy_constructible_v<heddle::mutex>);
static_assert(!std::is_move_constructible_v<heddle::mutex>);
static_assert(!std::is_copy_assignable_v<heddle::mutex>);
static_assert(std::is_nothrow_default_constructible_v<heddle::mutex>);
constinit heddle::mutex constant_initialised;

template <class M>
concept lockable = requires(M m, std::stop_token token) {
  { m.lock() } -> std::same_as<void>;
  { m.try_lock() } -> std::same_as<bool>;
  { m.unlock() } -> std::same_as<void>;
  { m.lock(token) } -> std::same_as<bool>;
};
static_assert(lockable<heddle::mutex>);

#if defined(HEDDLE_ASSERTIONS)
TEST(Mutex, DiesWithAMessageIfTheWrongOneUsesIt) {
  const auto in_a_fiber = [](auto use) { heddle::run({.workers = 1}, use); };
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::mutex m;
                 m.lock();
                 m.lock();
               }),
               "heddle: mutex 0x[0-9a-f]+ is locked by its owner.* in fiber [0-9]+");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::mutex m;
                 m.lock();
                 (void)m.lock(std::stop_token{});
               }),
               "is locked by its owner");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::mutex m;
                 m.lock();
                 heddle::fiber([&] { m.unlock(); }).join();
               }),
               "is unlocked by 0x[0-9a-f]+, who does not own it");
}
#endif

}  // namespace

HEDDLE_STD_TEST(Mutex, OneAtATimeIsInside) {
  typename kit::mutex m;
  constexpr int members = 6;
  const int each = static_cast<int>(rounds(3'000));
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

HEDDLE_STD_TEST(Mutex, TryLockIsTrueWhereItIsFree) {
  typename kit::mutex m;
  EXPECT_TRUE(m.try_lock());
  EXPECT_FALSE(free_for_others(all, m));
  m.unlock();
  EXPECT_TRUE(free_for_others(all, m));
  m.lock();
  EXPECT_FALSE(free_for_others(all, m));
  m.unlock();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

HEDDLE_STD_TEST(Mutex, StdsGuardsWorkWithIt) {
  typename kit::mutex m, n;
  {
    const std::lock_guard hold(m);
    EXPECT_FALSE(free_for_others(all, m));
  }
  EXPECT_TRUE(free_for_others(all, m));
  {
    std::unique_lock hold(m, std::defer_lock);
    EXPECT_TRUE(free_for_others(all, m));
    EXPECT_TRUE(hold.try_lock());
    EXPECT_FALSE(free_for_others(all, m));
    EXPECT_THROW(hold.lock(), std::system_error);  // unique_lock's own check
    hold.unlock();
    EXPECT_TRUE(free_for_others(all, m));
    hold.lock();
    std::unique_lock other(std::move(hold));
    EXPECT_TRUE(other.owns_lock());
    EXPECT_FALSE(free_for_others(all, m));
  }
  EXPECT_TRUE(free_for_others(all, m));
  {
    const std::scoped_lock both(m, n);
    EXPECT_FALSE(free_for_others(all, m));
    EXPECT_FALSE(free_for_others(all, n));
  }
  std::lock(n, m);
  EXPECT_FALSE(free_for_others(all, m));
  {
    const std::lock_guard adopt_m(m, std::adopt_lock);
    const std::lock_guard adopt_n(n, std::adopt_lock);
  }
  EXPECT_EQ(std::try_lock(m, n), -1);
  m.unlock();
  n.unlock();
  EXPECT_TRUE(free_for_others(all, m));
  EXPECT_TRUE(free_for_others(all, n));
}

HEDDLE_STD_TEST(Mutex, SeveralAtOnceAreLockedWithoutDeadlock) {
  std::array<typename kit::mutex, 3> m;
  std::array<int, 3> count{};
  const int each = static_cast<int>(rounds(1'000));
  for (std::size_t i = 0; i < 6; ++i) {
    all.start([&, i] {
      for (int n = 0; n < each; ++n) {
        const auto a = i % 3, b = (i + 1 + i / 3) % 3;
        if (n % 4 == 0) {
          const std::scoped_lock hold(m[a], m[b], m[3 - a - b]);
          for (int& c : count) ++c;
        } else if (n % 4 == 1) {
          std::lock(m[a], m[b]);
          ++count[a];
          heddle::this_fiber::yield();
          ++count[b];
          m[a].unlock();
          m[b].unlock();
        } else {
          const std::scoped_lock hold(m[b], m[a]);
          ++count[a];
          ++count[b];
        }
      }
    });
  }
  all.join();
  int sum = 0;
  for (int c : count) sum += c;
  EXPECT_EQ(sum, 6 * (each / 4 * 3 + (each % 4 > 0 ? 3 : 0) + (each - (each + 3) / 4) * 2));
}

HEDDLE_CREW_TEST(Mutex, AWaiterGetsItFromTheOwner) {
  constant_initialised.lock();
  std::atomic<bool> got{false};
  all.start_and_sleep([&] {
    const std::lock_guard hold(constant_initialised);
    got = true;
  });
  EXPECT_FALSE(got.load());
  constant_initialised.unlock();
  all.join();
  EXPECT_TRUE(got.load());
}

HEDDLE_CREW_TEST(Mutex, AllWhoWaitGetIt) {
  heddle::mutex m;
  int count = 0;  // guarded by m
  m.lock();
  for (int i = 0; i < 12; ++i) {
    all.start_and_sleep([&] {
      const std::lock_guard hold(m);
      ++count;
    });
  }
  EXPECT_EQ(count, 0);
  m.unlock();
  all.join();
  EXPECT_EQ(count, 12);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// Trap 30.
HEDDLE_TEST(Mutex, ItIsTheFibersAndNotTheThreads) {
  heddle::mutex m;
  m.lock();
  heddle::fiber other([&] { EXPECT_FALSE(m.try_lock()); });
  other.join();
  std::thread thread([&] { EXPECT_FALSE(m.try_lock()); });
  thread.join();
  EXPECT_FALSE(m.try_lock());
  m.unlock();
}

// Trap 15. Its worker is held up by another fiber, so the owner goes on elsewhere; with one worker,
// on a spare.
HEDDLE_TEST(Mutex, ItIsHeldOverAMigration) {
  heddle::mutex m;
  for (int round = 0; round < 5; ++round) {
    std::atomic<bool> moved{false};
    heddle::wait_group others;
    m.lock();
    const pid_t home = ::gettid();
    EXPECT_TRUE(eventually([&] {
      others.go([&] {
        while (::gettid() == home && !moved.load()) EXPECT_FALSE(m.try_lock());
      });
      heddle::this_fiber::yield();
      return ::gettid() != home;
    }));
    EXPECT_FALSE(m.try_lock());
    moved = true;
    others.wait();
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }
}

HEDDLE_TEST(Mutex, LockingIsNoCancellationPoint) {
  heddle::mutex m;
  in_cancelled_fiber(rt, [&] {
    m.lock();
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
    EXPECT_TRUE(m.lock(std::stop_token{}));
    m.unlock();
    EXPECT_TRUE(m.lock(heddle::this_fiber::get_stop_token()));
    m.unlock();
  });
  m.lock();
  std::atomic<bool> got{false};
  auto waits = heddle_test::sleeping_fiber(rt, [&] {
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

// Trap 36, with an owner that lets go only to take it again at once. With one worker it is the
// watchdog that lets the others run, so the time is the scheduler's more than the mutex's.
HEDDLE_CREW_TEST(Mutex, OneWhoRelocksAtOnceStarvesNobody) {
  heddle::mutex m;
  std::atomic<bool> begun{false}, over{false};
  std::atomic<int> turns{0};
  all.start([&] {
    while (!over.load()) {
      const std::lock_guard hold(m);
      begun = true;
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

// Whoever waits gets the mutex from an owner that switched while it held it: all get on alike. On
// one worker, or an owner might be done before the system has let the others come to wait.
TEST(Mutex, AnOwnerThatYieldedHandsItOverInTurn) {
  constexpr int times = 200;
  std::array<int, 4> turns{}, at_the_first_end{};
  heddle::run({.workers = 1}, [&] {
    heddle::mutex m;
    bool ended = false;
    std::atomic<int> started{0};
    heddle::wait_group all;
    for (auto& mine : turns) {
      all.go([&] {
        ++started;
        while (started.load() < 4) heddle::this_fiber::yield();
        for (int i = 0; i < times; ++i) {
          const std::lock_guard hold(m);
          heddle::this_fiber::yield();
          if (++mine == times && !std::exchange(ended, true)) at_the_first_end = turns;
        }
      });
    }
    all.wait();
  });
  for (const int there : at_the_first_end) EXPECT_GT(there, times / 4);
}

HEDDLE_CREW_TEST(Mutex, OneWhoRelocksAndYieldsInsideStarvesNobody) {
  heddle::mutex m;
  std::atomic<bool> begun{false}, over{false};
  std::array<std::atomic<int>, 3> turns{};
  all.start([&] {
    while (!over.load()) {
      const std::lock_guard hold(m);
      begun = true;
      heddle::this_fiber::yield();
    }
  });
  EXPECT_TRUE(eventually([&] { return begun.load(); }));
  for (auto& mine : turns) {
    all.start([&] {
      for (int i = 0; i < 10; ++i) {
        const std::lock_guard hold(m);
        ++mine;
      }
    });
  }
  EXPECT_TRUE(within_a_second(all.rt(), [&] {
    return turns[0].load() == 10 && turns[1].load() == 10 && turns[2].load() == 10;
  }));
  over = true;
  all.join();
}
