// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/random.hpp>

#include <set>

namespace {

using heddle::detail::random_source;

TEST(RandomSource, StaysBelowItsBound) {
  random_source random(7);
  for (const std::uint32_t bound : {1u, 2u, 3u, 10u, 1u << 31, 0xFFFFFFFFu}) {
    for (int i = 0; i < 10'000; ++i) ASSERT_LT(random.below(bound), bound);
  }
}

TEST(RandomSource, IsUniform) {
  for (const std::uint64_t seed : {0u, 1u, 2u, 4711u}) {
    random_source random(seed);
    constexpr int cells = 10, draws = 100'000;
    int seen[cells] = {};
    for (int i = 0; i < draws; ++i) ++seen[random.below(cells)];
    double chi_squared = 0;
    for (const int n : seen) {
      const double off = n - draws / cells;
      chi_squared += off * off / (draws / cells);
    }
    // 9 degrees of freedom; beyond 33 once in 10,000 such seeds.
    EXPECT_LT(chi_squared, 33) << "seed " << seed;
  }
}

TEST(RandomSource, RepeatsItselfForASeedAndDiffersBetweenSeeds) {
  random_source a(5), b(5);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(a.next(), b.next());
  std::set<std::uint32_t> firsts;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) firsts.insert(random_source(seed).next());
  EXPECT_GT(firsts.size(), 990u);
}

TEST(RandomSource, DoesNotGetStuck) {
  random_source random(0);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(random.next());
  EXPECT_GT(seen.size(), 9'990u);
}

}  // namespace
