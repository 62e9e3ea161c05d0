// SPDX-License-Identifier: BSL-1.0
// task_group: spawning, limits, waiting, what counts as a failure, the group's token.
#include "sync/crew.hpp"

#include <heddle/sched/fiber_local.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/future.hpp>
#include <heddle/sync/task_group.hpp>
#include <heddle/sync/wait_group.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using heddle::cancel_reason;
using heddle::task_group;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;

namespace {

static_assert(std::is_default_constructible_v<task_group>);
static_assert(std::is_constructible_v<task_group, std::size_t>);
static_assert(!std::is_convertible_v<std::size_t, task_group>);
static_assert(!std::is_copy_constructible_v<task_group> && !std::is_copy_assignable_v<task_group>);
static_assert(std::is_same_v<decltype(&task_group::wait), void (task_group::*)()>);
static_assert(noexcept(std::declval<task_group&>().cancel()));
static_assert(noexcept(std::declval<const task_group&>().get_stop_token()));
static_assert(
    std::is_same_v<decltype(std::declval<const task_group&>().get_stop_token()), std::stop_token>);
static_assert(std::is_same_v<decltype(std::declval<task_group&>().cancel()), bool>);

struct copy_throws {
  copy_throws() = default;
  copy_throws(const copy_throws&) { throw std::runtime_error("no copy"); }
  void operator()() const {}
};

/// Sleeps until it is cancelled, and says why it was.
[[noreturn]] void sleep_for_ever(std::atomic<int>& cancelled_count, cancel_reason expected) {
  try {
    for (;;) heddle::this_fiber::sleep_for(std::chrono::hours(1));
  } catch (const heddle::cancelled& c) {
    EXPECT_EQ(c.reason(), expected);
    ++cancelled_count;
    throw;
  }
}

std::string message_of(task_group& g) {
  try {
    g.wait();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace

HEDDLE_CREW_TEST(TaskGroup, WaitReturnsWhenAllChildrenHaveEnded) {
  task_group g;
  g.wait();  // there are none
  int done[50] = {};
  for (int i = 0; i < 50; ++i) {
    g.spawn([&done, i] {
      for (int n = 0; n < i % 4; ++n) heddle::this_fiber::yield();
      done[i] = i;
    });
  }
  g.wait();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(done[i], i);
}

HEDDLE_CREW_TEST(TaskGroup, AnybodyMaySpawnAndWait) {
  task_group g;
  std::atomic<int> ended{0};
  constexpr int parties = 6;
  const int each = static_cast<int>(rounds(200));
  for (int p = 0; p < parties; ++p) {
    all.start([&] {
      for (int i = 0; i < each; ++i) g.spawn([&] { ++ended; });
      g.wait();
    });
  }
  all.join();
  g.wait();
  EXPECT_EQ(ended.load(), parties * each);
}

HEDDLE_TEST(TaskGroup, ChildrenRunInTheSpawnersRuntime) {
  heddle::runtime other({.workers = 1});
  task_group g;
  g.spawn([&] { EXPECT_EQ(heddle::runtime::current(), &rt); });
  other.run([&] { g.spawn([&] { EXPECT_EQ(heddle::runtime::current(), &other); }); });
  g.wait();
}

HEDDLE_THREAD_TEST(TaskGroup, FromAPlainThreadTheyRunInTheDefaultRuntime) {
  task_group g;
  heddle::runtime* where = nullptr;
  g.spawn([&] { where = heddle::runtime::current(); });
  g.wait();
  EXPECT_EQ(where, &heddle::runtime::default_runtime());
}

HEDDLE_TEST(TaskGroup, ChildrenMaySpawnIntoTheirOwnGroup) {
  task_group g;
  std::atomic<int> count{0};
  std::function<void(int)> grow = [&](int depth) {
    ++count;
    if (depth == 0) return;
    for (int i = 0; i < 3; ++i) g.spawn([&, depth] { grow(depth - 1); });
  };
  g.spawn([&] { grow(5); });
  g.wait();
  EXPECT_EQ(count.load(), 1 + 3 + 9 + 27 + 81 + 243);
}

HEDDLE_TEST(TaskGroup, GroupsMayBeNestedDeeply) {
  std::atomic<int> count{0};
  std::function<void(int)> grow = [&](int depth) {
    ++count;
    if (depth == 0) return;
    task_group g;
    for (int i = 0; i < 2; ++i) g.spawn([&, depth] { grow(depth - 1); });
    g.wait();
  };
  grow(8);
  EXPECT_EQ(count.load(), 511);
}

HEDDLE_TEST(TaskGroup, ItCanBeUsedAgainAfterAWait) {
  task_group g(2);
  int n = 0;
  for (int i = 1; i <= static_cast<int>(rounds(500)); ++i) {
    g.spawn([&] { ++n; });
    g.wait();
    ASSERT_EQ(n, i);
  }
}

HEDDLE_TEST(TaskGroup, HandsOutTheFibersStopToken) {
  task_group g;
  g.spawn([](std::stop_token mine) {
    EXPECT_TRUE(mine.stop_possible());
    EXPECT_EQ(mine, heddle::this_fiber::get_stop_token());
    EXPECT_FALSE(mine.stop_requested());
  });
  g.wait();
}

HEDDLE_TEST(TaskGroup, WhatAChildOwnedIsDestroyedBeforeWaitReturns) {
  auto keep = std::make_shared<int>(1);
  for (std::size_t i = 0; i < rounds(100); ++i) {
    task_group g(3);
    g.spawn([keep] { heddle::this_fiber::yield(); });
    g.spawn([keep, large = std::array<char, 500>()] { (void)large; });
    g.spawn([only = std::make_unique<int>(2), keep]() mutable { only.reset(); });
    g.spawn([keep] {
      throw std::runtime_error("x");
      (void)keep;
    });
    EXPECT_EQ(message_of(g), "x");
    ASSERT_EQ(keep.use_count(), 1);
  }
}

HEDDLE_TEST(TaskGroup, WhatAChildsFiberOwnedIsGoneBeforeWaitReturns) {
  struct slow_to_end {
    bool* ended = nullptr;
    ~slow_to_end() {
      heddle::this_fiber::yield();
      *ended = true;
    }
  };
  heddle::fiber_local<slow_to_end> local;
  heddle::promise<int> put_off;
  auto result = put_off.get_future();
  bool ended = false;
  task_group g;
  g.spawn([&] {
    put_off.set_value_at_thread_exit(1);
    local->ended = &ended;
  });
  g.wait();
  EXPECT_TRUE(ended);
  EXPECT_EQ(result.wait_for(std::chrono::seconds(0)), std::future_status::ready);

  ended = false;
  heddle::gather([&] { local->ended = &ended; });
  EXPECT_TRUE(ended);

  ended = false;
  task_group one_at_a_time(1);
  one_at_a_time.spawn([&] { local->ended = &ended; });
  one_at_a_time.spawn([&] { EXPECT_TRUE(ended); });
  one_at_a_time.wait();

  ended = false;
  heddle::wait_group all;
  all.go([&] { local->ended = &ended; });
  all.wait();
  EXPECT_TRUE(ended);
}

HEDDLE_TEST(TaskGroup, WhoCancelsTheOthersIsNotCancelled) {
  class last_words {
   public:
    explicit last_words(int& said) noexcept : said_(&said) {}
    last_words(last_words&& other) noexcept : said_(std::exchange(other.said_, nullptr)) {}
    ~last_words() {
      if (said_ == nullptr) return;
      heddle::this_fiber::check_cancel();  // where it throws the program ends
      ++*said_;
    }

   private:
    int* said_;
  };
  int said = 0;
  std::atomic<int> cancelled{0};
  const auto other = [&] { sleep_for_ever(cancelled, cancel_reason::sibling_failed); };
  const auto loser = [&] { sleep_for_ever(cancelled, cancel_reason::requested); };
  task_group g;
  g.spawn(other);
  g.spawn([w = last_words(said)] { throw 1; });
  EXPECT_THROW(g.wait(), int);
  EXPECT_THROW(heddle::gather(other, [w = last_words(said)] { throw 1; }), int);
  heddle::race(loser, [w = last_words(said)] {});
  EXPECT_EQ(said, 3);
  EXPECT_EQ(cancelled.load(), 3);
}

HEDDLE_TEST(TaskGroup, ResultsAreDropped) {
  task_group g;
  g.spawn([] { return 3; });
  g.spawn([]() -> std::unique_ptr<int> { return nullptr; });
  int x = 0;
  g.spawn([&]() -> int& { return x; });
  g.wait();
}

HEDDLE_TEST(TaskGroup, WhatCannotStartIsNotAChild) {
  task_group g(1);
  const copy_throws f;
  for (int i = 0; i < 3; ++i) {  // and gives its room back
    EXPECT_THROW(g.spawn(f), std::runtime_error);
    void (*null)() = nullptr;
    EXPECT_THROW(g.spawn(null), std::invalid_argument);
    EXPECT_THROW(g.spawn(std::function<void()>()), std::invalid_argument);
  }
  g.spawn([] {});
  g.wait();
  EXPECT_FALSE(g.get_stop_token().stop_requested());
}

// --- limits ---

HEDDLE_CREW_TEST(TaskGroup, TheLimitIsNeverExceeded) {
  for (const std::size_t limit : {1u, 2u, 7u}) {
    task_group g(limit);
    std::atomic<std::size_t> inside{0}, most{0};
    struct guest {  // counts until the callable is destroyed
      std::atomic<std::size_t>* inside = nullptr;
      ~guest() {
        if (inside != nullptr) --*inside;
      }
    };
    for (int p = 0; p < 3; ++p) {
      all.start([&] {
        for (std::size_t i = 0; i < rounds(100); ++i) {
          g.spawn([&, in = guest(), i]() mutable {
            in.inside = &inside;
            const auto now = ++inside;
            for (auto seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
            }
            if (i % 3 == 0) heddle::this_fiber::yield();
          });
        }
      });
    }
    all.join();
    g.wait();
    EXPECT_EQ(inside.load(), 0u);
    EXPECT_LE(most.load(), limit);
  }
}

HEDDLE_CREW_TEST(TaskGroup, SpawnBlocksWhileTheLimitIsReached) {
  task_group g(2);
  heddle::latch open(1);
  for (int i = 0; i < 2; ++i) g.spawn([&] { open.wait(); });
  std::atomic<bool> spawned{false}, ran{false};
  all.start_and_sleep([&] {
    g.spawn([&] { ran = true; });
    spawned = true;
  });
  EXPECT_FALSE(spawned.load());
  EXPECT_FALSE(ran.load());
  open.count_down();
  all.join();
  EXPECT_TRUE(spawned.load());
  g.wait();
  EXPECT_TRUE(ran.load());
}

HEDDLE_TEST(TaskGroup, ALimitOfZeroIsNone) {
  for (const std::size_t limit : {std::size_t{0}, SIZE_MAX}) {
    task_group g(limit);
    heddle::latch all_there(100);
    for (int i = 0; i < 100; ++i) g.spawn([&] { all_there.arrive_and_wait(); });
    g.wait();
  }
}

HEDDLE_TEST(TaskGroup, SpawnIsACancellationPointOnlyWhileItBlocks) {
  task_group g(1);
  in_cancelled_fiber(rt, [&] {
    EXPECT_FALSE(cancelled_in([&] { g.spawn([] {}); }));
    EXPECT_EQ(cancelled_in([&] { g.wait(); }), cancel_reason::requested);
  });
  task_group full(1);
  heddle::latch open(1);
  std::atomic<int> ran{0};
  full.spawn([&] { open.wait(); });
  in_cancelled_fiber(rt, [&] { EXPECT_TRUE(cancelled_in([&] { full.spawn([&] { ++ran; }); })); });
  auto waits = sleeping_fiber(rt, [&] {
    EXPECT_EQ(cancelled_in([&] { full.spawn([&] { ++ran; }); }), cancel_reason::requested);
  });
  EXPECT_TRUE(waits.cancel());
  waits.join();
  open.count_down();
  full.wait();
  EXPECT_EQ(ran.load(), 0);
  full.spawn([&] { ++ran; });  // nobody has kept its room
  full.wait();
  EXPECT_EQ(ran.load(), 1);
}

HEDDLE_TEST(TaskGroup, ACancelledGroupHasALimitToo) {
  task_group g(1);
  std::atomic<int> told{0};
  g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
  auto waits =
      sleeping_fiber(rt, [&] { g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); }); });
  EXPECT_TRUE(g.cancel());
  waits.join();
  g.wait();
  EXPECT_EQ(told.load(), 2);
}

