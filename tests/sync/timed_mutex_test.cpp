// SPDX-License-Identifier: BSL-1.0
// timed_mutex: a mutex, whose wait may have an end. What std promises is asked of std too.
#include "sync/lockable.hpp"

#include <heddle/sync/mutex.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <type_traits>

using namespace heddle_test;

namespace {

template <class M>
concept std_like = requires(M m, std::chrono::steady_clock::time_point at) {
  { m.lock() } -> std::same_as<void>;
  { m.try_lock() } -> std::same_as<bool>;
  { m.unlock() } -> std::same_as<void>;
  { m.try_lock_for(1ms) } -> std::same_as<bool>;
  { m.try_lock_until(at) } -> std::same_as<bool>;
};
static_assert(std_like<std::timed_mutex> && std_like<heddle::timed_mutex>);
static_assert(std::is_nothrow_default_constructible_v<heddle::timed_mutex>);
static_assert(!std::is_copy_constructible_v<heddle::timed_mutex>);
static_assert(!std::is_copy_assignable_v<heddle::timed_mutex>);
static_assert(!std::is_move_constructible_v<heddle::timed_mutex>);
static_assert(!std::is_convertible_v<heddle::timed_mutex*, heddle::mutex*>,
              "condition_variable's lock is a mutex only");
static_assert(sizeof(heddle::timed_mutex) == sizeof(heddle::mutex));
#if !defined(HEDDLE_ASSERTIONS)
static_assert(sizeof(heddle::mutex) == 56);
#endif
constinit heddle::timed_mutex made_before_main;

}  // namespace

HEDDLE_STD_TEST(TimedMutex, OneAtATimeIsInside) {
  expect_one_at_a_time<typename kit::timed_mutex>(all);
}

HEDDLE_STD_TEST(TimedMutex, StdsGuardsWorkWithIt) {
  expect_stds_guards_work<typename kit::timed_mutex>(all);
}

HEDDLE_STD_TEST(TimedMutex, WaitsAsLongAsItWasTold) {
  expect_timed_locking<typename kit::timed_mutex>(all);
}

HEDDLE_CREW_TEST(TimedMutex, ThoseBehindOneWhoGaveUpGetIt) {
  expect_that_those_behind_one_who_gave_up_get_it<heddle::timed_mutex>(all);
}

HEDDLE_STD_TEST(TimedMutex, AnyMixtureExcludes) {
  expect_that_any_mixture_excludes<typename kit::timed_mutex>(all);
}

HEDDLE_STD_TEST(TimedMutex, AWaitEndsOnceByTheUnlockOrByItsTime) {
  expect_one_end_of_a_wait<typename kit::timed_mutex>(
      all, rounds(all.rt().workers() == 2 ? 10'000 : 2'000));
}

HEDDLE_CREW_TEST(TimedMutex, OneWhoRelocksStarvesNobody) {
  expect_that_nobody_starves<heddle::timed_mutex>(all);
}

HEDDLE_CREW_TEST(TimedMutex, HugeTimesDoNotOverflow) {
  expect_that_huge_times_do_not_overflow<heddle::timed_mutex>(all);
}

HEDDLE_CREW_TEST(TimedMutex, FollowsAClockThatIsSet) {
  expect_that_it_follows_a_clock_that_is_set<heddle::timed_mutex>(all);
}

HEDDLE_CREW_TEST(TimedMutex, KeepsTheTurnOfOneWhoWaitsByAClockOfHisOwn) {
  expect_the_turn_of_one_with_a_clock_of_his_own<heddle::timed_mutex>(all);
}

HEDDLE_TEST(TimedMutex, ItIsTheFibersAndNotTheThreads) {
  expect_that_it_is_the_fibers<heddle::timed_mutex>(rt);
}

HEDDLE_TEST(TimedMutex, LockingIsNoCancellationPoint) {
  expect_that_locking_is_no_cancellation_point<heddle::timed_mutex>(rt);
  expect_that_timed_locking_is_no_cancellation_point<heddle::timed_mutex>(rt);
}

HEDDLE_CREW_TEST(TimedMutex, AStopEndsTheWaitAsThatForAMutex) {
  std::stop_source stop;
  EXPECT_TRUE(made_before_main.lock(stop.get_token()));
  all.start_and_sleep([&] { EXPECT_FALSE(made_before_main.lock(stop.get_token())); });
  stop.request_stop();
  all.join();
  made_before_main.unlock();
}

// One whose time is up and one who is woken are never the same: the hand-over of an owner that
// switched goes to the next one who is still there.
HEDDLE_TEST(TimedMutex, AHandOverIsNotLostToOneWhoseTimeIsUp) {
  heddle::timed_mutex m;
  for (std::size_t i = 0; i < rounds(1'000); ++i) {
    std::atomic<int> got{0};
    heddle::wait_group others;
    m.lock();
    for (unsigned n = 0; n < 4; ++n) {
      others.go([&, n] {
        if (n % 2 == 0) {
          m.lock();
        } else if (!m.try_lock_for(std::chrono::microseconds(n * i % 50))) {
          return;
        }
        ++got;
        heddle::this_fiber::yield();
        m.unlock();
      });
    }
    for (std::size_t n = 0; n < i % 20; ++n) heddle::this_fiber::yield();
    m.unlock();
    others.wait();
    EXPECT_GE(got.load(), 2);
    ASSERT_TRUE(m.try_lock());
    m.unlock();
  }
}

#if defined(HEDDLE_ASSERTIONS)
TEST(TimedMutex, DiesWithAMessageIfTheWrongOneUsesIt) {
  const auto in_a_fiber = [](auto use) { heddle::run({.workers = 1}, use); };
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::timed_mutex m;
                 m.lock();
                 (void)m.try_lock_for(1h);
               }),
               "heddle: .*timed_mutex 0x[0-9a-f]+ is locked by its owner.* in fiber [0-9]+");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::timed_mutex m;
                 m.lock();
                 heddle::fiber([&] { m.unlock(); }).join();
               }),
               "timed_mutex 0x[0-9a-f]+ is unlocked by 0x[0-9a-f]+, who does not own it");
  EXPECT_DEATH(in_a_fiber([] {
                 auto m = std::make_unique<heddle::timed_mutex>();
                 m->lock();
                 m.reset();
               }),
               "timed_mutex 0x[0-9a-f]+ is destroyed while it is locked");
}
#endif
