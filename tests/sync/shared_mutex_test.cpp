// SPDX-License-Identifier: BSL-1.0
// shared_mutex: writers, readers, and their turns. What std promises is asked of std too.
#include "sync/lockable.hpp"

#include <heddle/sync/shared_mutex.hpp>

#include <concepts>
#include <memory>
#include <shared_mutex>
#include <string>
#include <type_traits>
#include <vector>

using namespace heddle_test;

namespace {

template <class M>
concept std_like = requires(M m) {
  { m.lock() } -> std::same_as<void>;
  { m.try_lock() } -> std::same_as<bool>;
  { m.unlock() } -> std::same_as<void>;
  { m.lock_shared() } -> std::same_as<void>;
  { m.try_lock_shared() } -> std::same_as<bool>;
  { m.unlock_shared() } -> std::same_as<void>;
};
static_assert(std_like<std::shared_mutex> && std_like<heddle::shared_mutex>);
static_assert(!std::is_copy_constructible_v<heddle::shared_mutex>);
static_assert(!std::is_copy_assignable_v<heddle::shared_mutex>);
static_assert(!std::is_move_constructible_v<heddle::shared_mutex>);
static_assert(std::is_nothrow_default_constructible_v<heddle::shared_mutex>);
constinit heddle::shared_mutex made_before_main;

template <class Mutex>
bool shared_by_others(crew& all, Mutex& m) {
  bool got = false;
  all.start([&] {
    got = m.try_lock_shared();
    if (got) m.unlock_shared();
  });
  all.join();
  return got;
}

}  // namespace

HEDDLE_STD_TEST(SharedMutex, OneWriterAtATimeIsInside) {
  expect_one_at_a_time<typename kit::shared_mutex>(all);
}

HEDDLE_STD_TEST(SharedMutex, StdsGuardsWorkWithIt) {
  expect_stds_guards_work<typename kit::shared_mutex>(all);
  typename kit::shared_mutex m;
  {
    const std::shared_lock hold(m);
    EXPECT_FALSE(free_for_others(all, m));
    EXPECT_TRUE(shared_by_others(all, m));
  }
  {
    std::shared_lock hold(m, std::defer_lock);
    EXPECT_TRUE(hold.try_lock());
    std::shared_lock other(std::move(hold));
    EXPECT_FALSE(free_for_others(all, m));
    other.unlock();
    EXPECT_TRUE(free_for_others(all, m));
    other.lock();
    EXPECT_FALSE(free_for_others(all, m));
  }
  EXPECT_TRUE(free_for_others(all, m));
}

HEDDLE_STD_TEST(SharedMutex, ReadersShareItAndWritersDoNot) {
  typename kit::shared_mutex m;
  EXPECT_TRUE(m.try_lock_shared());
  EXPECT_TRUE(shared_by_others(all, m));
  EXPECT_FALSE(free_for_others(all, m));
  m.unlock_shared();
  m.lock();
  EXPECT_FALSE(shared_by_others(all, m));
  EXPECT_FALSE(free_for_others(all, m));
  m.unlock();
  // All at once inside.
  std::atomic<int> inside{0};
  for (int i = 0; i < 5; ++i) {
    all.start([&] {
      const std::shared_lock hold(m);
      ++inside;
      EXPECT_TRUE(eventually([&] { return inside.load() == 5; }));
    });
  }
  all.join();
  EXPECT_TRUE(free_for_others(all, m));
}