// --- failures ---

HEDDLE_CREW_TEST(TaskGroup, AFailureCancelsTheOthersAndIsRethrown) {
  task_group g;
  std::atomic<int> told{0};
  for (int i = 0; i < 5; ++i) {
    g.spawn([&] { sleep_for_ever(told, cancel_reason::sibling_failed); });
  }
  g.spawn([](std::stop_token mine) {
    while (!mine.stop_requested()) heddle::this_fiber::yield();
  });
  const auto token = g.get_stop_token();
  EXPECT_FALSE(token.stop_requested());
  g.spawn([] { throw std::runtime_error("the first"); });
  EXPECT_EQ(message_of(g), "the first");
  EXPECT_EQ(told.load(), 5);
  EXPECT_TRUE(token.stop_requested());
  EXPECT_FALSE(g.cancel());  // it is
}

HEDDLE_TEST(TaskGroup, TheFirstExceptionWins) {
  for (std::size_t i = 0; i < rounds(300); ++i) {
    task_group g;
    std::atomic<int> first{0};
    for (int n = 1; n <= 4; ++n) {
      g.spawn([&first, n] {
        if (n % 2 == 0) heddle::this_fiber::yield();
        int none = 0;
        first.compare_exchange_strong(none, n);
        throw n;
      });
    }
    try {
      g.wait();
      ADD_FAILURE();
    } catch (int n) {
      EXPECT_TRUE(n >= 1 && n <= 4);
      if (rt.workers() == 1) {
        EXPECT_EQ(n, first.load());
      }
    }
  }
}

