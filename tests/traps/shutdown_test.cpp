// SPDX-License-Identifier: BSL-1.0
// shutdown: trap 39: a runtime that is destroyed under load: fibers queued, running, parked,
//   sleeping, waiting for a stack. Each callable that was made is destroyed once, and no thread is
//   left.
#include "world.hpp"

#include <heddle/base/atomic.hpp>
#include <heddle/sched/blocking.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using namespace heddle_test;

std::atomic<int> alive{0};
std::atomic<int> made{0};

/// A capture that counts itself.
class counted {
 public:
  counted() noexcept { count(); }
  counted(const counted&) noexcept { count(); }
  ~counted() {
    EXPECT_EQ(self_, this) << "destroyed twice, or never made";
    self_ = nullptr;
    alive.fetch_sub(1, std::memory_order_relaxed);
  }
  counted& operator=(const counted&) = delete;

 private:
  void count() noexcept {
    alive.fetch_add(1, std::memory_order_relaxed);
    made.fetch_add(1, std::memory_order_relaxed);
  }
  counted* self_ = this;
};

std::size_t threads_now() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

/// Starts fibers in every state; the runtime is destroyed by whoever called.
void load(heddle::runtime& rt, int of_each) {
  struct shared {
    heddle::channel<int> nobody;
    heddle::mutex m;
    heddle::condition_variable changed;
    heddle::wait_group never;
  };
  const auto objects = std::make_shared<shared>();
  objects->never.add(1);
  const auto start = [&](auto body) {
    for (int i = 0; i < of_each; ++i) {
      rt.go([objects, body, own = counted{}]() mutable {
        const counted local;
        body(*objects);
      });
    }
  };
  start([](shared& s) { s.nobody.receive(); });
  start([](shared& s) { s.nobody.receive_for(1h); });
  start([](shared&) { heddle::channel<int>{}.send(1); });
  start([](shared&) { heddle::this_fiber::sleep_for(1h); });
  start([](shared& s) { s.never.wait(); });
  start([](shared& s) {
    std::unique_lock hold(s.m);
    for (;;) s.changed.wait(hold);
  });
  start([](shared& s) {
    for (;;) {
      const std::lock_guard hold(s.m);
      heddle::this_fiber::yield();
      heddle::this_fiber::check_cancel();
    }
  });
  start([](shared&) {
    for (;;) {
      heddle::fiber child([own = counted{}] { heddle::this_fiber::yield(); });
      child.join();
    }
  });
  start([](shared&) {
    for (;;)
      heddle::go([own = counted{}] { heddle::this_fiber::yield(); }),
          heddle::this_fiber::sleep_for(100us);
  });
  start([](shared&) { heddle::fiber([] { heddle::this_fiber::sleep_for(1h); }).join(); });
  start([](shared&) {
    heddle::blocking([] { std::this_thread::sleep_for(1ms); });
    heddle::this_fiber::sleep_for(1h);
  });
  start([](shared&) {
    for (int i = 0; i < 20; ++i) heddle::detail::cpu_relax();
  });
}

void expect_all_gone(std::size_t threads_before) {
  EXPECT_EQ(alive.load(), 0) << "of " << made.load() << " callables";
  EXPECT_TRUE(eventually([&] { return threads_now() <= threads_before; }))
      << threads_now() << " threads, " << threads_before << " before";
}

void destroy_under_load(unsigned workers, int of_each, std::chrono::microseconds after) {
  const std::size_t before = threads_now();
  {
    heddle::runtime rt({.workers = workers});
    load(rt, of_each);
    std::this_thread::sleep_for(after);
  }
  expect_all_gone(before);
}

TEST(Shutdown, AtOnceLosesNothing) {
  for (std::size_t i = 0; i < rounds(20); ++i) {
    for (const unsigned workers : {1u, 2u, 8u}) destroy_under_load(workers, 10, 0us);
  }
}

// How far the fibers have come is chance; so at several times.
TEST(Shutdown, AfterAWhileLosesNothing) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    for (int i = 1; i <= static_cast<int>(rounds(20)); ++i) {
      destroy_under_load(workers, 10, i * i * 50us);
    }
  }
}

TEST(Shutdown, OfThousandsOfFibersLosesNothing) {
  for (const unsigned workers : {1u, 2u}) {
    destroy_under_load(workers, static_cast<int>(rounds(1'000)), 5ms);
  }
}

// Fibers may be started while it ends, by its own fibers and by other threads; they are cancelled
// from the start, and waited for too.
TEST(Shutdown, WhileOthersStartFibersLosesNothing) {
  for (std::size_t i = 0; i < rounds(20); ++i) {
    const std::size_t before = threads_now();
    {
      heddle::runtime other({.workers = 1});
      heddle::runtime rt({.workers = 2});
      std::atomic<bool> over{false};
      // A fiber of the runtime that ends holds it open until the starters are through.
      rt.go([&over, own = counted{}] {
        while (!over.load(std::memory_order_acquire)) heddle::this_fiber::yield();
      });
      const auto starts = [&rt] {
        for (int k = 0; k < 300; ++k) {
          rt.go([own = counted{}] { heddle::this_fiber::sleep_for(1h); });
        }
      };
      std::thread thread([&] {
        starts();
        other.run(starts);
        over.store(true, std::memory_order_release);
      });
      thread.detach();
    }
    expect_all_gone(before);
  }
}

TEST(Shutdown, OfARuntimeThatNeverRanAnything) {
  const std::size_t before = threads_now();
  for (int i = 0; i < 50; ++i) heddle::runtime rt({.workers = 1 + static_cast<unsigned>(i) % 8});
  expect_all_gone(before);
}

// From a fiber of another runtime, which goes on meanwhile.
TEST(Shutdown, FromAFiberOfAnotherRuntimeDoesNotStopThatOne) {
  const std::size_t before = threads_now();
  {
    heddle::runtime outer({.workers = 1});
    outer.run([] {
      auto inner = std::make_unique<heddle::runtime>(heddle::options{.workers = 2});
      load(*inner, 10);
      std::atomic<bool> release{false};
      std::atomic<int> turns{0};
      inner->go([&release] {
        while (!release.load(std::memory_order_acquire)) heddle::this_fiber::yield();
      });
      heddle::fiber neighbour([&] {
        for (int i = 0; i < 1'000; ++i) {
          turns.fetch_add(1, std::memory_order_relaxed);
          heddle::this_fiber::yield();
        }
        release.store(true, std::memory_order_release);
      });
      inner.reset();  // waits for what waits for the neighbour
      EXPECT_EQ(turns.load(), 1'000);
    });
  }
  expect_all_gone(before);
}

}  // namespace
