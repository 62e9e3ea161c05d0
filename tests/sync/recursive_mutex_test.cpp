// SPDX-License-Identifier: BSL-1.0
// recursive_mutex, recursive_timed_mutex: again and again for the owner, and as a mutex for others.
#include "sync/lockable.hpp"

#include <heddle/sync/mutex.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <system_error>
#include <type_traits>

using namespace heddle_test;

namespace {

template <class M>
concept std_like = requires(M m) {
  { m.lock() } -> std::same_as<void>;
  { m.try_lock() }
  noexcept->std::same_as<bool>;
  { m.unlock() } -> std::same_as<void>;
};
template <class M>
concept timed = std_like<M> && requires(M m, std::chrono::steady_clock::time_point at) {
  { m.try_lock_for(1ms) } -> std::same_as<bool>;
  { m.try_lock_until(at) } -> std::same_as<bool>;
};
static_assert(std_like<std::recursive_mutex> && timed<std::recursive_timed_mutex>);
static_assert(std_like<heddle::recursive_mutex> && timed<heddle::recursive_timed_mutex>);
static_assert(!timed<heddle::recursive_mutex>);
static_assert(!std::is_copy_constructible_v<heddle::recursive_mutex>);
static_assert(!std::is_copy_assignable_v<heddle::recursive_mutex>);
static_assert(!std::is_copy_constructible_v<heddle::recursive_timed_mutex>);
static_assert(!std::is_copy_assignable_v<heddle::recursive_timed_mutex>);
static_assert(std::is_nothrow_default_constructible_v<heddle::recursive_mutex>);
constinit heddle::recursive_mutex made_before_main;

/// Others get it after as many unlocks as there were locks.
template <class Mutex>
void expect_depth(crew& all) {
  Mutex m;
  for (int i = 0; i < 3; ++i) {
    m.lock();
    EXPECT_TRUE(m.try_lock());
    const std::scoped_lock again(m);
  }
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(free_for_others(all, m));
    m.unlock();
  }
  EXPECT_TRUE(free_for_others(all, m));
}

template <class Mutex>
void expect_that_waiters_get_it_at_depth_zero(crew& all) {
  Mutex m;
  std::atomic<int> got{0};
  m.lock();
  m.lock();
  for (int i = 0; i < 4; ++i) {
    all.start_and_sleep([&] {
      const std::scoped_lock once(m), again(m);
      ++got;
    });
  }
  m.unlock();
  EXPECT_EQ(got.load(), 0);
  EXPECT_FALSE(free_for_others(all, m)) << "joins nobody, since they sleep";
  m.unlock();
}

}  // namespace

HEDDLE_STD_TEST(RecursiveMutex, ItsOwnerLocksItAgain) {
  expect_depth<typename kit::recursive_mutex>(all);
  expect_depth<typename kit::recursive_timed_mutex>(all);
}

HEDDLE_STD_TEST(RecursiveMutex, OneAtATimeIsInside) {
  expect_one_at_a_time<typename kit::recursive_mutex>(all);
  expect_one_at_a_time<typename kit::recursive_timed_mutex>(all);
}

HEDDLE_STD_TEST(RecursiveMutex, StdsGuardsWorkWithIt) {
  expect_stds_guards_work<typename kit::recursive_mutex>(all);
  expect_stds_guards_work<typename kit::recursive_timed_mutex>(all);
}

HEDDLE_STD_TEST(RecursiveMutex, ADeepCallCountsAsOneOwner) {
  typename kit::recursive_mutex m;
  int count = 0;  // guarded by m
  const int each = static_cast<int>(rounds(300));
  for (int i = 0; i < 4; ++i) {
    all.start([&] {
      const auto down = [&](const auto& self, int depth) -> void {
        const std::lock_guard hold(m);
        if (depth % 4 == 0) heddle::this_fiber::yield();
        const int before = count;
        if (depth > 0) self(self, depth - 1);
        EXPECT_EQ(count, before + depth) << "somebody else was in between";
        ++count;
      };
      for (int n = 0; n < each; ++n) down(down, 8);
    });
  }
  all.join();
  EXPECT_EQ(count, 4 * 9 * each);
}

HEDDLE_CREW_TEST(RecursiveMutex, OneWhoRelocksStarvesNobody) {
  expect_that_nobody_starves<heddle::recursive_mutex>(all);
  expect_that_nobody_starves<heddle::recursive_timed_mutex>(all);
}

