// SPDX-License-Identifier: BSL-1.0
// overflow: traps 7 and 20: a fiber that runs into the guard below its stack is reported, on
//   whatever worker, and also when one huge frame would jump over the guard. This file is compiled
//   with -fstack-clash-protection (CMakeLists.txt): without it, a frame that is larger than the
//   guard and touches only its far end can reach a neighbour's stack unseen.
#include "world.hpp"

#include <heddle/base/atomic.hpp>
#include <heddle/sched/worker.hpp>

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string>

namespace {

using namespace heddle_test;

volatile bool bottomless = true;

/// Uses up the stack, a little at each call.
[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[256];
  frame[0] = static_cast<char>(depth);
  return (bottomless ? recurse(depth + 1) : 0) + frame[0];
}

bool died_of_it(int status) {
  // A sanitizer has a handler of its own, which heddle's calls after its report.
  return sanitized ? status != 0 : WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

const char* const report = "heddle: stack overflow in fiber [0-9]+ 'deep': its stack of 256 KiB";

void overflow_on(unsigned workers, unsigned index) {
  heddle::run({.workers = workers}, [index] {
    for (int i = 0; i < 16; ++i) {
      heddle::go({.name = "deep"}, [index] {
        while (heddle::detail::current_worker()->index != index) heddle::this_fiber::yield();
        recurse(0);
      });
    }
    for (;;) heddle::this_fiber::yield();
  });
}

TEST(Overflow, IsReportedOnEveryWorker) {
  for (unsigned index = 0; index < 3; ++index) {
    EXPECT_EXIT(overflow_on(3, index), died_of_it, report) << "on worker " << index;
  }
}

TEST(Overflow, IsReportedOnASpareWorker) {
  EXPECT_EXIT(heddle::run({.workers = 1},
                          [] {
                            heddle::go({.name = "deep"}, [] {
                              while (!heddle::detail::current_worker()->spare) {
                                heddle::this_fiber::yield();
                              }
                              recurse(0);
                            });
                            heddle::this_fiber::yield();
                            for (;;) heddle::detail::cpu_relax();
                          }),
              died_of_it, report);
}

TEST(Overflow, IsReportedForAStackOfItsOwnSize) {
  EXPECT_EXIT(
      heddle::run(
          {.workers = 1},
          [] { heddle::fiber({.name = "deep", .stack_size = 40'000}, [] { recurse(0); }).join(); }),
      died_of_it, "stack overflow in fiber [0-9]+ 'deep': its stack of 40 KiB");
}

TEST(Overflow, IsReportedForAFiberThatFollowsAnotherOnItsStack) {
  EXPECT_EXIT(heddle::run({.workers = 1},
                          [] {
                            for (int i = 0; i < 100; ++i) heddle::go([] {});
                            heddle::go({.name = "deep"}, [] { recurse(0); });
                            for (;;) heddle::this_fiber::yield();
                          }),
              died_of_it, report);
}

extern "C" void leave_with_42(int) { ::_exit(42); }

TEST(Overflow, TheUsersOwnHandlerIsCalledAfterTheReport) {
  EXPECT_EXIT(
      {
        struct sigaction mine {};
        mine.sa_handler = &leave_with_42;
        ::sigaction(SIGSEGV, &mine, nullptr);
        heddle::run({.workers = 1},
                    [] { heddle::fiber({.name = "deep"}, [] { recurse(0); }).join(); });
      },
      testing::ExitedWithCode(42), report);
}

// A fault that is no overflow is none of ours.
TEST(Overflow, AnotherFaultIsNotReported) {
  EXPECT_EXIT(
      {
        struct sigaction mine {};
        mine.sa_handler = &leave_with_42;
        ::sigaction(SIGSEGV, &mine, nullptr);
        heddle::run({.workers = 1}, [] { ::raise(SIGSEGV); });
      },
      testing::ExitedWithCode(42), "^[^k]*$");  // 'stack' has a k
}

// Frames that jump. Canaries lie in the stacks all around; the user's handler looks at them.
constexpr std::size_t neighbours = 64;
constexpr std::size_t canary_bytes = 2'048;
std::array<std::atomic<const volatile unsigned char*>, neighbours> canaries;

extern "C" void look_at_canaries(int) {
  for (const auto& each : canaries) {
    const volatile unsigned char* at = each.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < canary_bytes; ++i) {
      if (at[i] != 0xA5) ::_exit(43);
    }
  }
  ::_exit(42);
}

template <std::size_t Bytes>
[[gnu::noinline]] void jump() {
  char frame[Bytes];
  frame[0] = 1;  // the far end
  asm volatile("" : : "r"(frame) : "memory");
}

constexpr std::size_t small_stack = 64 * 1024;

/// Goes down until the far end of a frame of `Bytes` lies well below the guard, then makes it.
template <std::size_t Bytes>
[[gnu::noinline]] int jump_from_depth() {
  volatile char here[128];
  here[0] = 0;
  const auto* bottom = reinterpret_cast<const volatile char*>(
      heddle::detail::current_worker()->current()->bound_stack->bottom);
  if (here > bottom + Bytes / 8) return jump_from_depth<Bytes>() + here[0];
  jump<Bytes>();
  return here[0];
}

template <std::size_t Bytes>
void jump_among_neighbours() {
  struct sigaction mine {};
  mine.sa_handler = &look_at_canaries;
  ::sigaction(SIGSEGV, &mine, nullptr);
  ::sigaction(SIGBUS, &mine, nullptr);
  heddle::run({.workers = 1, .stack_size = small_stack}, [] {
    for (std::size_t i = 0; i < neighbours; ++i) {
      heddle::go([i] {
        volatile unsigned char canary[canary_bytes];
        for (auto& each : canary) each = 0xA5;
        canaries[i].store(canary, std::memory_order_relaxed);
        for (;;) heddle::this_fiber::sleep_for(1h);
      });
    }
    for (auto& each : canaries) {
      while (each.load(std::memory_order_relaxed) == nullptr) heddle::this_fiber::yield();
    }
    // Amid them, where there are stacks above and below.
    heddle::fiber({.name = "jumper"}, [] { jump_from_depth<Bytes>(); }).join();
    ::_exit(44);
  });
}

template <std::size_t Bytes>
void expect_reported() {
  EXPECT_EXIT(jump_among_neighbours<Bytes>(), testing::ExitedWithCode(42),
              "stack overflow in fiber [0-9]+ 'jumper': its stack of 64 KiB")
      << "a frame of " << Bytes << " bytes";
}

TEST(Overflow, OfOneHugeFrameIsReportedAndTheNeighboursStayIntact) {
  if (sanitized) GTEST_SKIP() << "sanitizers lay out frames in their own way";
  expect_reported<4 * 1024>();
  expect_reported<8 * 1024>();
  expect_reported<16 * 1024>();
  expect_reported<32 * 1024>();
  expect_reported<64 * 1024>();
  expect_reported<128 * 1024>();
  expect_reported<256 * 1024>();
  expect_reported<512 * 1024>();
  expect_reported<1024 * 1024>();
}

}  // namespace