HEDDLE_TEST(TaskGroup, EachWaitRethrowsAsErrgroupDoes) {
  task_group g;
  g.spawn([] { throw std::runtime_error("it"); });
  EXPECT_EQ(message_of(g), "it");
  EXPECT_EQ(message_of(g), "it");
  g.spawn([] { throw std::runtime_error("a later one"); });
  EXPECT_EQ(message_of(g), "it");
}

HEDDLE_CREW_TEST(TaskGroup, EveryWaiterGetsTheException) {
  task_group g;
  heddle::latch open(1);
  g.spawn([&] {
    open.wait();
    throw std::runtime_error("it");
  });
  std::atomic<int> thrown{0};
  for (int i = 0; i < 4; ++i) {
    all.start_and_sleep([&] { thrown += message_of(g) == "it"; });
  }
  open.count_down();
  all.join();
  EXPECT_EQ(thrown.load(), 4);
}

HEDDLE_TEST(TaskGroup, WhatIsSpawnedIntoAFailedGroupRunsCancelledFromTheStart) {
  task_group g;
  g.spawn([] { throw 1; });
  EXPECT_THROW(g.wait(), int);
  int ran = 0;
  g.spawn([&](std::stop_token mine) {
    ++ran;
    EXPECT_TRUE(mine.stop_requested());
    EXPECT_EQ(cancelled_in([] { heddle::this_fiber::check_cancel(); }),
              cancel_reason::sibling_failed);
    EXPECT_EQ(cancelled_in([] { heddle::this_fiber::sleep_for(std::chrono::hours(1)); }),
              cancel_reason::sibling_failed);
  });
  EXPECT_THROW(g.wait(), int);
  EXPECT_EQ(ran, 1);
}

