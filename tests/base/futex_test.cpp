// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/futex.hpp>

#include <sys/mman.h>

#include <cerrno>
#include <ctime>

namespace {

using namespace heddle_test;
using heddle::detail::futex_wait;
using heddle::detail::futex_wake;
using word = heddle::detail::atomic<std::uint32_t>;

std::int64_t monotonic_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

TEST(Futex, DoesNotSleepOnAnotherValue) {
  const word w{1};
  futex_wait(w, 0);  // would sleep for ever
}

TEST(Futex, WakesTheOneWhoSleeps) {
  word w{0};
  std::atomic<bool> awake{false};
  std::thread sleeper([&] {
    while (w.load() == 0) futex_wait(w, 0);
    awake = true;
  });
  w.store(1);
  EXPECT_TRUE(eventually([&] {
    futex_wake(&w);
    return awake.load();
  }));
  sleeper.join();
}

TEST(Futex, WakesNoMoreThanAsked) {
  word w{0}, left{0};
  constexpr int sleepers = 3;
  std::vector<std::thread> threads;
  for (int i = 0; i < sleepers; ++i) {
    threads.emplace_back([&] {
      futex_wait(w, 0, monotonic_ns() + std::int64_t{20'000'000'000} * slowness());
      left.fetch_add(1);
    });
  }
  // Each wakes at most one, so three that left have taken three calls that found somebody.
  std::uint32_t calls = 0;
  EXPECT_TRUE(eventually([&] {
    const auto before = left.load();
    futex_wake(&w, 1);
    ++calls;
    for (int i = 0; i < 50; ++i) std::this_thread::yield();
    EXPECT_LE(left.load(), calls);
    return before == sleepers;
  }));
  for (auto& each : threads) each.join();
}

TEST(Futex, ReturnsAtItsDeadlineAndNotBefore) {
  const word w{0};
  const std::int64_t deadline = monotonic_ns() + 20'000'000;
  while (monotonic_ns() < deadline) futex_wait(w, 0, deadline);
  const std::int64_t began = monotonic_ns();
  futex_wait(w, 0, deadline);  // in the past
  futex_wait(w, 0, 0);
  futex_wait(w, 0, -5);
  EXPECT_LT(monotonic_ns() - began, std::int64_t{5'000'000'000} * slowness());
}

TEST(Futex, SleepsUntilADeadlineWithoutSpinning) {
  const word w{0};
  const std::int64_t deadline = monotonic_ns() + 50'000'000;
  int returns = 0;
  for (; monotonic_ns() < deadline; ++returns) futex_wait(w, 0, deadline);
  EXPECT_LT(returns, 100);
}

TEST(Futex, LeavesErrnoAlone) {
  word w{1};
  errno = 4711;
  futex_wait(w, 0);                         // EAGAIN
  futex_wait(w, 1, monotonic_ns() + 1000);  // ETIMEDOUT
  futex_wake(&w);
  EXPECT_EQ(errno, 4711);
}

TEST(Futex, MayWakeAWordThatIsGone) {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  ASSERT_EQ(::munmap(page, 4096), 0);
  errno = 4711;
  futex_wake(static_cast<const word*>(page));
  EXPECT_EQ(errno, 4711);
}

}  // namespace
