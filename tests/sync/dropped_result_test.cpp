// SPDX-License-Identifier: BSL-1.0
// dropped_result: what drops a result, or a value, does so without a warning, also where its type
//   is [[nodiscard]]. Built with warnings on, as a user's program would be.
#include "sync/crew.hpp"

#include <heddle/sched/fiber.hpp>
#include <heddle/sync/barrier.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/future.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/parallel.hpp>
#include <heddle/sync/task_group.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <vector>

namespace {

struct [[nodiscard]] verdict {};

}  // namespace

HEDDLE_TEST(DroppedResult, NobodyIsWarned) {
  std::atomic<int> calls{0};
  const auto judge = [&](auto&&...) noexcept {
    ++calls;
    return verdict();
  };
  std::vector<int> cases{1};

  heddle::fiber(judge).join();
  heddle::wait_group all;
  all.go(judge);
  all.wait();
  heddle::task_group children;
  children.spawn(judge);
  children.wait();
  heddle::parallel_for(0, 1, judge);
  heddle::parallel_for(cases.begin(), cases.end(), judge);
  heddle::parallel_for_each(cases, judge);
  heddle::once_flag once;
  heddle::call_once(once, judge);
  heddle::packaged_task<void()> task(judge);
  task();
  heddle::barrier one(1, judge);
  one.arrive_and_wait();
  heddle::channel<verdict>(1).send(verdict());  // ends with it
  EXPECT_EQ(calls.load(), 9);
}