// Trap 30.
HEDDLE_TEST(RecursiveMutex, ItIsTheFibersAndNotTheThreads) {
  expect_that_it_is_the_fibers<heddle::recursive_mutex>(rt);
  expect_that_it_is_the_fibers<heddle::recursive_timed_mutex>(rt);
  // Locked again after a migration, by the same fiber on another thread.
  for (std::size_t i = 0; i < rounds(20); ++i) {
    const std::lock_guard hold(made_before_main);
    if (rt.workers() > 1) migrate();
    const std::lock_guard again(made_before_main);
    heddle::fiber([] { EXPECT_FALSE(made_before_main.try_lock()); }).join();
  }
}

HEDDLE_TEST(RecursiveMutex, LockingIsNoCancellationPoint) {
  expect_that_locking_is_no_cancellation_point<heddle::recursive_mutex>(rt);
  expect_that_locking_is_no_cancellation_point<heddle::recursive_timed_mutex>(rt);
  expect_that_timed_locking_is_no_cancellation_point<heddle::recursive_timed_mutex>(rt);
}

HEDDLE_STD_TEST(RecursiveTimedMutex, WaitsAsLongAsItWasTold) {
  expect_timed_locking<typename kit::recursive_timed_mutex>(all);
}

HEDDLE_STD_TEST(RecursiveTimedMutex, ItsOwnerNeedNotWait) {
  typename kit::recursive_timed_mutex m;
  m.lock();
  EXPECT_TRUE(m.try_lock_for(0s));
  EXPECT_TRUE(m.try_lock_for(-1s));
  EXPECT_TRUE(m.try_lock_until(std::chrono::steady_clock::now() + 1h));
  EXPECT_TRUE(m.try_lock_until(std::chrono::system_clock::time_point{}));
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(free_for_others(all, m));
    m.unlock();
  }
  EXPECT_TRUE(free_for_others(all, m));
}

HEDDLE_CREW_TEST(RecursiveTimedMutex, ThoseBehindOneWhoGaveUpGetIt) {
  expect_that_those_behind_one_who_gave_up_get_it<heddle::recursive_timed_mutex>(all);
}

HEDDLE_STD_TEST(RecursiveTimedMutex, AnyMixtureExcludes) {
  expect_that_any_mixture_excludes<typename kit::recursive_timed_mutex>(all);
}

HEDDLE_STD_TEST(RecursiveTimedMutex, AWaitEndsOnceByTheUnlockOrByItsTime) {
  expect_one_end_of_a_wait<typename kit::recursive_timed_mutex>(all, rounds(2'000));
}

HEDDLE_CREW_TEST(RecursiveTimedMutex, HugeTimesDoNotOverflow) {
  expect_that_huge_times_do_not_overflow<heddle::recursive_timed_mutex>(all);
}

HEDDLE_CREW_TEST(RecursiveTimedMutex, FollowsAClockThatIsSet) {
  expect_that_it_follows_a_clock_that_is_set<heddle::recursive_timed_mutex>(all);
}

HEDDLE_CREW_TEST(RecursiveTimedMutex, KeepsTheTurnOfOneWhoWaitsByAClockOfHisOwn) {
  expect_the_turn_of_one_with_a_clock_of_his_own<heddle::recursive_timed_mutex>(all);
}

TEST(RecursiveMutex, SaysWhenItIsLockedTooOften) {
  heddle::recursive_timed_mutex m;
  constexpr int most = 1 << 24;
  for (int i = 0; i < most; ++i) m.lock();
  EXPECT_FALSE(m.try_lock());
  EXPECT_FALSE(m.try_lock_for(1h));
  EXPECT_FALSE(m.try_lock_until(std::chrono::system_clock::now() + 1h));
  try {
    m.lock();
    ADD_FAILURE() << "did not throw";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
  }
  for (int i = 0; i < most; ++i) m.unlock();
  std::thread([&] {
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }).join();
}

#if defined(HEDDLE_ASSERTIONS)
TEST(RecursiveMutex, DiesWithAMessageIfTheWrongOneUsesIt) {
  const auto in_a_fiber = [](auto use) { heddle::run({.workers = 1}, use); };
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::recursive_mutex m;
                 m.lock();
                 m.lock();
                 heddle::fiber([&] { m.unlock(); }).join();
               }),
               "recursive_mutex 0x[0-9a-f]+ is unlocked by 0x[0-9a-f]+, who does not own it.* in "
               "fiber [0-9]+");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::recursive_timed_mutex m;
                 m.lock();
                 m.unlock();
                 m.unlock();
               }),
               "recursive_timed_mutex 0x[0-9a-f]+ is unlocked by");
  EXPECT_DEATH(in_a_fiber([] {
                 auto m = std::make_unique<heddle::recursive_mutex>();
                 m->lock();
                 m.reset();
               }),
               "recursive_mutex 0x[0-9a-f]+ is destroyed while it is locked");
}
#endif
