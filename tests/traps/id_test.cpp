// SPDX-License-Identifier: BSL-1.0
// id: trap 31: a fiber's id is never given out again, to whatever fiber of whatever runtime.
#include "world.hpp"

#include <heddle/sync/wait_group.hpp>

#include <algorithm>
#include <thread>
#include <vector>

namespace {

using namespace heddle_test;
using ids = std::vector<heddle::fiber::id>;

void expect_all_different(ids all) {
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end()) << "an id was given out twice";
  EXPECT_FALSE(std::binary_search(all.begin(), all.end(), heddle::fiber::id{}));
}

// The records of ended fibers are used again at once; their ids must not be.
HEDDLE_TEST(Id, OfAnEndedFiberIsNotGivenOutAgain) {
  ids seen;
  for (std::size_t i = 0; i < rounds(100'000); ++i) {
    heddle::fiber f([] {});
    seen.push_back(f.get_id());
    if (i % 3 == 0) {
      f.join();
      EXPECT_EQ(f.get_id(), heddle::fiber::id{});
    } else if (i % 3 == 1) {
      f.detach();
    }
  }
  expect_all_different(std::move(seen));
}

TEST(Id, IsUniqueOverThreadsAndRuntimes) {
  const std::size_t each = rounds(20'000);
  std::vector<ids> seen(8);
  for (int round = 0; round < 2; ++round) {
    heddle::runtime one({.workers = 2});
    heddle::runtime two({.workers = 2});
    on_threads(4, [&](int t) {
      heddle::runtime& rt = t % 2 == 0 ? one : two;
      ids& mine = seen[static_cast<std::size_t>(4 * round + t)];
      if (t < 2) {
        rt.run([&] {
          for (std::size_t i = 0; i < each; ++i) mine.push_back(heddle::fiber([] {}).get_id());
        });
      } else {
        for (std::size_t i = 0; i < each; ++i) {
          heddle::fiber f({.on = &rt}, [] {});
          mine.push_back(f.get_id());
          f.detach();
        }
      }
    });
  }
  ids all;
  for (const auto& some : seen) all.insert(all.end(), some.begin(), some.end());
  expect_all_different(std::move(all));
}

// While a handle is there, the id stays its fiber's, also when that has ended long ago.
HEDDLE_TEST(Id, OfAHandleStaysWhileOthersComeAndGo) {
  heddle::fiber held([] {});
  const auto id = held.get_id();
  heddle::this_fiber::sleep_for(1ms);
  heddle::wait_group all;
  for (int i = 0; i < 2'000; ++i) {
    all.go([id] { EXPECT_NE(heddle::this_fiber::get_id(), id); });
  }
  all.wait();
  ASSERT_TRUE(eventually([&] { return rt.stats().fibers_alive == 1; }));  // this one
  EXPECT_EQ(held.get_id(), id);
  EXPECT_FALSE(held.cancel()) << "it has ended";
  held.join();
}

}  // namespace
