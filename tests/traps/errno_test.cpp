// SPDX-License-Identifier: BSL-1.0
// errno: trap 2: a compiler may keep errno's address over a migration, so nothing of ours reports
//   through it; and what a fiber finds there afterwards is nothing of another fiber's.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/sched/blocking.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/wait_group.hpp>

#include <cerrno>
#include <mutex>

namespace {

using namespace heddle_test;

// Out of line, so that the address is asked for anew each time.
[[gnu::noinline]] int read_errno() {
  asm volatile("");
  return errno;
}
[[gnu::noinline]] void write_errno(int value) {
  asm volatile("");
  errno = value;
}

constexpr int mine = 4'711;
constexpr int theirs = 666;

/// Leaves its mark in errno of every worker that it comes to.
class marker_fibers {
 public:
  explicit marker_fibers(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      all_.go([this] {
        while (!over_.load(std::memory_order_relaxed)) {
          write_errno(theirs);
          heddle::this_fiber::sleep_for(20us);
          write_errno(theirs);
          heddle::this_fiber::yield();
        }
      });
    }
  }
  ~marker_fibers() {
    over_.store(true, std::memory_order_relaxed);
    all_.wait();
  }

 private:
  std::atomic<bool> over_{false};
  heddle::wait_group all_;
};

// Whoever wakes the caller in `op` must yield first: or it and the caller would pass the turn to
// each other, and who is to hold up their thread never get it.
template <class Op>
void expect_errno_kept(heddle::runtime& rt, Op op) {
  marker_fibers others(2 * rt.workers());
  for (std::size_t i = 0; i < rounds(50); ++i) {
    const auto once = [&] {
      write_errno(mine);
      op();
      const int after = read_errno();
      ASSERT_NE(after, theirs) << "another fiber's errno";
    };
    once();
    if (rt.workers() > 1) migrate_by(once);
  }
}

HEDDLE_TEST(Errno, OfAnotherFiberIsNotSeenAfterAYield) {
  expect_errno_kept(rt, [] { heddle::this_fiber::yield(); });
}
HEDDLE_TEST(Errno, OfAnotherFiberIsNotSeenAfterASleep) {
  expect_errno_kept(rt, [] { heddle::this_fiber::sleep_for(10us); });
}
HEDDLE_TEST(Errno, OfAnotherFiberIsNotSeenAfterAReceive) {
  expect_errno_kept(rt, [] {
    heddle::channel<int> c;
    heddle::go([c] {
      heddle::this_fiber::yield();
      write_errno(theirs);
      c.send(1);
      write_errno(theirs);
    });
    ASSERT_EQ(c.receive(), 1);
  });
}
HEDDLE_TEST(Errno, OfAnotherFiberIsNotSeenAfterAJoin) {
  expect_errno_kept(rt, [] {
    heddle::fiber([] {
      heddle::this_fiber::yield();
      write_errno(theirs);
    }).join();
  });
}
HEDDLE_TEST(Errno, OfAnotherFiberIsNotSeenAfterAMutex) {
  expect_errno_kept(rt, [] {
    heddle::mutex m;
    m.lock();
    heddle::fiber other([&m] {
      const std::lock_guard hold(m);
      write_errno(theirs);
    });
    heddle::this_fiber::yield();
    m.unlock();
    other.join();
  });
}
HEDDLE_TEST(Errno, OfABlockingCallIsNotSeen) {
  expect_errno_kept(rt, [] { heddle::blocking([] { write_errno(theirs); }); });
}

// A new fiber has none either.
HEDDLE_TEST(Errno, OfAnotherFiberIsNotSeenByANewOne) {
  heddle::wait_group all;
  for (int i = 0; i < 100; ++i) {
    all.go([] {
      EXPECT_NE(read_errno(), theirs);
      write_errno(theirs);
    });
  }
  all.wait();
  EXPECT_NE(read_errno(), theirs);
}

}  // namespace
