// SPDX-License-Identifier: BSL-1.0
// cancel: trap 14: cancellation is thrown at cancellation points only: never through noexcept or a
//   destructor. What was swallowed is thrown again at the next point.
#include "world.hpp"

#include <heddle/sched/blocking.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <type_traits>

namespace {

using namespace heddle_test;

// What is noexcept cannot throw it without ending the process.
static_assert(noexcept(std::declval<heddle::mutex&>().lock()));
static_assert(noexcept(std::declval<heddle::mutex&>().unlock()));
static_assert(noexcept(std::declval<heddle::mutex&>().try_lock()));
static_assert(noexcept(std::declval<heddle::channel<int>&>().close()));
static_assert(noexcept(std::declval<heddle::condition_variable&>().notify_all()));
static_assert(noexcept(heddle::this_fiber::yield()));
static_assert(std::is_nothrow_destructible_v<heddle::fiber>);
static_assert(std::is_nothrow_destructible_v<heddle::runtime>);

/// Runs `body` in a fiber that has been cancelled before it starts it.
template <class F>
void in_cancelled_fiber(F body) {
  std::atomic<bool> cancelled{false};
  heddle::fiber f([&] {
    while (!cancelled.load(std::memory_order_acquire)) heddle::this_fiber::yield();
    body();
  });
  EXPECT_TRUE(f.cancel());
  cancelled.store(true, std::memory_order_release);
  f.join();
}

template <class Op>
void expect_thrown(const char* what, Op op) {
  try {
    op();
    ADD_FAILURE() << what << " is a cancellation point, and did not throw";
  } catch (const heddle::cancelled& c) {
    EXPECT_EQ(c.reason(), heddle::cancel_reason::requested) << what;
  }
}

HEDDLE_TEST(Cancel, IsThrownAgainAtEachPoint) {
  in_cancelled_fiber([] {
    heddle::channel<int> c(1);
    heddle::channel<int> full(1);
    ASSERT_EQ(full.try_send(1), heddle::channel_status::ok);
    heddle::mutex m;
    heddle::condition_variable changed;
    heddle::wait_group none;
    for (int i = 0; i < 3; ++i) {
      expect_thrown("sleep_for", [] { heddle::this_fiber::sleep_for(1h); });
      expect_thrown("sleep_for(0)", [] { heddle::this_fiber::sleep_for(0s); });
      expect_thrown("check_cancel", [] { heddle::this_fiber::check_cancel(); });
      // Also where they could complete at once.
      expect_thrown("send", [&] { c.send(1); });
      expect_thrown("receive", [&] { full.receive(); });
      expect_thrown("receive_for", [&] { full.receive_for(1s); });
      expect_thrown("send_for", [&] { c.send_for(1, 1s); });
      expect_thrown("nil", [] { heddle::channel<int>(nullptr).receive(); });
      expect_thrown("join", [] {
        heddle::fiber child([] {});
        child.join();
      });
      expect_thrown("wait_group", [&] { none.wait(); });
      expect_thrown("blocking", [] { heddle::blocking([] { FAIL() << "it had begun"; }); });
      std::unique_lock hold(m);
      expect_thrown("wait", [&] { changed.wait(hold); });
      EXPECT_TRUE(hold.owns_lock());
      expect_thrown("wait(true)", [&] { changed.wait(hold, [] { return true; }); });
      EXPECT_TRUE(hold.owns_lock());
      expect_thrown("wait_for", [&] { changed.wait_for(hold, 1h); });
      EXPECT_TRUE(hold.owns_lock());
    }
    EXPECT_EQ(c.size(), 0u) << "a cancelled send has had an effect";
    EXPECT_EQ(full.size(), 1u) << "a cancelled receive has had an effect";
  });
}

HEDDLE_TEST(Cancel, IsNotThrownByWhatIsNoPoint) {
  in_cancelled_fiber([] {
    heddle::mutex m;
    std::atomic<bool> held{false};
    heddle::fiber other([&] {
      const std::lock_guard hold(m);
      held = true;
      heddle::this_fiber::sleep_for(1ms);
    });
    EXPECT_TRUE(eventually([&] { return held.load(); }));
    m.lock();  // parks
    m.unlock();
    heddle::this_fiber::yield();
    heddle::channel<int> c(1);
    EXPECT_EQ(c.try_send(1), heddle::channel_status::ok);
    EXPECT_TRUE(c.try_receive());
    EXPECT_TRUE(c.close());
    {
      heddle::fiber child([] { heddle::this_fiber::sleep_for(1ms); });
    }  // joins
    heddle::run({.workers = 1}, [] { heddle::this_fiber::sleep_for(1ms); });
    EXPECT_EQ(heddle::runtime::current()->run([] { return 1; }), 1);
  });
}

struct parks_on_destruction {
  std::atomic<int>& count;
  heddle::mutex& m;
  ~parks_on_destruction() {
    {
      heddle::fiber child([this] { count.fetch_add(1, std::memory_order_relaxed); });
    }
    const std::lock_guard hold(m);
    heddle::this_fiber::yield();
    heddle::run({.workers = 1}, [this] { count.fetch_add(1, std::memory_order_relaxed); });
  }
};

// While `cancelled` unwinds the stack, destructors may lock, join and wait for a run.
HEDDLE_TEST(Cancel, DestructorsWorkWhileItUnwinds) {
  std::atomic<int> count{0};
  heddle::mutex m;
  for (int i = 0; i < 20; ++i) {
    heddle::fiber f([&] {
      const parks_on_destruction first{count, m};
      const parks_on_destruction second{count, m};
      heddle::this_fiber::sleep_for(1h);
    });
    if (i % 2 == 0) heddle::this_fiber::yield();
    f.cancel();
    f.join();
  }
  EXPECT_EQ(count.load() % 4, 0);
}

// A wait that is under way ends; one that cannot be cancelled goes on.
HEDDLE_TEST(Cancel, EndsWaitsThatArePointsOnly) {
  heddle::mutex m;
  m.lock();
  std::atomic<bool> locked{false};
  heddle::fiber waits_for_lock([&] {
    const std::lock_guard hold(m);
    locked.store(true, std::memory_order_relaxed);
    expect_thrown("after the lock", [] { heddle::this_fiber::check_cancel(); });
  });
  heddle::channel<int> nobody;
  heddle::fiber waits_for_value([nobody]() mutable {
    expect_thrown("while it waits", [&] { nobody.receive(); });
    expect_thrown("again", [&] { nobody.receive(); });
  });
  heddle::this_fiber::sleep_for(2ms);
  EXPECT_TRUE(waits_for_value.cancel());
  waits_for_value.join();
  EXPECT_TRUE(waits_for_lock.cancel());
  EXPECT_FALSE(waits_for_lock.cancel()) << "the second time";
  heddle::this_fiber::sleep_for(1ms);
  EXPECT_FALSE(locked.load(std::memory_order_relaxed));
  m.unlock();
  waits_for_lock.join();
  EXPECT_TRUE(locked.load(std::memory_order_relaxed));
}

// `catch (std::exception&)` must not swallow it.
HEDDLE_TEST(Cancel, IsNoStdException) {
  static_assert(!std::is_base_of_v<std::exception, heddle::cancelled>);
  bool swallowed = false;
  heddle::fiber f([&] {
    try {
      heddle::this_fiber::sleep_for(1h);
    } catch (const std::exception&) {
      swallowed = true;
    }
  });
  f.cancel();
  f.join();
  EXPECT_FALSE(swallowed);
}

}  // namespace
