// SPDX-License-Identifier: BSL-1.0
// injector: in what order batches, and single fibers, come out.
#include "world.hpp"

#include <heddle/sched/injector.hpp>

#include <array>
#include <vector>

namespace {

using heddle::detail::fiber_record;
using heddle::detail::injector;

class Injector : public ::testing::Test {
 protected:
  void push(std::size_t first, std::size_t count) {
    for (std::size_t i = first; i + 1 < first + count; ++i) records_[i].next = &records_[i + 1];
    from_.push(&records_[first], &records_[first + count - 1], static_cast<std::uint32_t>(count));
  }
  /// The numbers of what comes out.
  std::vector<std::ptrdiff_t> pop(std::uint32_t wanted, bool whole) {
    std::uint32_t got = 0;
    std::vector<std::ptrdiff_t> out;
    fiber_record* r = from_.pop(wanted, whole, got);
    for (std::uint32_t i = 0; i < got; ++i, r = r->next) out.push_back(r - records_.data());
    return out;
  }
  using numbers = std::vector<std::ptrdiff_t>;

  std::array<fiber_record, 16> records_;
  injector from_;
};

TEST_F(Injector, GivesSingleFibersInARow) {
  for (std::size_t i = 0; i < 5; ++i) push(i, 1);
  EXPECT_EQ(from_.size(), 5u);
  EXPECT_EQ(pop(3, false), (numbers{0, 1, 2}));
  EXPECT_EQ(pop(3, true), (numbers{3, 4}));
  EXPECT_EQ(pop(3, true), numbers{});
  EXPECT_EQ(from_.size(), 0u);
}

TEST_F(Injector, GivesABatchAsAWhole) {
  push(0, 4);
  push(4, 1);
  EXPECT_EQ(pop(2, true), (numbers{0, 1, 2, 3}));
  EXPECT_EQ(pop(2, true), (numbers{4}));
}

TEST_F(Injector, LetsWhatCameLaterNotWaitForAllOfABatch) {
  push(0, 5);
  push(5, 1);
  push(6, 1);
  EXPECT_EQ(pop(2, false), (numbers{0, 1}));
  EXPECT_EQ(pop(2, false), (numbers{5, 6}));
  EXPECT_EQ(pop(2, false), (numbers{2, 3}));
  EXPECT_EQ(from_.size(), 1u);
  EXPECT_EQ(pop(8, false), (numbers{4}));
  EXPECT_EQ(from_.size(), 0u);
}

}  // namespace