HEDDLE_STD_TEST(SharedMutex, AnyMixtureExcludes) {
  typename kit::shared_mutex m;
  long value = 0, twin = 0;  // guarded by m
  std::atomic<int> writers{0}, readers{0};
  const std::size_t each = rounds(2'000);
  std::atomic<long> written{0};
  for (unsigned i = 0; i < 6; ++i) {
    all.start([&, i] {
      jitter pick(i + 1);
      for (std::size_t n = 0; n < each; ++n) {
        const bool writes = pick.below(3) == 0;
        if (writes) {
          if (pick.below(4) == 0) {
            if (!m.try_lock()) continue;
          } else {
            m.lock();
          }
          EXPECT_EQ(writers.fetch_add(1), 0);
          EXPECT_EQ(readers.load(), 0);
          ++value;
          pick();
          ++twin;
          ++written;
          writers.fetch_sub(1);
          m.unlock();
        } else {
          if (pick.below(4) == 0) {
            if (!m.try_lock_shared()) continue;
          } else {
            m.lock_shared();
          }
          ++readers;
          EXPECT_EQ(writers.load(), 0);
          const long seen = value;
          pick();
          EXPECT_EQ(twin, seen);
          --readers;
          m.unlock_shared();
        }
      }
    });
  }
  all.join();
  EXPECT_EQ(value, written.load());
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// The owner lets go; who waits: a writer, three readers, a writer, a reader.
HEDDLE_CREW_TEST(SharedMutex, AllComeInTheirTurnAndReadersTogether) {
  heddle::shared_mutex m;
  std::vector<char> order;  // by writers guarded by m; 'r' is added by the last of three readers
  std::atomic<int> reading{0};
  const auto write = [&](char name) {
    const std::lock_guard hold(m);
    order.push_back(name);
  };
  m.lock();
  all.start_and_sleep([&] { write('a'); });
  for (int i = 0; i < 3; ++i) {
    all.start_and_sleep([&] {
      const std::shared_lock hold(m);
      if (reading.fetch_add(1) == 2) order.push_back('r');
      EXPECT_TRUE(eventually([&] { return reading.load() == 3; })) << "they are let in together";
    });
  }
  all.start_and_sleep([&] { write('b'); });
  all.start_and_sleep([&] {
    const std::shared_lock hold(m);
    order.push_back('s');
  });
  EXPECT_FALSE(m.try_lock_shared());
  m.unlock();
  all.join();
  EXPECT_EQ(std::string(order.begin(), order.end()), "arbs");
}

HEDDLE_CREW_TEST(SharedMutex, AWriterWhoWaitsGoesBeforeReadersWhoComeLater) {
  std::atomic<bool> written{false};
  made_before_main.lock_shared();
  EXPECT_TRUE(shared_by_others(all, made_before_main));
  all.start_and_sleep([&] {
    const std::lock_guard hold(made_before_main);
    written = true;
  });
  EXPECT_FALSE(made_before_main.try_lock_shared());
  for (int i = 0; i < 3; ++i) {
    all.start_and_sleep([&] {
      const std::shared_lock hold(made_before_main);
      EXPECT_TRUE(written.load());
    });
  }
  EXPECT_FALSE(written.load());
  made_before_main.unlock_shared();
  all.join();
  EXPECT_TRUE(free_for_others(all, made_before_main));
}

HEDDLE_CREW_TEST(SharedMutex, TheLastReaderMakesWayForTheWriter) {
  heddle::shared_mutex m;
  std::atomic<bool> written{false}, may_go{false};
  std::atomic<int> reading{0};
  for (int i = 0; i < 3; ++i) {
    all.start([&] {
      const std::shared_lock hold(m);
      ++reading;
      while (!may_go.load()) {
        heddle::this_fiber::yield();
        std::this_thread::yield();
      }
      EXPECT_FALSE(written.load());
    });
  }
  EXPECT_TRUE(eventually([&] { return reading.load() == 3; }));
  all.start([&] {
    const std::lock_guard hold(m);
    written = true;
  });
  EXPECT_TRUE(eventually([&] {
    const bool got = m.try_lock_shared();
    if (got) m.unlock_shared();
    return !got;
  })) << "the writer waits";
  EXPECT_FALSE(written.load());
  may_go = true;
  all.join();
  EXPECT_TRUE(written.load());
}

// Trap 36.
HEDDLE_CREW_TEST(SharedMutex, AWriterWhoRelocksStarvesNoWriter) {
  expect_that_nobody_starves<heddle::shared_mutex>(all);
}

HEDDLE_CREW_TEST(SharedMutex, NeitherReadersNorWritersStarve) {
  for (const bool readers_hog : {false, true}) {
    heddle::shared_mutex m;
    std::atomic<bool> over{false};
    std::atomic<int> turns{0}, wrote{0};
    const auto read = [&] { const std::shared_lock hold(m); };
    for (int i = 0; i < 2; ++i) {  // two readers are always inside, by turns
      all.start([&] {
        while (!over.load()) {
          if (readers_hog) {
            const std::shared_lock hold(m);
            heddle::this_fiber::yield();
          } else {
            const std::lock_guard hold(m);
            heddle::this_fiber::yield();
          }
        }
      });
    }
    all.start([&] {
      for (int i = 0; i < 10; ++i) {
        const std::lock_guard hold(m);
        ++wrote;
      }
    });
    all.start([&] {
      for (int i = 0; i < 10; ++i) {
        read();
        ++turns;
      }
    });
    EXPECT_TRUE(
        within_a_second(all.rt(), [&] { return turns.load() == 10 && wrote.load() == 10; }));
    over = true;
    all.join();
  }
}

// Traps 30 and 15.
HEDDLE_TEST(SharedMutex, ItIsTheFibersAndNotTheThreads) {
  expect_that_it_is_the_fibers<heddle::shared_mutex>(rt);
  heddle::shared_mutex m;
  for (std::size_t i = 0; i < rounds(20); ++i) {
    const std::shared_lock hold(m);
    if (rt.workers() > 1) migrate();
    heddle::fiber([&] {
      EXPECT_FALSE(m.try_lock());
      EXPECT_TRUE(m.try_lock_shared());
      m.unlock_shared();
    }).join();
  }
}

HEDDLE_TEST(SharedMutex, LockingIsNoCancellationPoint) {
  expect_that_locking_is_no_cancellation_point<heddle::shared_mutex>(rt);
  heddle::shared_mutex m;
  in_cancelled_fiber(rt, [&] {
    const std::shared_lock hold(m);
    EXPECT_FALSE(cancelled_in([&] { EXPECT_TRUE(m.try_lock_shared()); }));
    m.unlock_shared();
  });
  m.lock();
  std::atomic<bool> got{false};
  auto waits = sleeping_fiber(rt, [&] {
    const std::shared_lock hold(m);
    got = true;
  });
  EXPECT_TRUE(waits.cancel());
  for (int i = 0; i < 100; ++i) heddle::this_fiber::yield();
  EXPECT_FALSE(got.load());
  m.unlock();
  waits.join();
  EXPECT_TRUE(got.load());
}

#if defined(HEDDLE_ASSERTIONS)
TEST(SharedMutex, DiesWithAMessageIfTheWrongOneUsesIt) {
  const auto in_a_fiber = [](auto use) { heddle::run({.workers = 1}, use); };
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::shared_mutex m;
                 m.lock();
                 m.lock();
               }),
               "heddle: .*shared_mutex 0x[0-9a-f]+ is locked by its owner.* in fiber [0-9]+");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::shared_mutex m;
                 m.lock();
                 m.lock_shared();
               }),
               "shared_mutex 0x[0-9a-f]+ is locked by its owner");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::shared_mutex m;
                 m.lock();
                 heddle::fiber([&] { m.unlock(); }).join();
               }),
               "shared_mutex 0x[0-9a-f]+ is unlocked by 0x[0-9a-f]+, who does not own it");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::shared_mutex m;
                 m.lock_shared();
                 m.unlock();
               }),
               "is unlocked by 0x[0-9a-f]+, who does not own it");
  EXPECT_DEATH(in_a_fiber([] {
                 heddle::shared_mutex m;
                 m.lock();
                 m.unlock_shared();
               }),
               "shared_mutex 0x[0-9a-f]+: unlock_shared.. by 0x[0-9a-f]+, who does not share it");
  EXPECT_DEATH(in_a_fiber([] {
                 auto m = std::make_unique<heddle::shared_timed_mutex>();
                 m->lock_shared();
                 m.reset();
               }),
               "shared_timed_mutex 0x[0-9a-f]+ is destroyed while it is locked");
}
#endif
