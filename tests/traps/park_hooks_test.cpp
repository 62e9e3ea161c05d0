// SPDX-License-Identifier: BSL-1.0
// park: trap 8: a fiber is woken after it has said that it waits, and before it is off its stack.
//   The hook `stretch_park` makes that gap wide while wakers on other workers are at it. A fiber
//   that was resumed on the stack that it still stands on would crash, or count one turn twice.
#include "world.hpp"

#include <heddle/base/atomic.hpp>
#include <heddle/base/chaos.hpp>
#include <heddle/sched/blocking.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/wait_group.hpp>

#include <sched.h>

#include <atomic>
#include <mutex>

namespace {

using namespace heddle_test;

std::atomic<std::uint64_t> stretched{0};

/// Mostly some microseconds; now and then so long that others surely run meanwhile.
void stretch() noexcept {
  const auto n = stretched.fetch_add(1, std::memory_order_relaxed);
  if (n % 64 == 0) {
    ::sched_yield();
  } else {
    for (std::uint64_t i = 0; i < n % 32 * 4; ++i) heddle::detail::cpu_relax();
  }
}

class with_stretched_park {
 public:
  with_stretched_park() { heddle::detail::stretch_park = &stretch; }
  ~with_stretched_park() { heddle::detail::stretch_park = nullptr; }
};

/// Counts the turns of one fiber, and notices two at once.
class turnstile {
 public:
  void enter() { EXPECT_FALSE(inside_.exchange(true, std::memory_order_acquire)); }
  void leave() { EXPECT_TRUE(inside_.exchange(false, std::memory_order_release)); }

 private:
  std::atomic<bool> inside_{false};
};

/// `op(i)` in each of several fibers, many times; each return from it is one turn.
template <class Op>
void expect_each_wait_returns_once(heddle::runtime& owner, int fibers, std::size_t times, Op op) {
  const auto before = stretched.load();
  std::atomic<std::uint64_t> turns{0};
  heddle::wait_group all;
  for (int f = 0; f < fibers; ++f) {
    all.go([&, f] {
      turnstile mine;
      for (std::size_t i = 0; i < times; ++i) {
        op(f);
        mine.enter();
        turns.fetch_add(1, std::memory_order_relaxed);
        mine.leave();
      }
    });
  }
  all.wait();
  EXPECT_EQ(turns.load(), static_cast<std::uint64_t>(fibers) * times);
  EXPECT_GT(stretched.load(), before) << "the hook was not called";
  static_cast<void>(owner);
}

// The runtimes must not outlive the hook: it is read without a lock.
template <class Body>
void in_worlds(Body body) {
  const with_stretched_park hook;
  for (const unsigned workers : {1u, 2u, 8u}) {
    heddle::runtime rt({.workers = workers});
    rt.run([&] { body(rt); });
    expect_nothing_left(rt);
  }
}

TEST(Park, AReceiverThatIsWokenEarlyRunsOnce) {
  in_worlds([](heddle::runtime& rt) {
    heddle::channel<int> c;
    heddle::wait_group senders;
    const std::size_t times = rounds(3'000);
    for (int s = 0; s < 4; ++s) {
      senders.go([&c, times] {
        for (std::size_t i = 0; i < times; ++i) ASSERT_TRUE(c.send(1));
      });
    }
    expect_each_wait_returns_once(rt, 4, times, [&c](int) { ASSERT_EQ(c.receive(), 1); });
    senders.wait();
  });
}

TEST(Park, AMutexWaiterThatIsWokenEarlyRunsOnce) {
  in_worlds([](heddle::runtime& rt) {
    heddle::mutex m;
    int guarded = 0;
    expect_each_wait_returns_once(rt, 8, rounds(2'000), [&](int) {
      const std::lock_guard hold(m);
      ++guarded;
      if (guarded % 4 == 0) heddle::this_fiber::yield();
    });
    EXPECT_EQ(guarded, static_cast<int>(8 * rounds(2'000)));
  });
}

TEST(Park, ASleeperThatIsWokenEarlyRunsOnce) {
  in_worlds([](heddle::runtime& rt) {
    expect_each_wait_returns_once(rt, 16, rounds(300), [](int f) {
      heddle::this_fiber::sleep_for(std::chrono::nanoseconds(f * 3'000));
    });
  });
}

TEST(Park, AConditionWaiterThatIsWokenEarlyRunsOnce) {
  in_worlds([](heddle::runtime& rt) {
    heddle::mutex m;
    heddle::condition_variable changed;
    int turn = 0;
    expect_each_wait_returns_once(rt, 4, rounds(1'000), [&](int f) {
      std::unique_lock hold(m);
      changed.wait(hold, [&] { return turn == f; });
      turn = (turn + 1) % 4;
      changed.notify_all();
    });
  });
}

TEST(Park, AJoinerThatIsWokenEarlyRunsOnce) {
  in_worlds([](heddle::runtime& rt) {
    expect_each_wait_returns_once(rt, 4, rounds(1'000), [](int) { heddle::fiber([] {}).join(); });
  });
}

TEST(Park, AWaitThatIsCancelledEarlyEndsOnce) {
  in_worlds([](heddle::runtime& rt) {
    expect_each_wait_returns_once(rt, 4, rounds(500), [](int) {
      std::atomic<int> ends{0};
      heddle::fiber f([&ends] {
        try {
          heddle::channel<int>{}.receive();
        } catch (const heddle::cancelled&) {
          ends.fetch_add(1, std::memory_order_relaxed);
        }
      });
      heddle::this_fiber::yield();
      f.cancel();
      f.join();
      ASSERT_EQ(ends.load(), 1);
    });
  });
}

TEST(Park, ABlockingCallThatEndsEarlyReturnsOnce) {
  in_worlds([](heddle::runtime& rt) {
    expect_each_wait_returns_once(rt, 4, rounds(300),
                                  [](int f) { ASSERT_EQ(heddle::blocking([f] { return f; }), f); });
  });
}

TEST(Park, AWaiterOfAnotherRuntimeThatIsWokenEarlyRunsOnce) {
  in_worlds([](heddle::runtime& rt) {
    heddle::runtime other({.workers = 2});
    heddle::channel<int> there, back;
    other.go([there, back]() mutable {
      for (int v : there) back.send(v + 1);
    });
    expect_each_wait_returns_once(rt, 1, rounds(3'000), [&](int) {
      ASSERT_TRUE(there.send(1));
      ASSERT_EQ(back.receive(), 2);
    });
    there.close();
  });
}

}  // namespace
