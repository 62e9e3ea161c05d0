// SPDX-License-Identifier: BSL-1.0
// limits: trap 38: the process runs out of address space, threads or descriptors. Each is the
//   documented exception, which says what ran out and what to set; all else goes on. Each test
//   runs in
//   a process of its own, whose limits it lowers.
#include "stack_limit.hpp"

#include <heddle/base/atomic.hpp>
#include <heddle/sched/blocking.hpp>
#include <heddle/sched/worker.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace {

using namespace heddle_test;

const auto fine = testing::ExitedWithCode(42);

[[noreturn]] void finish() { ::_exit(testing::Test::HasFailure() ? 1 : 42); }

/// The soft limit; the hard one stays, so that it can be raised again.
void limit(__rlimit_resource_t what, rlim_t value) {
  rlimit now{};
  ::getrlimit(what, &now);
  now.rlim_cur = std::min(value, now.rlim_max);
  ASSERT_EQ(::setrlimit(what, &now), 0);
}

rlim_t address_space_in_use() {
  std::ifstream in("/proc/self/statm");
  rlim_t pages = 0;
  in >> pages;
  return pages * heddle::detail::page_size();
}

std::size_t threads_now() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

void expect_to_go_on(heddle::runtime& rt) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rt.run([i] { return i; }), i);
}

void have_no_address_space_for_a_single_stack() {
  heddle::runtime rt({.workers = 2});
  limit(RLIMIT_AS, address_space_in_use() + (rlim_t{256} << 20));
  constexpr std::size_t too_large = std::size_t{512} << 20;
  const auto expect_refused = [](auto make) {
    try {
      make();
      ADD_FAILURE() << "no exception";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
      std::fprintf(stderr, "refused: %s\n", e.what());
    }
  };
  expect_refused([&] { heddle::runtime({.workers = 1, .stack_size = too_large}); });
  expect_refused([&] { heddle::fiber({.stack_size = too_large, .on = &rt}, [] {}); });
  expect_to_go_on(rt);
  finish();
}

void run_out_of_address_space() {
  heddle::runtime rt({.workers = 2, .stack_size = 1024 * 1024});
  expect_to_go_on(rt);
  limit(RLIMIT_AS, address_space_in_use() + (rlim_t{256} << 20));
  {
    parked_fibers parked(rt);
    bool refused = false;
    while (parked.started() < 10'000 && !refused) {
      try {
        parked.add();
        if (parked.started() % 16 == 0) {
          (void)eventually([&] { return parked.running() == parked.started(); }, 20ms);
        }
      } catch (const std::system_error& e) {
        EXPECT_TRUE(e.code() == std::errc::resource_unavailable_try_again ||
                    e.code() == std::errc::not_enough_memory);
        std::fprintf(stderr, "refused: %s\n", e.what());
        refused = true;
      }
    }
    EXPECT_TRUE(refused);
    EXPECT_GT(parked.running(), 50u);
    parked.let_go();
  }
  expect_to_go_on(rt);
  expect_nothing_left(rt);
  finish();
}

TEST(Limits, OfAddressSpaceAreAnExceptionAtTheSpawn) {
  if (sanitized) GTEST_SKIP() << "sanitizers want terabytes of it";
  EXPECT_EXIT(run_out_of_address_space(), fine, "refused: heddle: .*ulimit -v");
}

TEST(Limits, OfAddressSpaceAreToldAtOnceWhereNoStackCanBeHad) {
  if (sanitized) GTEST_SKIP() << "sanitizers want terabytes of it";
  EXPECT_EXIT(have_no_address_space_for_a_single_stack(), fine,
              "refused: heddle: no address space for a single stack of 536870912 bytes.*ulimit -v");
}

