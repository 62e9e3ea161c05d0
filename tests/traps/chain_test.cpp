// SPDX-License-Identifier: BSL-1.0
// chain: trap 33: 1,000,000 fibers, each ended, started, woken or joined by the one before: neither
//   the scheduler's stack nor a fiber's grows. A chain that used a few bytes for each link would
//   run
//   over the end of its stack.
#include "world.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/wait_group.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace {

using namespace heddle_test;

/// How deep in their stacks the fibers were, from the top.
struct depths {
  std::size_t least = SIZE_MAX;
  std::size_t most = 0;
};

std::size_t depth_here() {
  volatile char here = 0;
  const auto* top = heddle::detail::current_worker()->current()->bound_stack->top;
  return static_cast<std::size_t>(reinterpret_cast<const volatile char*>(top) - &here);
}

struct link {
  std::size_t left;
  heddle::wait_group& all;
  depths& seen;  // one link runs at a time
  void operator()() const {
    const std::size_t depth = depth_here();
    seen.least = std::min(seen.least, depth);
    seen.most = std::max(seen.most, depth);
    if (left > 0) all.go(link{left - 1, all, seen});
  }
};

HEDDLE_TEST(Chain, OfFibersThatStartTheirFollowersDoesNotGrow) {
  depths seen;
  heddle::wait_group all;
  all.go(link{tsan ? 20'000 : rounds(1'000'000), all, seen});
  all.wait();
  EXPECT_LT(seen.most - seen.least, 64u);
  EXPECT_LT(seen.most, 4'096u);
}

// Each sleeps until the one before has ended, and then ends: its end wakes the next.
HEDDLE_TEST(Chain, OfFibersThatJoinTheOneBeforeDoesNotGrow) {
  const int length = static_cast<int>(tsan ? 1'000 : rounds(100'000));
  std::atomic<int> ended{0};
  heddle::channel<int> start;
  heddle::fiber last([start]() mutable { start.receive(); });
  for (int i = 0; i < length; ++i) {
    last = [&](heddle::fiber before) {
      return heddle::fiber([&ended, before = std::move(before)]() mutable {
        before.join();
        ended.fetch_add(1, std::memory_order_relaxed);
      });
    }(std::move(last));
  }
  start.send(1);
  last.join();
  EXPECT_EQ(ended.load(), length);
}

// A handle that is destroyed joins: 1,000,000 deep, but in as many fibers.
HEDDLE_TEST(Chain, OfChannelsThatPassAValueOnDoesNotGrow) {
  const int length = static_cast<int>(tsan ? 1'000 : rounds(50'000));
  heddle::channel<int> first;
  heddle::channel<int> in = first;
  for (int i = 0; i < length; ++i) {
    heddle::channel<int> out;
    heddle::go([in, out]() mutable { out.send(*in.receive() + 1); });
    in = out;
  }
  first.send(0);
  EXPECT_EQ(in.receive(), length);
}

}  // namespace
