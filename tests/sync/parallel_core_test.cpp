// SPDX-License-Identifier: BSL-1.0
// parallel_core: runners that take iterations from each other all the time, which a loop lets them
//   do only where there is need.
#include "sync/crew.hpp"

#include <heddle/sync/parallel_core.hpp>

#include <cstddef>
#include <vector>

using heddle::detail::strip;
using heddle_test::crew;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::start_line;

namespace {

struct iterations : heddle::detail::parallel_core {
  explicit iterations(std::uint64_t count) : parallel_core(nullptr, count) {}
  void start_runner(heddle::detail::child_group&) override { ADD_FAILURE(); }
};

}  // namespace

// Who takes iterations meets the runner at those that it takes, and takes some back.
HEDDLE_TEST(ParallelCore, EachIterationGoesToOneRunner) {
  constexpr unsigned parties = 3;
  for (std::size_t r = 0; r < rounds(2'000); ++r) {
    const std::size_t n = 1 + r * 37 % 600;
    iterations core(n);
    std::vector<unsigned char> counts(n);  // a race, if two come to one
    start_line line(parties);
    crew all(rt, heddle_test::mode::fibers);
    for (unsigned p = 0; p < parties; ++p) {
      all.start([&, p] {
        jitter late(static_cast<unsigned>(r) * parties + p);
        strip mine(core, *heddle::detail::current_worker()->current());
        line.wait();
        while (core.refill(mine)) {
          for (std::uint64_t i = mine.first(); mine.claim(i); ++i) {
            ++counts[i];
            if (r % 4 == 0) late();
          }
        }
        line.wait();
      });
    }
    all.join();
    for (const auto each : counts) ASSERT_EQ(each, 1);
  }
}