HEDDLE_TEST(TaskGroup, AnExceptionAfterACancelIsRethrown) {
  task_group g;
  g.spawn([] {
    try {
      heddle::this_fiber::sleep_for(std::chrono::hours(1));
    } catch (const heddle::cancelled&) {
      throw std::runtime_error("on the way out");
    }
  });
  EXPECT_TRUE(g.cancel());
  EXPECT_EQ(message_of(g), "on the way out");
}

HEDDLE_TEST(TaskGroup, CancelledThatNobodyAskedForIsAFailure) {
  task_group g;
  std::atomic<int> told{0};
  g.spawn([&] { sleep_for_ever(told, cancel_reason::sibling_failed); });
  g.spawn([] { throw heddle::cancelled(cancel_reason::deadline); });
  EXPECT_EQ(cancelled_in([&] { g.wait(); }), cancel_reason::deadline);
  EXPECT_EQ(told.load(), 1);
}

HEDDLE_TEST(TaskGroup, CancelledOfAChildThatWasCancelledIsNone) {
  task_group g;
  std::atomic<int> told{0};
  {
    heddle::runtime ends({.workers = 2});
    ends.run([&] { g.spawn([&] { sleep_for_ever(told, cancel_reason::shutdown); }); });
  }
  g.wait();
  EXPECT_EQ(told.load(), 1);
  EXPECT_FALSE(g.get_stop_token().stop_requested());
  EXPECT_TRUE(g.cancel());
}

