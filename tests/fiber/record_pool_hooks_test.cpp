// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/chaos.hpp>
#include <heddle/fiber/record_pool.hpp>

#include <system_error>

namespace {

using heddle::detail::fault;
using heddle::detail::fiber_record;
using heddle::detail::record_pool;

TEST(RecordPoolFaults, ThrowsWhatRanOutAndRecovers) {
  record_pool pool;
  fiber_record* blocks[5];
  heddle::detail::inject_fault(fault::memory, 1, 2);
  for (int i = 0; i < 2; ++i) {
    try {
      pool.take(blocks, 5);
      ADD_FAILURE() << "no exception";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::not_enough_memory);
      EXPECT_NE(std::string(e.what()).find("no memory for another fiber"), std::string::npos);
      EXPECT_NE(std::string(e.what()).find("ulimit -v"), std::string::npos);
    }
  }
  EXPECT_GE(pool.take(blocks, 5), 1u);
}

TEST(RecordPoolFaults, GivesWhatItHasWithoutGrowing) {
  record_pool pool;
  fiber_record* blocks[64];
  std::size_t taken = pool.take(blocks, 1);
  // The first slab is used up first: a partial batch is no failure.
  heddle::detail::inject_fault(fault::memory, 1, 1'000'000);
  for (bool thrown = false; !thrown;) {
    try {
      taken += pool.take(blocks, 64);
    } catch (const std::system_error&) {
      thrown = true;
    }
  }
  EXPECT_GT(taken, 100u);
  heddle::detail::inject_fault(fault::memory, 1, 0);
}

}  // namespace
