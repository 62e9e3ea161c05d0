// SPDX-License-Identifier: BSL-1.0
// fairness: trap 36 for whatever can serve as a lock and has no test file that asks it: one locks
//   it again at once, in a loop; the others get it ten times within a second.
#include "sync/lockable.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/semaphore.hpp>
#include <heddle/sync/shared_mutex.hpp>
#include <heddle/sync/synchronized.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <type_traits>
#include <utility>

using namespace heddle_test;

namespace {

struct semaphore_lock {
  heddle::binary_semaphore permit{1};
  void lock() { permit.acquire(); }
  void unlock() { permit.release(); }
};

struct timed_semaphore_lock {
  heddle::binary_semaphore permit{1};
  void lock() {
    while (!permit.try_acquire_for(1h)) {
    }
  }
  void unlock() { permit.release(); }
};

/// Go's: who has sent into it owns it.
struct channel_lock {
  heddle::channel<int> slot{1};
  void lock() { EXPECT_TRUE(slot.send(1)); }
  void unlock() { EXPECT_TRUE(slot.receive()); }
};

class synchronized_lock {
 public:
  void lock() {
    auto p = value_.lock();
    held_.emplace(std::move(p));
  }
  void unlock() {
    auto p = *std::move(held_);
    held_.reset();
  }

 private:
  using value = heddle::synchronized<int>;
  value value_;
  std::optional<decltype(std::declval<value&>().lock())> held_;  // guarded by value_'s lock
};

/// Readers, or writers, lock it again at once, so that it is never free of them for long; they
/// yield inside, or never pause. Another writer and another reader come by.
template <class Mutex>
void expect_that_readers_and_writers_get_on(crew& all) {
  for (const bool readers_hog : {false, true}) {
    for (const bool yield : {false, true}) {
      Mutex m;
      std::atomic<bool> over{false};
      std::atomic<int> hogs{0}, wrote{0}, read{0};
      const auto hog = [&](auto lock_type) {
        for (bool first = true; !over.load(); first = false) {
          const typename decltype(lock_type)::type hold(m);
          hogs += first;
          if (yield) heddle::this_fiber::yield();
          for (int i = 0; i < 100; ++i) asm volatile("");
        }
      };
      for (int i = 0; i < 2; ++i) {
        all.start([&] {
          readers_hog ? hog(std::type_identity<std::shared_lock<Mutex>>())
                      : hog(std::type_identity<std::unique_lock<Mutex>>());
        });
      }
      EXPECT_TRUE(eventually([&] { return hogs.load() == 2; }));
      all.start([&] {
        for (int i = 0; i < 10; ++i) {
          const std::lock_guard hold(m);
          ++wrote;
        }
      });
      all.start([&] {
        for (int i = 0; i < 10; ++i) {
          const std::shared_lock hold(m);
          ++read;
        }
      });
      // With one worker it is the watchdog that lets the others run, where nobody yields.
      EXPECT_TRUE(
          within_a_second(all.rt(), [&] { return wrote.load() == 10 && read.load() == 10; }))
          << (readers_hog ? "readers" : "writers") << (yield ? " that yield" : "") << ": written "
          << wrote.load() << ", read " << read.load();
      over = true;
      all.join();
    }
  }
}

}  // namespace

HEDDLE_CREW_TEST(Fairness, OfABinarySemaphore) {
  expect_that_nobody_starves<semaphore_lock>(all);
  expect_that_nobody_starves<timed_semaphore_lock>(all);
}

HEDDLE_CREW_TEST(Fairness, OfAChannelThatServesAsALock) {
  expect_that_nobody_starves<channel_lock>(all);
}

HEDDLE_CREW_TEST(Fairness, OfASynchronized) { expect_that_nobody_starves<synchronized_lock>(all); }

HEDDLE_CREW_TEST(Fairness, OfASharedMutexThatIsNeverFree) {
  expect_that_readers_and_writers_get_on<heddle::shared_mutex>(all);
}

HEDDLE_CREW_TEST(Fairness, OfASharedTimedMutexThatIsNeverFree) {
  expect_that_readers_and_writers_get_on<heddle::shared_timed_mutex>(all);
}

// By way of its timed forms, those who wait have a place too.
HEDDLE_CREW_TEST(Fairness, OfLocksThatAreWaitedForWithALimit) {
  const auto expect_turns = [&](auto& m, auto lock_in_time, auto unlock) {
    std::atomic<bool> begun{false}, over{false};
    std::atomic<int> turns{0};
    all.start([&] {
      while (!over.load()) {
        const std::lock_guard hold(m);
        begun = true;
        heddle::this_fiber::yield();
      }
    });
    EXPECT_TRUE(eventually([&] { return begun.load(); }));
    all.start([&] {
      for (int i = 0; i < 10; ++i) {
        EXPECT_TRUE(lock_in_time(m));
        ++turns;
        unlock(m);
      }
    });
    EXPECT_TRUE(within_a_second(all.rt(), [&] { return turns.load() == 10; }));
    over = true;
    all.join();
  };
  const auto lock = [](auto& m) { return m.try_lock_for(1h); };
  const auto unlock = [](auto& m) { m.unlock(); };
  heddle::timed_mutex timed;
  expect_turns(timed, lock, unlock);
  heddle::recursive_timed_mutex recursive;
  expect_turns(recursive, lock, unlock);
  heddle::shared_timed_mutex shared;
  expect_turns(shared, lock, unlock);
  expect_turns(
      shared, [](auto& m) { return m.try_lock_shared_for(1h); },
      [](auto& m) { m.unlock_shared(); });
}