// --- cancelling ---

HEDDLE_CREW_TEST(TaskGroup, CancelCancelsAllAndStaysSo) {
  task_group g;
  std::atomic<int> told{0};
  const auto token = g.get_stop_token();
  for (int i = 0; i < 5; ++i) {
    g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
  }
  EXPECT_TRUE(g.cancel());
  EXPECT_FALSE(g.cancel());
  EXPECT_TRUE(token.stop_requested());
  g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
  g.wait();
  EXPECT_EQ(told.load(), 6);
  g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
  g.wait();
  EXPECT_EQ(told.load(), 7);
}

HEDDLE_TEST(TaskGroup, AChildMayCancelItsGroup) {
  task_group g;
  std::atomic<int> told{0};
  for (int i = 0; i < 3; ++i) {
    g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
  }
  g.spawn([&] {
    EXPECT_TRUE(g.cancel());
    EXPECT_TRUE(cancelled_in([] { heddle::this_fiber::check_cancel(); }));
  });
  g.wait();
  EXPECT_EQ(told.load(), 3);
}

HEDDLE_TEST(TaskGroup, TheTokenIsTheGroupsOwn) {
  task_group g, other;
  const task_group& c = g;
  const auto token = c.get_stop_token();
  EXPECT_TRUE(token.stop_possible());
  EXPECT_EQ(token, g.get_stop_token());
  EXPECT_NE(token, other.get_stop_token());
  g.spawn([&](std::stop_token mine) { EXPECT_NE(mine, token); });
  g.wait();
  EXPECT_FALSE(token.stop_requested());
  bool called = false;
  std::stop_callback on_stop(token, [&] { called = true; });
  EXPECT_TRUE(g.cancel());
  EXPECT_TRUE(called);
  task_group late;
  late.cancel();
  EXPECT_TRUE(late.get_stop_token().stop_requested());
}

