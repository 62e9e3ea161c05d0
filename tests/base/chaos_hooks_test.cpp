// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/chaos.hpp>

#include <cstdlib>

namespace {

using heddle::detail::fails;
using heddle::detail::fault;
using heddle::detail::inject_fault;

TEST(Chaos, FailsTheCallsAskedForAndNoOthers) {
  inject_fault(fault::map, 2, 3);
  std::vector<bool> failed;
  for (int i = 0; i < 6; ++i) failed.push_back(fails(fault::map));
  EXPECT_EQ(failed, (std::vector{false, true, true, true, false, false}));
  EXPECT_FALSE(fails(fault::memory));
  inject_fault(fault::map, 1, 5);
  inject_fault(fault::map, 1, 0);
  EXPECT_FALSE(fails(fault::map));
}

TEST(Chaos, CountsCallsByKind) {
  const auto before = heddle::detail::fault_calls(fault::map);
  const auto others = heddle::detail::fault_calls(fault::guard_protect);
  (void)fails(fault::map);
  (void)fails(fault::map);
  EXPECT_EQ(heddle::detail::fault_calls(fault::map), before + 2);
  EXPECT_EQ(heddle::detail::fault_calls(fault::guard_protect), others);
}

TEST(Chaos, IsDormantWithoutASeedAndElseHitsAboutOnceInN) {
  const char* seed = std::getenv("HEDDLE_CHAOS");
  int hits = 0;
  for (int i = 0; i < 40'000; ++i) hits += heddle::detail::chaos(4) ? 1 : 0;
  if (seed == nullptr || std::atoi(seed) == 0) {
    EXPECT_EQ(hits, 0);
  } else {
    EXPECT_GT(hits, 9'000);
    EXPECT_LT(hits, 11'000);
  }
}

}  // namespace
