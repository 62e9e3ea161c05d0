// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/sticky_lock.hpp>

#include <array>
#include <csignal>
#include <latch>
#include <mutex>

namespace {

using namespace heddle_test;
using heddle::detail::grip_of_thread;
using heddle::detail::sticky_lock;

// A look at a private member, for the tests of what only speed would show otherwise: an explicit
// instantiation may name it.
template <auto Member>
struct key_to_word {
  friend bool sticks(const sticky_lock& lock) { return (lock.*Member).load() % 2 != 0; }
};
bool sticks(const sticky_lock& lock);
template struct key_to_word<&sticky_lock::word_>;

constexpr int often = 100;  // so often taken in a row it sticks, unless its grip rests

void take(sticky_lock& lock, int times) {
  for (int i = 0; i < times; ++i) {
    lock.lock();
    lock.unlock();
  }
}

class StickyLock : public ::testing::Test {
 protected:
  void SetUp() override {
    heddle::detail::prepare_asymmetric_fences();
    // Nothing sticks where a kernel, or a sandbox, refuses that.
    if (!heddle::detail::fences_are_asymmetric) GTEST_SKIP() << "no membarrier";
  }

  sticky_lock lock;
};

TEST_F(StickyLock, IsSmall) { EXPECT_EQ(sizeof(sticky_lock), 8u); }

TEST_F(StickyLock, SticksToAThreadThatTakesItOftenInARow) {
  const grip_of_thread mine;
  take(lock, 10);
  EXPECT_FALSE(sticks(lock));  // what few use does not
  take(lock, often);
  EXPECT_TRUE(sticks(lock));
  take(lock, often);
  EXPECT_TRUE(sticks(lock));
}

TEST_F(StickyLock, SticksToNobodyWithoutAGrip) {
  take(lock, 10 * often);
  EXPECT_FALSE(sticks(lock));
}

TEST_F(StickyLock, SticksToNobodyWhileTwoTakeTurns) {
  const grip_of_thread mine;
  std::atomic<int> turn{0};
  std::thread other([&] {
    const grip_of_thread its;
    for (int i = 0; i < often; ++i) {
      while (turn != 2 * i + 1) std::this_thread::yield();
      take(lock, 1);
      ++turn;
    }
  });
  for (int i = 0; i < often; ++i) {
    while (turn != 2 * i) std::this_thread::yield();
    take(lock, 1);
    EXPECT_FALSE(sticks(lock));
    ++turn;
  }
  other.join();
}

TEST_F(StickyLock, IsParted) {
  const grip_of_thread mine;
  take(lock, often);
  ASSERT_TRUE(sticks(lock));
  on_threads(1, [&](int) { take(lock, 1); });
  EXPECT_FALSE(sticks(lock));
}

// One fence frees all.
TEST_F(StickyLock, LosesItsGripWithAllOthers) {
  const grip_of_thread mine;
  std::array<sticky_lock, 3> locks;
  for (sticky_lock& each : locks) take(each, often);
  on_threads(1, [&](int) { take(locks[0], 1); });
  for (sticky_lock& each : locks) {
    take(each, 1);
    EXPECT_FALSE(sticks(each));
  }
}

// Else each visit would cost a fence.
TEST_F(StickyLock, DoesNotStickAgainAtOnce) {
  const grip_of_thread mine;
  take(lock, often);
  on_threads(1, [&](int) { take(lock, 1); });
  int more = 0;
  for (; !sticks(lock); more += often) take(lock, often);
  if (!chaotic()) {
    EXPECT_GT(more, 100 * often);
  }
}

TEST_F(StickyLock, IsFreeWhenItsThreadHasEnded) {
  int count = 0;  // guarded by lock
  for (int i = 0; i < 10; ++i) {
    on_threads(1, [&](int) {
      const grip_of_thread its;
      for (int k = 0; k < often; ++k) {
        const std::lock_guard hold(lock);
        ++count;
      }
      EXPECT_TRUE(sticks(lock));
    });
  }
  const std::lock_guard hold(lock);
  EXPECT_EQ(count, 10 * often);
}

TEST_F(StickyLock, SticksToAThreadAgainWhoseGripAnotherHad) {
  for (int i = 0; i < 3; ++i) {
    const grip_of_thread mine;
    take(lock, often);
    EXPECT_TRUE(sticks(lock));
  }
}

TEST_F(StickyLock, RefusesWhileSomebodyIsInside) {
  const grip_of_thread mine;
  for (int i = 0; i < 2; ++i) {  // it sticks, and it does not
    lock.lock();
    EXPECT_FALSE(lock.try_lock());
    on_threads(1, [&](int) { EXPECT_FALSE(lock.try_lock()); });
    lock.unlock();
    ASSERT_TRUE(lock.try_lock());
    lock.unlock();
    on_threads(1, [&](int) {
      ASSERT_TRUE(lock.try_lock());
      lock.unlock();
    });
    take(lock, often);
  }
}

TEST_F(StickyLock, LetsOneInAtATime) {
  constexpr int visitors = 2;
  const auto visits = rounds(50'000);
  const time_limit limit;
  std::atomic<std::size_t> visited{0};
  std::atomic<int> still_visiting{visitors};
  std::size_t count[2] = {};  // guarded by lock; always equal
  const auto turn = [&](bool preempted) {
    EXPECT_EQ(count[0], count[1]);
    ++count[0];
    if (preempted) std::this_thread::yield();
    ++count[1];
  };
  std::atomic<std::size_t> parted{0};
  std::size_t owned = 0;
  std::thread owner([&] {
    for (std::size_t i = 0; still_visiting > 0; ++i) {
      const grip_of_thread its;  // a new one has not to rest
      for (int k = 0; k < 4 * often; ++k, ++owned) {
        lock.lock();
        turn(i % 64 == 0 && k == 3 * often);
        lock.unlock();
      }
    }
  });
  on_threads(visitors, [&](int me) {
    for (std::size_t i = 0; i < visits && !limit.over(); ++i, ++visited) {
      // Mostly when it sticks.
      for (int looks = 0; looks < 1'000 && !sticks(lock); ++looks) heddle::detail::cpu_relax();
      if (sticks(lock)) ++parted;
      for (std::size_t pause = i % 32; pause > 0; --pause) heddle::detail::cpu_relax();
      if (me == 0 || !lock.try_lock()) lock.lock();
      turn(i % 512 == 0);
      lock.unlock();
    }
    --still_visiting;
  });
  owner.join();
  EXPECT_EQ(count[0], visited + owned);
  EXPECT_GT(parted, 0u);
}

// Where a thread that a signal stops stands still, unless it is about its grip.
std::atomic<bool> takes_locks{false}, came{false}, stands{false}, may_go_on{false};
void stand_still(int) {
  stands = takes_locks.load();
  came = true;
  const time_limit limit;
  while (stands && !may_go_on && !limit.over()) heddle::detail::cpu_relax();
  stands = false;
}

// Others part the lock from a thread that stands still anywhere, also between looking whether it
// sticks and going in; take it so often that it would stick to them; and are inside when that
// thread goes on.
TEST_F(StickyLock, LetsOneInAtATimeWhereverItsThreadStops) {
  const time_limit limit;
  ::signal(SIGURG, stand_still);
  std::atomic<bool> over{false};
  std::size_t count[2] = {};  // guarded by lock; always equal
  std::thread owner([&] {
    while (!over) {
      const grip_of_thread its;  // a new one has not to rest
      takes_locks = true;
      for (int k = 0; k < 1'000; ++k) {
        lock.lock();
        EXPECT_EQ(count[0], count[1]);
        ++count[0];
        asm volatile("" : : : "memory");
        ++count[1];
        lock.unlock();
      }
      takes_locks = false;
    }
  });
  std::size_t stood = 0;
  for (std::size_t i = 0; i < rounds(100'000) && !limit.over(); ++i) {
    const grip_of_thread mine;
    for (int looks = 0; looks < 1'000 && !sticks(lock); ++looks) heddle::detail::cpu_relax();
    came = may_go_on = false;
    ::pthread_kill(owner.native_handle(), SIGURG);
    while (!came) heddle::detail::cpu_relax();
    // Not if it stands inside.
    if (!stands || !lock.try_lock()) {
      may_go_on = true;
      while (stands) heddle::detail::cpu_relax();
      continue;
    }
    ++stood;
    lock.unlock();
    take(lock, i % 2 == 0 ? 1 : often);
    lock.lock();
    ++count[0];
    may_go_on = true;
    while (stands) heddle::detail::cpu_relax();
    for (int pause = 0; pause < 1'000; ++pause) heddle::detail::cpu_relax();
    ++count[1];
    lock.unlock();
  }
  over = true;
  owner.join();
  ::signal(SIGURG, SIG_DFL);
  EXPECT_GT(stood, 0u);
}

// Who sleeps holds nobody up.
TEST_F(StickyLock, SticksToAnotherWhileTheLastOneSleeps) {
  std::atomic<int> step{0};
  std::thread last([&] {
    const grip_of_thread its;
    take(lock, often);
    EXPECT_TRUE(sticks(lock));
    step = 1;
    while (step != 2) std::this_thread::yield();  // awake, but it takes no lock
    const heddle::detail::grip_at_rest asleep;
    step = 3;
    while (step != 4) std::this_thread::yield();
  });
  while (step != 1) std::this_thread::yield();
  const grip_of_thread mine;
  take(lock, 10 * often);
  EXPECT_FALSE(sticks(lock));
  step = 2;
  while (step != 3) std::this_thread::yield();
  take(lock, often);
  EXPECT_TRUE(sticks(lock));
  step = 4;
  last.join();
}

// More threads than grips: the others do without.
TEST_F(StickyLock, WorksForMoreThreadsThanThereAreGrips) {
  constexpr int threads = 300;
  std::latch all_there(threads);
  int count = 0;  // guarded by lock
  on_threads(threads, [&](int) {
    const grip_of_thread mine;
    all_there.arrive_and_wait();
    for (int i = 0; i < often; ++i) {
      const std::lock_guard hold(lock);
      ++count;
    }
  });
  EXPECT_EQ(count, threads * often);
}

}  // namespace