HEDDLE_TEST(TaskGroup, TheTokenOutlivesTheGroupAndIsStoppedByItsEnd) {
  std::stop_token token;
  {
    task_group g;
    token = g.get_stop_token();
    g.spawn([] {});
    g.wait();
    EXPECT_FALSE(token.stop_requested());
  }
  EXPECT_TRUE(token.stop_requested());
}

HEDDLE_TEST(TaskGroup, StopCallbacksMayUseTheGroup) {
  task_group g;
  std::atomic<int> ran{0};
  heddle::latch there(1);
  g.spawn([&](std::stop_token mine) {
    std::stop_callback on_stop(mine, [&] {
      EXPECT_FALSE(g.cancel());
      EXPECT_TRUE(g.get_stop_token().stop_requested());
      g.spawn([&] { ++ran; });
    });
    there.count_down();
    while (!mine.stop_requested()) heddle::this_fiber::yield();
  });
  there.wait();
  EXPECT_TRUE(g.cancel());
  g.wait();
  EXPECT_EQ(ran.load(), 1);
}

HEDDLE_TEST(TaskGroup, ACancelledWaiterCancelsForItsOwnReason) {
  std::atomic<int> told{0};
  auto waits = sleeping_fiber(rt, [&] {
    task_group g;
    const auto token = g.get_stop_token();
    for (int i = 0; i < 3; ++i) {
      g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
    }
    EXPECT_EQ(cancelled_in([&] { g.wait(); }), cancel_reason::requested);
    EXPECT_EQ(told.load(), 3);  // they have ended
    EXPECT_TRUE(token.stop_requested());
    EXPECT_FALSE(g.cancel());
  });
  EXPECT_TRUE(eventually([&] { return rt.stats().fibers_alive >= 4; }));
  EXPECT_TRUE(waits.cancel());
  waits.join();
  EXPECT_EQ(told.load(), 3);
  {
    heddle::runtime ends({.workers = 2});
    ends.run([&] {
      heddle::go([&] {
        task_group g;
        g.spawn([&] { sleep_for_ever(told, cancel_reason::shutdown); });
        // Its only child may have been cancelled, and have ended, before.
        const auto why = cancelled_in([&] { g.wait(); });
        EXPECT_TRUE(!why || why == cancel_reason::shutdown);
        EXPECT_EQ(told.load(), 4);
      });
    });
  }
  EXPECT_EQ(told.load(), 4);
}

HEDDLE_TEST(TaskGroup, OnEntryTooTheWaiterThrowsWhenTheChildrenHaveEnded) {
  std::atomic<int> told{0};
  in_cancelled_fiber(rt, [&] {
    task_group empty;
    EXPECT_TRUE(cancelled_in([&] { empty.wait(); }));
    task_group g;
    g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
    EXPECT_EQ(cancelled_in([&] { g.wait(); }), cancel_reason::requested);
    EXPECT_EQ(told.load(), 1);
    EXPECT_TRUE(cancelled_in([&] { g.wait(); }));  // again at each one
  });
  EXPECT_EQ(told.load(), 1);
}

HEDDLE_TEST(TaskGroup, ACancelledWaiterDropsTheChildrensExceptions) {
  auto waits = sleeping_fiber(rt, [&] {
    task_group g;
    g.spawn([] {
      try {
        heddle::this_fiber::sleep_for(std::chrono::hours(1));
      } catch (const heddle::cancelled&) {
        throw std::runtime_error("dropped");
      }
    });
    EXPECT_EQ(cancelled_in([&] { g.wait(); }), cancel_reason::requested);
  });
  EXPECT_TRUE(waits.cancel());
  waits.join();
}

