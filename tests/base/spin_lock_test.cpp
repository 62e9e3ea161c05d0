// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/spin_lock.hpp>

#include <cerrno>
#include <mutex>

namespace {

using heddle::detail::backoff;
using heddle::detail::patience;
using heddle::detail::spin_lock;
using namespace heddle_test;

TEST(SpinLock, LetsOneInAtATime) {
  spin_lock lock;
  constexpr int threads = 4;
  const auto turns = rounds(50'000);
  const time_limit limit;
  std::atomic<std::size_t> turned{0};
  std::size_t count = 0;  // guarded by lock
  bool inside = false;    // guarded by lock
  on_threads(threads, [&](int) {
    for (std::size_t i = 0; i < turns && !limit.over(); ++i, ++turned) {
      const std::lock_guard hold(lock);
      EXPECT_FALSE(inside);
      inside = true;
      ++count;
      if (i % 1000 == 0) std::this_thread::yield();  // preempted inside
      inside = false;
    }
  });
  EXPECT_EQ(count, turned);
}

TEST(SpinLock, RefusesWhileHeldAndSaysSo) {
  spin_lock lock;
  EXPECT_FALSE(lock.held());
  EXPECT_TRUE(lock.try_lock());
  EXPECT_TRUE(lock.held());
  EXPECT_FALSE(lock.try_lock());
  lock.unlock();
  EXPECT_FALSE(lock.held());
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST(SpinLock, IsGotByWhoWaitsLong) {
  spin_lock lock;
  std::atomic<bool> waits{false}, opened{false};
  lock.lock();
  std::thread other([&] {
    waits = true;
    lock.lock();
    EXPECT_TRUE(opened);
    lock.unlock();
  });
  EXPECT_TRUE(eventually([&] { return waits.load(); }));
  backoff wait;
  for (int i = 0; i < 220; ++i) wait.pause();  // the other one's backoff has come to its naps, too
  opened = true;
  lock.unlock();
  other.join();
}

TEST(Backoff, LeavesErrnoAlone) {
  errno = 4711;
  backoff wait;
  for (int i = 0; i < 205; ++i) wait.pause();
  EXPECT_EQ(errno, 4711);
}

TEST(Patience, GrowsFastAndShrinksSlowlyWithinBounds) {
  patience p;
  EXPECT_EQ(p.begin().turns(), 0u);
  p.learn(false);
  EXPECT_EQ(p.begin().turns(), 0u);
  for (const unsigned turns : {4u, 7u, 7u}) {
    p.learn(true);
    EXPECT_EQ(p.begin().turns(), turns);
  }
  for (unsigned left = 7; left-- > 0;) {
    p.learn(false);
    EXPECT_EQ(p.begin().turns(), left);
  }
}

}  // namespace
