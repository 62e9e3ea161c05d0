// SPDX-License-Identifier: BSL-1.0
// hog: trap 28: a fiber that blocks its OS thread, or loops for ever, delays its neighbours by
//   milliseconds; after a second it is named on stderr, once.
#include "world.hpp"

#include <heddle/base/atomic.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/wait_group.hpp>

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>

namespace {

using namespace heddle_test;
using std::chrono::steady_clock;

const auto bound = 100ms * slowness();

void spin_until(const std::atomic<bool>& done) {
  while (!done.load(std::memory_order_acquire)) heddle::detail::cpu_relax();
}
void block_until(const std::atomic<bool>& done) {
  while (!done.load(std::memory_order_acquire)) {
    const timespec nap{0, 1'000'000};
    ::nanosleep(&nap, nullptr);
  }
}
using hog_fn = void (*)(const std::atomic<bool>&);

/// Expects that `f()` takes less than 100 ms for each worker, of which one after the other is lost
/// to a hog. Tried several times: other processes may want this machine's processors too.
template <class F>
void expect_in_time(const heddle::runtime& rt, F f) {
  std::chrono::nanoseconds least = 1h;
  for (int attempt = 0; attempt < 5 && least >= bound * rt.workers(); ++attempt) {
    const auto begin = steady_clock::now();
    f();
    least = std::min<std::chrono::nanoseconds>(least, steady_clock::now() - begin);
  }
  EXPECT_LT(least, bound * rt.workers());
}

/// Holds up every worker while each kind of neighbour wants to go on.
void hog_all_workers(heddle::runtime& rt, hog_fn hog) {
  std::atomic<bool> done{false};
  std::atomic<unsigned> started{0};
  heddle::channel<int> in, out;
  heddle::fiber receiver([in, out]() mutable {
    for (int v : in) out.send(v + 1);
  });
  heddle::wait_group hogs;
  for (unsigned i = 0; i < rt.workers(); ++i) {
    hogs.go([&] {
      started.fetch_add(1, std::memory_order_relaxed);
      hog(done);
    });
  }
  // Queued; sleeping; woken.
  std::atomic<int> went_on{0};
  heddle::wait_group neighbours;
  neighbours.go([&] { went_on.fetch_add(1, std::memory_order_relaxed); });
  neighbours.go([&] {
    heddle::this_fiber::sleep_for(1ms);
    went_on.fetch_add(1, std::memory_order_relaxed);
  });
  neighbours.go([&] {
    in.send(1);
    EXPECT_EQ(out.receive(), 2);
    went_on.fetch_add(1, std::memory_order_relaxed);
  });
  neighbours.wait();
  EXPECT_EQ(went_on.load(), 3);
  done.store(true, std::memory_order_release);
  hogs.wait();
  in.close();
}

HEDDLE_TEST(Hog, AnEndlessLoopDelaysItsNeighboursByMilliseconds) {
  if (rt.workers() > 2) return;  // more loops than this machine may have processors
  for (int i = 0; i < 3; ++i) expect_in_time(rt, [&] { hog_all_workers(rt, &spin_until); });
}

HEDDLE_TEST(Hog, ABlockingCallDelaysItsNeighboursByMilliseconds) {
  for (int i = 0; i < 3; ++i) expect_in_time(rt, [&] { hog_all_workers(rt, &block_until); });
}

HEDDLE_THREAD_TEST(Hog, DelaysWhatComesFromOutsideByMilliseconds) {
  const auto done = std::make_shared<std::atomic<bool>>(false);
  for (unsigned i = 0; i < rt.workers(); ++i) rt.go([done] { block_until(*done); });
  for (int i = 0; i < 5; ++i) {
    expect_in_time(rt, [&] { rt.run([] { heddle::this_fiber::sleep_for(1ms); }); });
  }
  done->store(true, std::memory_order_release);
}

// The watchdog sleeps while nothing runs. A worker that never slept itself, since the next work
// came while it still searched, must rouse it all the same.
HEDDLE_THREAD_TEST(Hog, IsNoticedOnAWorkerThatWasStillSearching) {
  if (rt.workers() > 2) return;
  for (std::size_t i = 0; i < rounds(10); ++i) {
    const auto until = steady_clock::now() + 25ms;
    while (steady_clock::now() < until) rt.run([] {});
    const auto done = std::make_shared<std::atomic<bool>>(false);
    for (unsigned k = 0; k < rt.workers(); ++k) rt.go([done] { spin_until(*done); });
    rt.run([] {});  // hangs if the watchdog sleeps
    done->store(true, std::memory_order_release);
  }
}

HEDDLE_THREAD_TEST(Hog, IsCounted) {
  if (rt.workers() > 2) return;
  const auto before = rt.stats().long_runs;
  // Where the hogs start late, the neighbours may be through by then.
  EXPECT_TRUE(eventually([&] {
    rt.run([&rt] { hog_all_workers(rt, &spin_until); });
    return rt.stats().long_runs > before;
  }));
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(Hog, IsNamedAfterASecondOnce) {
  heddle::runtime rt({.workers = 1});
  testing::internal::CaptureStderr();
  rt.run([] {
    std::atomic<bool> done{false};
    heddle::fiber hog({.name = "greedy"}, [&] { spin_until(done); });
    heddle::this_fiber::sleep_for(700ms);
    // Others wait all the while.
    heddle::wait_group busy;
    std::atomic<bool> idle{false};
    for (int i = 0; i < 3; ++i) {
      busy.go([&] {
        while (!idle.load(std::memory_order_relaxed)) heddle::this_fiber::yield();
      });
    }
    heddle::this_fiber::sleep_for(1'500ms);
    idle.store(true, std::memory_order_relaxed);
    busy.wait();
    done.store(true, std::memory_order_release);
  });
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences(said, "'greedy' has run for "), 1u) << said;
}

TEST(Hog, IsNotNamedWhileNobodyWaits) {
  heddle::runtime rt({.workers = 1});
  testing::internal::CaptureStderr();
  rt.run([] {
    heddle::this_fiber::set_name("alone");
    const auto until = steady_clock::now() + 1'200ms;
    while (steady_clock::now() < until) heddle::detail::cpu_relax();
  });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