HEDDLE_TEST(TaskGroup, CancellationGoesDownThroughNestedGroups) {
  std::atomic<int> told{0};
  heddle::latch there(4);
  task_group outer;
  for (int i = 0; i < 2; ++i) {
    outer.spawn([&] {
      task_group inner;
      for (int n = 0; n < 2; ++n) {
        inner.spawn([&] {
          there.count_down();
          sleep_for_ever(told, cancel_reason::sibling_failed);
        });
      }
      inner.wait();
    });
  }
  outer.spawn([&] {
    there.wait();
    throw std::runtime_error("the third");
  });
  EXPECT_EQ(message_of(outer), "the third");
  EXPECT_EQ(told.load(), 4);
}

HEDDLE_TEST(TaskGroup, AChildThatIgnoresItIsWaitedFor) {
  std::atomic<bool> ended{false};
  {
    task_group g;
    g.spawn([&](std::stop_token mine) {
      while (!mine.stop_requested()) heddle::this_fiber::yield();
      for (int i = 0; i < 100; ++i) {
        heddle::this_fiber::yield();
        EXPECT_TRUE(cancelled_in([] { heddle::this_fiber::check_cancel(); }));  // swallowed
      }
      ended = true;
    });
  }
  EXPECT_TRUE(ended.load());
}

// --- the end ---

HEDDLE_CREW_TEST(TaskGroup, TheDestructorCancelsWaitsAndDropsTheException) {
  std::atomic<int> told{0};
  {
    task_group g;
    for (int i = 0; i < 5; ++i) {
      g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
    }
    g.spawn([&] {
      try {
        sleep_for_ever(told, cancel_reason::requested);
      } catch (const heddle::cancelled&) {
        throw std::runtime_error("dropped");
      }
    });
  }
  EXPECT_EQ(told.load(), 6);
}

// Trap 14.
HEDDLE_TEST(TaskGroup, TheDestructorIsNoCancellationPoint) {
  in_cancelled_fiber(rt, [&] {
    std::atomic<int> told{0};
    { task_group none; }
    EXPECT_EQ(cancelled_in([&] {
                task_group g;  // destroyed by the unwinding
                g.spawn([&] { sleep_for_ever(told, cancel_reason::requested); });
                heddle::this_fiber::check_cancel();
              }),
              cancel_reason::requested);
    EXPECT_EQ(told.load(), 1);
  });
  std::atomic<bool> is_cancelled{false};
  auto waits = sleeping_fiber(rt, [&] {
    std::atomic<bool> ended{false};
    {
      task_group g;
      g.spawn([&](std::stop_token mine) {
        while (!mine.stop_requested()) heddle::this_fiber::yield();
        while (!is_cancelled) heddle::this_fiber::yield();
        for (int i = 0; i < 1000; ++i) heddle::this_fiber::yield();
        ended = true;
      });
    }
    EXPECT_TRUE(ended.load());
  });
  waits.cancel();
  is_cancelled = true;
  waits.join();
}

TEST(TaskGroup, AtExitChildrenOfTheDefaultRuntimeAreLeft) {
  EXPECT_EXIT(
      {
        static task_group g;
        for (int i = 0; i < 3; ++i) {
          g.spawn([] {
            for (;;) heddle::this_fiber::sleep_for(std::chrono::hours(1));
          });
        }
        std::exit(3);
      },
      testing::ExitedWithCode(3), "");
}

// --- many, and races ---

