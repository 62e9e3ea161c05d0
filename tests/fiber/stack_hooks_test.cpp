// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/chaos.hpp>
#include <heddle/fiber/stack.hpp>

#include <cerrno>
#include <vector>

namespace {

using namespace heddle_test;
using heddle::detail::fault;
using heddle::detail::inject_fault;
using heddle::detail::stack;
using heddle::detail::stack_class;

constexpr std::uint64_t always = 1'000'000;

/// Faults of one kind while it lives.
class failing {
 public:
  failing(fault kind, std::uint64_t after, std::uint64_t times) : kind_(kind) {
    inject_fault(kind, after, times);
  }
  ~failing() { inject_fault(kind_, 1, 0); }

 private:
  const fault kind_;
};

TEST(StackFaults, TakesNothingWhenNothingCanBeReservedAndRecovers) {
  stack_class stacks(65'536, true);
  stack* got[4];
  {
    const failing map(fault::map, 1, always);
    errno = 4711;
    EXPECT_EQ(stacks.take(got, 4), 0u);
    EXPECT_EQ(errno, 4711);
    EXPECT_EQ(stacks.made(), 0u);
    EXPECT_EQ(stacks.reserved_bytes(), 0u);
  }
  EXPECT_EQ(stacks.take(got, 4), 4u);
}

TEST(StackFaults, ReservesLessWhereMuchIsNotToBeHad) {
  stack_class stacks(65'536, true);
  const failing map(fault::map, 1, 1);
  stack* got[1];
  EXPECT_EQ(stacks.take(got, 1), 1u);
  EXPECT_LE(stacks.reserved_bytes(), std::size_t{4} * (65'536 + stacks.guard_bytes()));
}

TEST(StackFaults, SurvivesEachFailureOfMemory) {
  for (std::uint64_t n = 1; n < 4; ++n) {
    stack_class stacks(65'536, true);
    const failing memory(fault::memory, n, 1);
    std::size_t taken = 0;
    stack* got[40];
    for (int tries = 0; tries < 10 && taken < 40; ++tries) {
      taken += stacks.take(got + taken, 40 - taken);
    }
    EXPECT_EQ(taken, 40u) << "call " << n << " failed";
    stacks.put(got, taken);
    EXPECT_EQ(stacks.pooled(), 40u);
  }
}

TEST(StackFaults, GuardsByProtectionWhereTheKernelHasNoLightGuards) {
  const failing light(fault::guard_install, 1, always);
  stack_class stacks(65'536, true);
  stack* got[20];
  ASSERT_EQ(stacks.take(got, 20), 20u);
  for (const stack* s : got) {
    EXPECT_TRUE(s->guarded);
    *s->bottom = std::byte{1};
    *(s->top - 1) = std::byte{1};
  }
  EXPECT_DEATH(*reinterpret_cast<volatile char*>(got[19]->bottom - 1) = 1, "");
}

TEST(StackFaults, HandsOutNoStackWithoutItsGuard) {
  stack_class stacks(65'536, true);
  stack* got[4];
  {
    const failing light(fault::guard_install, 1, always);
    const failing heavy(fault::guard_protect, 3, always);
    EXPECT_EQ(stacks.take(got, 4), 2u);
    EXPECT_EQ(stacks.take(got + 2, 2), 0u);
  }
  EXPECT_EQ(stacks.take(got + 2, 2), 2u);
  EXPECT_EQ(stacks.made(), 4u);
}

TEST(StackFaults, NeedsNoGuardWhereTheUserOptedOut) {
  const failing light(fault::guard_install, 1, always);
  const failing heavy(fault::guard_protect, 1, always);
  stack_class stacks(65'536, false);
  stack* got[4];
  EXPECT_EQ(stacks.take(got, 4), 4u);
}

}  // namespace
