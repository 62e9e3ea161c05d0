// SPDX-License-Identifier: BSL-1.0
// Trap 10 for the other mutexes, and for once_flag: short_lived_test.cpp.
#include "sync/graveyard.hpp"

#include <heddle/sync/mutex.hpp>
#include <heddle/sync/shared_mutex.hpp>

#include <atomic>
#include <chrono>
#include <concepts>
#include <mutex>

using namespace heddle_test;

namespace {

/// Locks `m` in one of its ways, by turns.
template <class Mutex>
void lock_somehow(Mutex& m, std::size_t way) {
  if constexpr (requires { m.try_lock_for(1us); }) {
    if (way % 4 == 0) {
      while (!m.try_lock_for(std::chrono::microseconds(way % 40))) heddle::this_fiber::yield();
      return;
    }
  }
  if (way % 4 == 1) {
    while (!m.try_lock()) heddle::this_fiber::yield();
  } else {
    m.lock();
  }
}

constexpr int parties = 3;

template <class Mutex>
struct guarded_by {
  Mutex m;
  int left = parties;  // guarded by m
};

/// The last one out destroys what the mutex guards, and the mutex with it.
template <class Mutex>
void bury_by_the_last_one_out(crew& all) {
  using object_type = guarded_by<Mutex>;
  const std::size_t times = rounds(8'000);
  graveyard<object_type> yard;
  start_line line(parties);
  object_type* object = nullptr;
  for (unsigned i = 0; i < parties; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      for (std::size_t n = 0; n < times; ++n) {
        if (i == 0) object = yard.make();
        line.wait();
        object_type& mine = *object;
        late();
        lock_somehow(mine.m, i + n);
        if (n % 8 != 0) late();
        const bool last = --mine.left == 0;
        mine.m.unlock();
        if (last) yard.bury(&mine);
        line.wait();
      }
    });
  }
  all.join();
}

}  // namespace

HEDDLE_CREW_TEST(ShortLived, ATimedMutexByTheLastOneOut) {
  bury_by_the_last_one_out<heddle::timed_mutex>(all);
}

HEDDLE_CREW_TEST(ShortLived, ARecursiveMutexByTheLastOneOut) {
  bury_by_the_last_one_out<heddle::recursive_timed_mutex>(all);
}

// Readers and writers by turns; every owner counts down.
HEDDLE_CREW_TEST(ShortLived, ASharedMutexByTheLastOneOut) {
  struct shared {
    heddle::shared_timed_mutex m;
    std::atomic<int> left{parties};
  };
  const std::size_t times = rounds(8'000);
  graveyard<shared> yard;
  start_line line(parties);
  shared* object = nullptr;
  for (unsigned i = 0; i < parties; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      for (std::size_t n = 0; n < times; ++n) {
        if (i == 0) object = yard.make();
        line.wait();
        shared& mine = *object;
        late();
        // Who is the last owner is known under a writer's lock only: a reader locks it once more.
        if ((i + n / 3) % 3 != 0) {
          if (n % 4 == 0) {
            while (!mine.m.try_lock_shared_for(std::chrono::microseconds(n % 40))) {
              heddle::this_fiber::yield();
            }
          } else {
            mine.m.lock_shared();
          }
          if (n % 8 != 0) late();
          mine.m.unlock_shared();
        }
        lock_somehow(mine.m, i + n);
        const bool last = mine.left.fetch_sub(1) == 1;
        mine.m.unlock();
        if (last) yard.bury(&mine);
        line.wait();
      }
    });
  }
  all.join();
}

// The next owner, a writer or a reader, buries it while the one before is on its way out.
HEDDLE_CREW_TEST(ShortLived, ASharedMutexByItsNextOwner) {
  struct guarded {
    heddle::shared_mutex m;
    std::atomic<bool> ready{false};  // set by an owner
  };
  for (const bool writer_first : {false, true}) {
    bury_when_released<guarded>(
        all, rounds(5'000), make_default,
        [&](auto& object) {
          for (bool over = false; !over;) {
            writer_first ? object.m.lock_shared() : object.m.lock();
            over = object.ready.load();
            if (!over) heddle::this_fiber::yield();
            writer_first ? object.m.unlock_shared() : object.m.unlock();
          }
        },
        [&](auto& object) {
          writer_first ? object.m.lock() : object.m.lock_shared();
          object.ready = true;
          writer_first ? object.m.unlock() : object.m.unlock_shared();
        });
  }
}

// Whoever sees that the function has returned destroys the flag, while its caller is on its way
// out.
HEDDLE_CREW_TEST(ShortLived, AOnceFlagByOneWhoWaited) {
  struct guarded {
    heddle::once_flag flag;
    std::atomic<bool> runs{false};
  };
  std::atomic<bool> may_end{false};
  bury_when_released<guarded>(
      all, rounds(14'000),
      [&](auto& yard) {
        may_end = false;
        return yard.make();
      },
      [&](auto& object) {
        while (!object.runs.load()) {
          heddle::this_fiber::yield();
          std::this_thread::yield();
        }
        may_end = true;
        heddle::call_once(object.flag, [] { ADD_FAILURE() << "called twice"; });
      },
      [&](auto& object) {
        heddle::call_once(object.flag, [&] {
          object.runs = true;
          while (!may_end.load()) {
            heddle::this_fiber::yield();
            std::this_thread::yield();
          }
        });
      });
}