// root is above this limit, so somebody else must ask.
bool become_limitable() { return ::geteuid() != 0 || ::setresuid(65'534, 65'534, 65'534) == 0; }

void run_out_of_threads_at_the_start() {
  if (!become_limitable()) ::_exit(42);
  const std::size_t before = threads_now();
  rlimit all{};
  ::getrlimit(RLIMIT_NPROC, &all);
  int refused = 0;
  for (rlim_t most = 1; most < 64; ++most) {
    limit(RLIMIT_NPROC, most);
    try {
      heddle::runtime rt({.workers = 4});
      expect_to_go_on(rt);
      break;
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
      if (refused++ == 0) std::fprintf(stderr, "refused: %s\n", e.what());
    }
    // A thread that was joined may still be listed for an instant.
    EXPECT_TRUE(eventually([&] { return threads_now() == before; })) << "threads are left over";
  }
  EXPECT_GT(refused, 0);
  limit(RLIMIT_NPROC, all.rlim_max);
  heddle::runtime rt({.workers = 4});
  expect_to_go_on(rt);
  finish();
}

TEST(Limits, OfThreadsAreAnExceptionAtTheStartAndLeaveNothing) {
  EXPECT_EXIT(run_out_of_threads_at_the_start(), fine,
              "refused: heddle: could not start worker thread 1 of 4; .*ulimit -u");
}

void run_out_of_threads_later() {
  if (!become_limitable()) ::_exit(42);
  heddle::runtime rt({.workers = 1});
  rlimit all{};
  ::getrlimit(RLIMIT_NPROC, &all);
  limit(RLIMIT_NPROC, 1);
  rt.run([] {
    try {
      heddle::blocking([] {});
      ADD_FAILURE() << "it found a thread";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
      std::fprintf(stderr, "refused: %s\n", e.what());
    }
    // No spare worker can be had for this one's neighbours: they wait until it is through.
    std::atomic<bool> went_on{false};
    heddle::fiber neighbour([&] { went_on.store(true, std::memory_order_relaxed); });
    const auto until = std::chrono::steady_clock::now() + 50ms;
    while (std::chrono::steady_clock::now() < until) heddle::detail::cpu_relax();
    neighbour.join();
    EXPECT_TRUE(went_on.load(std::memory_order_relaxed));
  });
  expect_to_go_on(rt);
  limit(RLIMIT_NPROC, all.rlim_max);
  rt.run([] {
    EXPECT_EQ(heddle::blocking([] { return 7; }), 7);
    limit(RLIMIT_NPROC, 1);
    // There is a thread now: further calls use it.
    heddle::wait_group all_calls;
    std::atomic<int> done{0};
    for (int i = 0; i < 10; ++i) {
      all_calls.go([&done] {
        heddle::blocking([] { ::usleep(1'000); });
        done.fetch_add(1, std::memory_order_relaxed);
      });
    }
    all_calls.wait();
    EXPECT_EQ(done.load(), 10);
  });
  limit(RLIMIT_NPROC, all.rlim_max);
  // The spare that was missing comes as soon as it can be had.
  rt.run([] {
    std::atomic<bool> went_on{false};
    heddle::fiber neighbour([&] { went_on.store(true, std::memory_order_relaxed); });
    while (!went_on.load(std::memory_order_relaxed)) heddle::detail::cpu_relax();
  });
  expect_nothing_left(rt);
  finish();
}

TEST(Limits, OfThreadsAreAnExceptionOfABlockingCallAndAllElseGoesOn) {
  EXPECT_EXIT(run_out_of_threads_later(), fine,
              "refused: heddle: blocking\\(\\) found no thread .*ulimit -u");
}

void run_out_of_descriptors() {
  limit(RLIMIT_NOFILE, 0);
  heddle::runtime rt;
  expect_to_go_on(rt);
  rt.run([] {
    heddle::wait_group all;
    for (int i = 0; i < 100; ++i) {
      all.go([] {
        heddle::this_fiber::sleep_for(100us);
        heddle::blocking([] {});
      });
    }
    all.wait();
  });
  EXPECT_GE(heddle::fiber::hardware_concurrency(), 1u);
  finish();
}

TEST(Limits, OfDescriptorsDoNotMatter) {
  if (sanitized) GTEST_SKIP() << "UBSan itself opens pipes, to look at what it checks";
  EXPECT_EXIT(run_out_of_descriptors(), fine, "^$");
}

}  // namespace
