// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/chaos.hpp>
#include <heddle/fiber/record_pool.hpp>

#include <system_error>

namespace {

using heddle::detail::fault;
using heddle::detail::record_chain;
using heddle::detail::record_pool;

TEST(RecordPoolFaults, ThrowsWhatRanOutAndRecovers) {
  record_pool pool;
  record_chain chain;
  heddle::detail::inject_fault(fault::memory, 1, 2);
  for (int i = 0; i < 2; ++i) {
    try {
      pool.take(chain, 5);
      ADD_FAILURE() << "no exception";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::not_enough_memory);
      EXPECT_NE(std::string(e.what()).find("no memory for another fiber"), std::string::npos);
      EXPECT_NE(std::string(e.what()).find("ulimit -v"), std::string::npos);
    }
    EXPECT_EQ(chain.count, 0u);
  }
  pool.take(chain, 5);
  EXPECT_GE(chain.count, 1u);
}

TEST(RecordPoolFaults, GivesWhatItHasWithoutGrowing) {
  record_pool pool;
  record_chain chain;
  pool.take(chain, 1);
  // The first slab is used up first: a partial batch is no failure.
  heddle::detail::inject_fault(fault::memory, 1, 1'000'000);
  std::size_t before = 0;
  bool thrown = false;
  while (!thrown) {
    before = chain.count;
    try {
      pool.take(chain, 64);
    } catch (const std::system_error&) {
      thrown = true;
    }
  }
  EXPECT_EQ(chain.count, before);
  EXPECT_GT(chain.count, 100u);
  heddle::detail::inject_fault(fault::memory, 1, 0);
  pool.put(chain, chain.count);
}

}  // namespace
