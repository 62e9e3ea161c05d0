// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/biased_lock.hpp>

#include <mutex>

namespace {

using namespace heddle_test;
using heddle::detail::biased_lock;

// A look at a private member, for the tests of what only speed would show otherwise: an explicit
// instantiation may name it.
template <auto Member>
struct key_to_bias {
  friend bool biased(const biased_lock& lock) { return (lock.*Member).load(); }
};
bool biased(const biased_lock& lock);
template struct key_to_bias<&biased_lock::bias_>;

class BiasedLock : public ::testing::Test {
 protected:
  BiasedLock() { heddle::detail::prepare_asymmetric_fences(); }

  void lock_foreign() {
    while (!lock.try_lock_foreign()) std::this_thread::yield();
  }

  biased_lock lock;
};

TEST_F(BiasedLock, LetsOneInAtATime) {
  constexpr int visitors = 3;
  const auto visits = rounds(20'000);
  const time_limit limit;
  std::atomic<std::size_t> visited{0};
  std::size_t count = 0;  // guarded by lock
  bool inside = false;    // guarded by lock
  std::atomic<int> still_visiting{visitors};
  const auto turn = [&](std::size_t i) {
    EXPECT_FALSE(inside);
    inside = true;
    ++count;
    if (i % 4096 == 0) std::this_thread::yield();  // preempted inside
    inside = false;
  };
  std::size_t owned = 0;
  std::thread owner([&] {
    for (; still_visiting > 0 || owned < 1000; ++owned) {
      lock.lock();
      turn(owned);
      lock.unlock();
    }
  });
  on_threads(visitors, [&](int) {
    for (std::size_t i = 0; i < visits && !limit.over(); ++i) {
      lock_foreign();
      turn(i);
      lock.unlock_foreign();
      ++visited;
      // Now at once, now after so long that the owner has its bias back.
      for (std::size_t pause = i % 64 == 0 ? 20'000 : i % 16; pause > 0; --pause) {
        heddle::detail::cpu_relax();
      }
    }
    --still_visiting;
  });
  owner.join();
  EXPECT_EQ(count, visited + owned);
}

TEST_F(BiasedLock, ShowsTheVisitorWhatTheOwnerWrote) {
  const auto turns = rounds(20'000);
  const time_limit limit;
  std::size_t written[2] = {};  // guarded by lock; always equal
  std::atomic<bool> over{false};
  std::thread owner([&] {
    while (!over) {
      lock.lock();
      ++written[0];
      ++written[1];
      lock.unlock();
    }
  });
  for (std::size_t i = 0; i < turns && !limit.over(); ++i) {
    lock_foreign();
    EXPECT_EQ(written[0], written[1]);
    ++written[0];
    ++written[1];
    lock.unlock_foreign();
  }
  over = true;
  owner.join();
}

TEST_F(BiasedLock, RefusesAVisitorWhileTheOwnerIsInside) {
  lock.lock();
  on_threads(2, [&](int) { EXPECT_FALSE(lock.try_lock_foreign()); });
  EXPECT_TRUE(biased(lock));  // one who gave up has changed nothing
  lock.unlock();
  on_threads(1, [&](int) {
    EXPECT_TRUE(lock.try_lock_foreign());
    lock.unlock_foreign();
  });
  // Now by way of the lock that both share.
  lock.lock();
  EXPECT_FALSE(biased(lock));
  on_threads(2, [&](int) { EXPECT_FALSE(lock.try_lock_foreign()); });
  lock.unlock();
}

TEST_F(BiasedLock, MakesTheOwnerWaitForAVisitor) {
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(200) && !limit.over(); ++i) {
    std::atomic<bool> tries{false}, visitor_left{false};
    lock_foreign();
    std::thread owner([&] {
      tries = true;
      lock.lock();
      EXPECT_TRUE(visitor_left);
      lock.unlock();
    });
    while (!tries) std::this_thread::yield();
    for (std::size_t pause = 0; pause < 100 * i; ++pause) heddle::detail::cpu_relax();
    visitor_left = true;
    lock.unlock_foreign();
    owner.join();
  }
}

TEST_F(BiasedLock, RefusesAVisitorWhileAnotherIsInside) {
  lock_foreign();
  on_threads(2, [&](int) { EXPECT_FALSE(lock.try_lock_foreign()); });
  lock.unlock_foreign();
}

TEST_F(BiasedLock, GivesTheBiasBackToAnUndisturbedOwner) {
  EXPECT_TRUE(biased(lock));
  for (int round = 0; round < 3; ++round) {
    lock_foreign();
    EXPECT_FALSE(biased(lock));
    lock.unlock_foreign();
    EXPECT_FALSE(biased(lock));
    int turns = 0;
    for (; !biased(lock) && turns < 10'000; ++turns) {
      lock.lock();
      lock.unlock();
    }
    EXPECT_TRUE(biased(lock));
    EXPECT_GT(turns, 10);  // not at once, or each visit would cost a revocation
    lock.lock();
    lock.unlock();
  }
}

}  // namespace