HEDDLE_TEST(TaskGroup, TenThousandChildrenAreCancelled) {
  const int n = static_cast<int>(heddle_test::tsan ? 300 : rounds(10'000));
  std::atomic<int> told{0}, there{0};
  task_group g;
  for (int i = 0; i < n; ++i) {
    g.spawn([&] {
      ++there;
      sleep_for_ever(told, cancel_reason::sibling_failed);
    });
  }
  EXPECT_TRUE(eventually([&] { return there.load() == n; }));
  g.spawn([] { throw 7; });
  EXPECT_THROW(g.wait(), int);
  EXPECT_EQ(told.load(), n);
}

// Trap 9: some children end, some fail, somebody cancels, the waiter is cancelled: all at once.
HEDDLE_TEST(TaskGroup, EndsAndFailuresAndCancelsMayMeet) {
  jitter late(1);
  for (std::size_t i = 0; i < rounds(2'000); ++i) {
    std::atomic<int> alive{0};
    heddle::fiber waits([&, i] {
      jitter mine(static_cast<unsigned>(i));
      bool fails = false;
      try {
        task_group g(i % 3 == 0 ? 3 : 0);
        for (int n = 0; n < 6; ++n) {
          const unsigned kind = mine.below(4);
          fails = fails || kind == 0;
          ++alive;
          g.spawn([&alive, &g, kind, seed = mine.below(1000)] {
            struct leave {
              std::atomic<int>& n;
              ~leave() { --n; }
            } const at_end{alive};
            jitter own(seed);
            own();
            if (kind == 0) throw 1;
            if (kind == 1) g.cancel();
            if (kind == 2) heddle::this_fiber::sleep_for(std::chrono::microseconds(own.below(50)));
            if (kind == 3) heddle::this_fiber::check_cancel();
          });
        }
        g.wait();
        EXPECT_FALSE(fails && alive.load() != 0);
        EXPECT_EQ(alive.load(), 0);
      } catch (int) {
        EXPECT_TRUE(fails);
        EXPECT_EQ(alive.load(), 0);
      } catch (const heddle::cancelled& c) {
        EXPECT_EQ(c.reason(), cancel_reason::requested);
      }
      // A spawn into the full group may have been cancelled: its child never was.
    });
    for (unsigned n = late.below(10); n > 0; --n) late();
    if (i % 2 == 0) waits.cancel();
    waits.join();
  }
}

// A child ends while its stop callbacks run: until they have, nobody else gets its record, who
// would be cancelled in its place.
HEDDLE_THREAD_TEST(TaskGroup, AChildMayEndWhileItIsBeingCancelled) {
  task_group g;
  std::atomic<bool> may_end{false}, has_ended{false};
  std::stop_token of_child;
  rt.run([&] {
    heddle::latch there(1);
    g.spawn([&, last = std::shared_ptr<void>(nullptr, [&](void*) { has_ended = true; })](
                std::stop_token mine) {
      of_child = std::move(mine);
      there.count_down();
      while (!may_end.load()) heddle::this_fiber::yield();
    });
    there.wait();
  });
  heddle::latch open(1);
  std::vector<heddle::fiber> next;
  std::stop_callback slow(of_child, [&] {
    may_end = true;
    EXPECT_TRUE(eventually([&] { return has_ended.load(); }));
    const auto parks = rt.stats().parks;
    rt.run([&] {
      for (int i = 0; i < 10; ++i) {
        next.emplace_back([&] { EXPECT_FALSE(cancelled_in([&] { open.wait(); })); });
      }
    });
    EXPECT_TRUE(eventually([&] { return rt.stats().parks >= parks + 10; }));
  });
  EXPECT_TRUE(g.cancel());
  g.wait();
  open.count_down();
  for (auto& each : next) each.join();
}

HEDDLE_TEST(TaskGroup, ChildrenMayEndWhileTheyAreBeingCancelled) {
  jitter late(5);
  std::atomic<int> wrongly{0};
  for (std::size_t i = 0; i < rounds(2'000); ++i) {
    task_group g;
    for (int n = 0; n < 4; ++n) {
      g.spawn([] { heddle::this_fiber::yield(); });
    }
    heddle::go([] {});
    late();
    g.cancel();
    // Whoever gets one of their records next is not cancelled.
    heddle::fiber next([&] {
      try {
        for (int n = 0; n < 3; ++n) {
          heddle::this_fiber::yield();
          heddle::this_fiber::check_cancel();
        }
      } catch (const heddle::cancelled&) {
        ++wrongly;
      }
    });
    next.join();
    g.wait();
  }
  EXPECT_EQ(wrongly.load(), 0);
}
