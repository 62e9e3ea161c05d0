// SPDX-License-Identifier: BSL-1.0
// async where no fiber can be had: by [futures.async] only a policy of std::launch::async alone may
// say so; else the call is put off.
#include "world.hpp"

#include <heddle/base/chaos.hpp>
#include <heddle/sync/future.hpp>
#include <heddle/sync/latch.hpp>

#include <future>
#include <memory>
#include <system_error>

using heddle::detail::fault;
using heddle::detail::inject_fault;
using namespace std::chrono_literals;

HEDDLE_TEST(AsyncWithoutStacks, IsPutOffUnlessItMustStart) {
  heddle::latch all(1);
  const auto wait = [&] { all.wait(); };
  inject_fault(fault::map, 1, UINT64_MAX / 2);
  // Until there is no stack left. One that lies with another worker may come to light later: then
  // what is tried meanwhile starts.
  const auto use_up_all_stacks = [&] {
    for (int i = 0; i < 100'000; ++i) {
      try {
        heddle::go(wait);
        heddle::this_fiber::yield();
      } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
        return;
      }
    }
    FAIL() << "there were stacks for all";
  };
  const auto held = std::make_shared<int>(1);
  const auto call = [held](std::unique_ptr<int> n) { return *held + *n; };
  heddle::future<int> f;
  EXPECT_TRUE(heddle_test::eventually([&] {
    use_up_all_stacks();
    f = heddle::async(call, std::make_unique<int>(2));
    return f.wait_for(0s) == std::future_status::deferred;
  }));
  EXPECT_TRUE(heddle_test::eventually([&] {
    use_up_all_stacks();
    try {
      (void)heddle::async(std::launch::async, call, std::make_unique<int>(2));
      return false;
    } catch (const std::system_error&) {
      return true;
    }
  }));
  EXPECT_EQ(f.get(), 3) << "the arguments were not moved away by the attempt";
  inject_fault(fault::map, 0, 0);
  all.count_down();
  EXPECT_TRUE(heddle_test::eventually([&] { return rt.stats().fibers_alive == 1; }));
  EXPECT_EQ(heddle::async(std::launch::async, call, std::make_unique<int>(4)).get(), 5);
}
