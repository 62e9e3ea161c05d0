// SPDX-License-Identifier: BSL-1.0
// shared_timed_mutex: a shared_mutex, whose waits may have an end.
#include "sync/lockable.hpp"

#include <heddle/sync/shared_mutex.hpp>

#include <chrono>
#include <concepts>
#include <shared_mutex>

using namespace heddle_test;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

template <class M>
concept timed = requires(M m, steady_clock::time_point at) {
  { m.try_lock_for(1ms) } -> std::same_as<bool>;
  { m.try_lock_until(at) } -> std::same_as<bool>;
  { m.try_lock_shared_for(1ms) } -> std::same_as<bool>;
  { m.try_lock_shared_until(at) } -> std::same_as<bool>;
};
static_assert(timed<std::shared_timed_mutex> && timed<heddle::shared_timed_mutex>);
static_assert(!timed<heddle::shared_mutex>);
constinit heddle::shared_timed_mutex made_before_main;

}  // namespace

HEDDLE_STD_TEST(SharedTimedMutex, OneWriterAtATimeIsInside) {
  expect_one_at_a_time<typename kit::shared_timed_mutex>(all);
}

HEDDLE_STD_TEST(SharedTimedMutex, WritersWaitAsLongAsTheyWereTold) {
  expect_timed_locking<typename kit::shared_timed_mutex>(all);
}

HEDDLE_STD_TEST(SharedTimedMutex, ReadersWaitAsLongAsTheyWereTold) {
  typename kit::shared_timed_mutex m;
  EXPECT_TRUE(m.try_lock_shared_for(1h));
  all.start([&] {
    EXPECT_TRUE(m.try_lock_shared_for(-1s));
    EXPECT_TRUE(m.try_lock_shared_until(steady_clock::now() - 1s));
    EXPECT_TRUE(m.try_lock_shared_until(system_clock::now() + 1h));
    for (int i = 0; i < 3; ++i) m.unlock_shared();
    EXPECT_FALSE(m.try_lock_for(1ms));
  });
  all.join();
  EXPECT_TRUE([&] {
    m.unlock_shared();
    return free_for_others(all, m);
  }());
  m.lock();
  all.start([&] {
    const auto start = steady_clock::now();
    EXPECT_FALSE(m.try_lock_shared_for(20ms));
    EXPECT_GE(steady_clock::now() - start, 20ms);
    EXPECT_FALSE(m.try_lock_shared_until(start + 40ms));
    EXPECT_GE(steady_clock::now() - start, 40ms);
    EXPECT_FALSE(m.try_lock_shared_until(system_clock::now() + 5ms));
    EXPECT_FALSE(m.try_lock_shared_for(0s));
    EXPECT_FALSE(m.try_lock_shared_until(system_clock::time_point{}));
    EXPECT_FALSE(std::shared_lock(m, 1ms).owns_lock());
  });
  all.join();
  m.unlock();
  EXPECT_TRUE(std::shared_lock(m, steady_clock::now() + 1h).owns_lock());
  EXPECT_TRUE(free_for_others(all, m));
}

HEDDLE_STD_TEST(SharedTimedMutex, AnyMixtureExcludes) {
  expect_that_any_mixture_excludes<typename kit::shared_timed_mutex>(all);
}

HEDDLE_STD_TEST(SharedTimedMutex, AWaitEndsOnceByTheUnlockOrByItsTime) {
  expect_one_end_of_a_wait<typename kit::shared_timed_mutex>(
      all, rounds(all.rt().workers() == 2 ? 10'000 : 2'000));
}

HEDDLE_CREW_TEST(SharedTimedMutex, ThoseBehindOneWhoGaveUpGetIt) {
  expect_that_those_behind_one_who_gave_up_get_it<heddle::shared_timed_mutex>(all);
}

HEDDLE_CREW_TEST(SharedTimedMutex, HugeTimesDoNotOverflow) {
  expect_that_huge_times_do_not_overflow<heddle::shared_timed_mutex>(all);
  made_before_main.lock();
  all.start_and_sleep([] {
    EXPECT_TRUE(made_before_main.try_lock_shared_for(std::chrono::hours::max()));
    EXPECT_TRUE(made_before_main.try_lock_shared_until(steady_clock::time_point::max()));
    made_before_main.unlock_shared();
    made_before_main.unlock_shared();
  });
  made_before_main.unlock();
  all.join();
}

HEDDLE_CREW_TEST(SharedTimedMutex, FollowsAClockThatIsSet) {
  expect_that_it_follows_a_clock_that_is_set<heddle::shared_timed_mutex>(all);
}

