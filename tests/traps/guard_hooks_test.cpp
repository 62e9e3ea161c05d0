// SPDX-License-Identifier: BSL-1.0
// guard: trap 19, where the kernel has no MADV_GUARD_INSTALL (a hook says so): mprotect guards,
//   each of which splits the mapping, until the kernel allows no more.
#include "stack_limit.hpp"

#include <heddle/base/chaos.hpp>
#include <heddle/sched/worker.hpp>

#include <unistd.h>

#include <cstdint>
#include <cstdio>

namespace {

using namespace heddle_test;
using heddle::detail::fault;
using heddle::detail::inject_fault;

/// Adds fibers until a spawn throws; expects the documented error.
void fill_up(parked_fibers& parked, std::size_t most) {
  while (parked.started() < most) {
    try {
      parked.add();
    } catch (const std::system_error& full) {
      EXPECT_EQ(full.code(), std::errc::resource_unavailable_try_again);
      EXPECT_NE(std::string(full.what()).find("out of stacks"), std::string::npos) << full.what();
      EXPECT_NE(std::string(full.what()).find("vm.max_map_count"), std::string::npos);
      return;
    }
    // A stack is wanted only when the fiber first runs.
    if (parked.started() % 256 == 0) {
      (void)eventually([&] { return parked.running() == parked.started(); }, 20ms);
    }
  }
}

void expect_to_go_on(heddle::runtime& rt) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rt.run([i] { return i; }), i);
}

TEST(GuardLimit, WithoutRoomForGuardsASpawnThrowsAndAllStartedFibersFinish) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    inject_fault(fault::guard_install, 1, UINT64_MAX / 2);
    heddle::runtime rt({.workers = workers});
    {
      parked_fibers parked(rt);
      for (int i = 0; i < 10; ++i) parked.add();
      EXPECT_TRUE(eventually([&] { return parked.running() == 10; }));
      inject_fault(fault::guard_protect, 64, UINT64_MAX / 2);
      fill_up(parked, 100'000);
      EXPECT_LT(parked.started(), 100'000u);
      EXPECT_LT(parked.running(), parked.started());
      // It stays so while the stacks are held...
      EXPECT_THROW(rt.go([] {}), std::system_error);
      EXPECT_THROW(rt.run([] {}), std::system_error);
      parked.let_go();
    }
    // ...and no longer.
    inject_fault(fault::guard_protect, 0, 0);
    inject_fault(fault::guard_install, 0, 0);
    expect_to_go_on(rt);
    expect_nothing_left(rt);
  }
}

// The kernel's own limit, vm.max_map_count (65,530 mappings), in a process that can do without
// them.
void reach_the_kernels_limit() {
  inject_fault(fault::guard_install, 1, UINT64_MAX / 2);
  heddle::runtime rt({.workers = 2, .stack_size = 16 * 1024});
  {
    parked_fibers parked(rt);
    const std::size_t most = 100'000;
    fill_up(parked, most);
    if (parked.started() == most) ::_exit(2);
    std::fprintf(stderr, "limit reached: %d\n", static_cast<int>(parked.running() > 10'000));
    parked.let_go();
  }
  expect_to_go_on(rt);
  ::_exit(testing::Test::HasFailure() ? 1 : 42);
}

TEST(GuardLimit, OfTheKernelIsAnExceptionAndNoCrash) {
  if (sanitized) GTEST_SKIP() << "the sanitizer needs mappings of its own";
  EXPECT_EXIT(reach_the_kernels_limit(), testing::ExitedWithCode(42), "limit reached: 1");
}

// What is installed by the fallback is a guard.
TEST(GuardLimit, TheFallbackGuardsToo) {
  inject_fault(fault::guard_install, 1, UINT64_MAX / 2);
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  heddle::run({.workers = 1}, [&] {
    const auto* s = heddle::detail::current_worker()->current()->bound_stack;
    EXPECT_TRUE(s->guarded);
    EXPECT_EQ(::write(pipe_ends[1], s->bottom - 1, 1), -1);
    EXPECT_EQ(::write(pipe_ends[1], s->bottom, 1), 1);
  });
  inject_fault(fault::guard_install, 0, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

}  // namespace
