// SPDX-License-Identifier: BSL-1.0
// guard: trap 19: a guard below each stack, also with very many of them.
#include "stack_limit.hpp"

#include <heddle/sched/worker.hpp>
#include <heddle/sync/channel.hpp>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace heddle_test;

TEST(Guard, TwoHundredThousandGuardedStacksNeedFewMappings) {
  if (!kernel_has_light_guards()) GTEST_SKIP() << "no MADV_GUARD_INSTALL (Linux 6.13)";
  const std::size_t fibers = sanitized ? 2'000 : 200'000;
  heddle::runtime rt({.workers = 2});
  parked_fibers parked(rt);
  rt.run([&] {
    for (std::size_t i = 0; i < fibers; ++i) parked.add();
  });
  EXPECT_TRUE(eventually([&] { return parked.running() == fibers; }, 30s));
  EXPECT_GE(rt.stats().stacks_in_use, fibers);
  if (!sanitized) {
    EXPECT_LT(lines_of_maps(), 1'000u);
  }
  // Guarded each: a read below any of them is refused by the kernel, which reads for write(2).
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  std::size_t guarded = 0;
  const std::size_t looked_at = 200;
  rt.run([&] {
    heddle::wait_group all;
    for (std::size_t i = 0; i < looked_at; ++i) {
      all.go([&] {
        heddle::this_fiber::yield();
        const auto* s = heddle::detail::current_worker()->current()->bound_stack;
        if (::write(pipe_ends[1], s->bottom - 1, 1) == -1) ++guarded;
        if (::write(pipe_ends[1], s->bottom, 1) != 1) guarded = 0;
        char byte;
        EXPECT_EQ(::read(pipe_ends[0], &byte, 1), 1);
      });
      all.wait();
    }
  });
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_EQ(guarded, looked_at);
  parked.let_go();
}

TEST(Guard, CanBeOptedOutOf) {
  heddle::runtime rt({.workers = 1, .guard_pages = false});
  rt.run([] {
    const auto* s = heddle::detail::current_worker()->current()->bound_stack;
    EXPECT_FALSE(s->guarded);
    EXPECT_EQ(s->of->guard_bytes(), 0u);
  });
}

}  // namespace
