// SPDX-License-Identifier: BSL-1.0
// worker_pointer: trap 1: the current worker, or any thread-local, kept over a migration. What a
//   compiler makes of it depends on how it compiles: variants.py builds and runs more of this.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/sched/no_migrate.hpp>
#include <heddle/sched/worker.hpp>
#include <heddle/sync/channel.hpp>

#include <map>

namespace {

using namespace heddle_test;

HEDDLE_TEST(WorkerPointer, IsTheThreadsAfterEachMigration) {
  if (rt.workers() < 2) return;
  std::map<pid_t, heddle::detail::worker*> seen;
  for (std::size_t i = 0; i < rounds(1'000); ++i) {
    heddle::detail::worker* before = heddle::detail::current_worker();
    const auto self = before->current();
    migrate();
    heddle::detail::worker* after = heddle::detail::current_worker();
    ASSERT_NE(before, after);
    ASSERT_EQ(after->current(), self);
    const auto [known, first] = seen.try_emplace(thread_id(), after);
    ASSERT_EQ(known->second, after) << "thread " << thread_id() << " has another worker now";
  }
  EXPECT_GE(seen.size(), 2u);
}

// The header's inlined code must not keep it either.
HEDDLE_TEST(WorkerPointer, IsRightInTheCodeThatAUserCompiles) {
  if (rt.workers() < 2) return;
  const auto id = heddle::this_fiber::get_id();
  heddle::channel<int> c;
  for (std::size_t i = 0; i < rounds(200); ++i) {
    migrate_by([c] {
      heddle::go([c] {
        heddle::this_fiber::yield();  // to who is to hold up the thread
        c.send(1);
      });
      EXPECT_EQ(c.receive(), 1);
    });
    ASSERT_EQ(heddle::this_fiber::get_id(), id);
    ASSERT_EQ(heddle::runtime::current(), &rt);
  }
}

HEDDLE_TEST(WorkerPointer, APinnedFiberStays) {
  for (std::size_t i = 0; i < rounds(100); ++i) {
    const heddle::no_migrate stay;
    const pid_t home = thread_id();
    std::atomic<bool> over{false};
    heddle::fiber other([&over] {
      while (!over.load(std::memory_order_relaxed)) heddle::this_fiber::yield();
    });
    heddle::this_fiber::yield();
    heddle::this_fiber::sleep_for(10us);
    ASSERT_EQ(thread_id(), home);
    over.store(true, std::memory_order_relaxed);
  }
}

}  // namespace