HEDDLE_CREW_TEST(SharedTimedMutex, KeepsTheTurnOfOneWhoWaitsByAClockOfHisOwn) {
  expect_the_turn_of_one_with_a_clock_of_his_own<heddle::shared_timed_mutex>(all);
}

HEDDLE_CREW_TEST(SharedTimedMutex, OneWhoRelocksStarvesNobody) {
  expect_that_nobody_starves<heddle::shared_timed_mutex>(all);
}

HEDDLE_TEST(SharedTimedMutex, LockingIsNoCancellationPoint) {
  expect_that_timed_locking_is_no_cancellation_point<heddle::shared_timed_mutex>(rt);
  heddle::shared_timed_mutex m;
  in_cancelled_fiber(rt, [&] {
    EXPECT_TRUE(m.try_lock_shared_for(1h));
    EXPECT_TRUE(m.try_lock_shared_until(system_clock::now() + 1h));
    m.unlock_shared();
    m.unlock_shared();
  });
  m.lock();
  auto fails = sleeping_fiber(rt, [&] { EXPECT_FALSE(m.try_lock_shared_for(20ms)); });
  EXPECT_TRUE(fails.cancel());
  fails.join();
  m.unlock();
}

// A writer that waits keeps later readers out; when it gives up, they go in to those who read.
HEDDLE_CREW_TEST(SharedTimedMutex, AWriterWhoGivesUpLetsTheReadersBehindHimIn) {
  for (const bool by_its_own_clock : {false, true}) {
    manual_clock::reset();
    heddle::shared_timed_mutex m;
    std::atomic<int> reading{0};
    std::atomic<bool> gave_up{false};
    m.lock_shared();
    all.start_and_sleep([&] {
      if (by_its_own_clock) {
        try {
          EXPECT_FALSE(m.try_lock_until(manual_clock::time_point{1h}));
        } catch (const std::runtime_error&) {  // its clock broke
        }
      } else {
        EXPECT_FALSE(m.try_lock_for(200ms));
      }
      gave_up = true;
    });
    for (int i = 0; i < 3; ++i) {
      all.start([&] {
        const std::shared_lock hold(m);
        ++reading;
      });
    }
    if (by_its_own_clock) {
      // Over two slices, between which nobody else gets in.
      const int asked = manual_clock::asked.load();
      EXPECT_TRUE(eventually([&] { return manual_clock::asked.load() > asked + 1; }));
      EXPECT_EQ(reading.load(), 0);
      if (all.rt().workers() == 2) {
        manual_clock::broken = true;  // it throws: the same
      } else {
        manual_clock::ms = 7'200'000;
      }
    }
    EXPECT_TRUE(eventually([&] { return reading.load() == 3; })) << "while this one reads";
    m.unlock_shared();
    all.join();
    EXPECT_TRUE(gave_up.load());
    EXPECT_TRUE(free_for_others(all, m));
  }
  manual_clock::reset();
}

// Trap 9, for readers and a writer who come together, with limits: the state is right after each.
HEDDLE_CREW_TEST(SharedTimedMutex, NothingIsLeftWhateverEndsTheWaits) {
  const std::size_t times = rounds(all.rt().workers() == 2 ? 6'000 : 1'500);
  constexpr int parties = 4;
  heddle::shared_timed_mutex m;
  start_line line(parties);
  std::atomic<int> writers{0}, readers{0};
  for (unsigned i = 0; i < parties; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      for (std::size_t n = 0; n < times; ++n) {
        line.wait();
        late();
        const auto d = std::chrono::microseconds(late.below(30));
        if ((i + n) % 2 == 0) {
          if (n % 3 == 0 ? m.try_lock_for(d) : m.try_lock_until(system_clock::now() + d)) {
            EXPECT_EQ(writers.fetch_add(1) + readers.load(), 0);
            pass(std::chrono::microseconds(late.below(30)));
            --writers;
            m.unlock();
          }
        } else {
          if (n % 3 == 0 ? m.try_lock_shared_for(d)
                         : m.try_lock_shared_until(system_clock::now() + d)) {
            ++readers;
            EXPECT_EQ(writers.load(), 0);
            pass(std::chrono::microseconds(late.below(30)));
            --readers;
            m.unlock_shared();
          }
        }
        line.wait();
        if (i == 0) {
          ASSERT_TRUE(m.try_lock()) << "after round " << n;
          m.unlock();
        }
      }
    });
  }
  all.join();
}
