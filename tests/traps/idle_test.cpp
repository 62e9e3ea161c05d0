// SPDX-License-Identifier: BSL-1.0
// idle: traps 12 and 40: an idle process does nothing at all. No sleep of a worker, or of the
//   watchdog, has a timeout for safety's sake, which would hide a lost wake: seen by the threads'
//   voluntary context switches, which stand still. And where wakes are all that keeps things going,
//   none is lost: a test that hangs is ended by the watchdog of main.cpp.
#include "world.hpp"

#include <heddle/sched/blocking.hpp>
#include <heddle/sched/worker.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/wait_group.hpp>

#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace heddle_test;

std::chrono::nanoseconds cpu_time() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

/// How often threads of this process, other than the calling one, went to sleep.
std::uint64_t sleeps_of_others() {
  std::uint64_t sum = 0;
  const std::string self = std::to_string(::gettid());
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == self) continue;
    std::ifstream in(task.path() / "status");
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) sum += std::stoull(line.substr(24));
    }
  }
  return sum;
}

/// Waits until nobody has woken for a while: spinning ends, long-idle stacks are given back.
bool settles() {
  return eventually(
      [before = std::uint64_t{0}]() mutable {
        const auto now = sleeps_of_others();
        std::this_thread::sleep_for(600ms);
        const bool still = now == before;
        before = sleeps_of_others();
        return still && before == now;
      },
      20s);
}

void expect_idle(std::chrono::milliseconds how_long) {
  if (tsan) GTEST_SKIP() << "ThreadSanitizer keeps a thread that wakes by itself";
  ASSERT_TRUE(settles()) << "threads wake again and again";
  const auto sleeps = sleeps_of_others();
  const auto cpu = cpu_time();
  std::this_thread::sleep_for(how_long);
  const auto used = cpu_time() - cpu;
  EXPECT_EQ(sleeps_of_others(), sleeps) << "a thread woke by itself";
  if (!sanitized) {
    // Nobody woke, so this is what a busy host charges for what it did meanwhile.
    EXPECT_LT(used, how_long / 100.0);
  }
}

TEST(Idle, TenThousandParkedFibersUseNoProcessorTime) {
  heddle::channel<int> nobody;
  heddle::mutex locked;
  heddle::wait_group started;
  heddle::runtime rt({.workers = 4});  // outlived by what its fibers wait for
  locked.lock();
  const std::size_t fibers = tsan ? 2'000 : 10'000;
  started.add(static_cast<std::ptrdiff_t>(fibers));
  for (std::size_t i = 0; i < fibers; ++i) {
    rt.go([&, i] {
      started.done();
      switch (i % 4) {
        case 0:
          nobody.receive();
          break;
        case 1:
          heddle::this_fiber::sleep_for(1h);
          break;
        case 2:
          nobody.receive_for(30min);
          break;
        default:
          locked.lock();
          locked.unlock();
          break;
      }
    });
  }
  started.wait();
  expect_idle(2s);
  locked.unlock();
}

TEST(Idle, ARuntimeThatHasNothingToDoSleeps) {
  heddle::runtime rt({.workers = 2});
  rt.run([] { heddle::this_fiber::yield(); });
  expect_idle(500ms);
}

TEST(Idle, AfterSpareWorkersItSleepsAgain) {
  heddle::runtime rt({.workers = 1});
  rt.run([] {
    heddle::fiber hog([] { std::this_thread::sleep_for(50ms); });
    heddle::this_fiber::sleep_for(10ms);
  });
  expect_idle(500ms);
}

// A spare keeps the timers of the fibers that slept on it; it must sleep until they are due.
TEST(Idle, ASpareWorkerThatHasTimersSleepsToo) {
  heddle::channel<int> nobody;
  std::atomic<int> slept{0};
  heddle::runtime rt({.workers = 1});
  std::atomic<int> on_spare{0};
  rt.run([&] {
    const auto start = [&](std::chrono::milliseconds d) {
      heddle::go([&, d] {
        while (!heddle::detail::current_worker()->spare) heddle::this_fiber::yield();
        on_spare.fetch_add(1, std::memory_order_release);
        heddle::this_fiber::sleep_for(d);
        slept.fetch_add(1, std::memory_order_relaxed);
      });
    };
    start(1h);
    start(3s);
    heddle::this_fiber::yield();
    while (on_spare.load(std::memory_order_acquire) < 2) heddle::detail::cpu_relax();
  });
  expect_idle(500ms);
  EXPECT_TRUE(eventually([&] { return slept.load(std::memory_order_relaxed) == 1; }));
}

// Each round all workers go to sleep, and one wake is all that brings them back.
template <class Round>
void ping_from_outside(unsigned workers, Round round) {
  heddle::runtime rt({.workers = workers});
  for (std::size_t i = 0; i < rounds(2'000); ++i) {
    round(rt);
    // Some rounds find the workers awake, some about to sleep, some asleep.
    const auto pause = std::chrono::microseconds(i % 8 * 20);
    const auto until = std::chrono::steady_clock::now() + pause;
    while (std::chrono::steady_clock::now() < until) heddle::detail::cpu_relax();
  }
}

TEST(Idle, NoWakeOfASleepingWorkerIsLost) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    ping_from_outside(workers, [](heddle::runtime& rt) { rt.run([] {}); });
    ping_from_outside(workers, [](heddle::runtime& rt) {
      rt.run([] {
        heddle::channel<int> c;
        heddle::go([c]() mutable { c.send(1); });
        c.receive();
      });
    });
  }
}

TEST(Idle, NoWakeOfASleepingFiberIsLost) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    heddle::runtime rt({.workers = workers});
    heddle::channel<int> there, back;
    rt.go([there, back]() mutable {
      for (int v : there) back.send(v);
    });
    for (int i = 0; i < static_cast<int>(rounds(5'000)); ++i) {
      ASSERT_TRUE(there.send(i));
      ASSERT_EQ(back.receive(), i);
      if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(i % 128));
    }
    there.close();
  }
}

TEST(Idle, NoTimerIsLostWhileAllWorkersSleep) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    heddle::runtime rt({.workers = workers});
    rt.run([] {
      heddle::wait_group all;
      for (int f = 0; f < 20; ++f) {
        all.go([f] {
          for (int i = 0; i < 50; ++i) {
            heddle::this_fiber::sleep_for(std::chrono::microseconds(100 + 37 * f));
          }
        });
      }
      all.wait();
    });
  }
}

TEST(Idle, NoEndOfABlockingCallIsLost) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    heddle::runtime rt({.workers = workers});
    rt.run([] {
      heddle::wait_group all;
      for (int f = 0; f < 8; ++f) {
        all.go([] {
          for (std::size_t i = 0; i < rounds(200); ++i) heddle::blocking([] {});
        });
      }
      all.wait();
    });
  }
}

}  // namespace
