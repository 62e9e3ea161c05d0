// SPDX-License-Identifier: BSL-1.0
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <any>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::blocking;
using heddle::fiber;

HEDDLE_TEST(Blocking, ReturnsWhatItsFunctionReturns) {
  EXPECT_EQ(blocking([] { return 5; }), 5);
  static_assert(std::is_void_v<decltype(blocking([] {}))>);
  bool ran = false;
  blocking([&] { ran = true; });
  EXPECT_TRUE(ran);
  int n = 0;
  static_assert(std::is_same_v<decltype(blocking([&]() -> int& { return n; })), int&>);
  EXPECT_EQ(&blocking([&]() -> int& { return n; }), &n);
  EXPECT_EQ(*blocking([] { return std::make_unique<int>(6); }), 6);
  EXPECT_EQ(std::any_cast<int>(blocking([] { return std::any(7); })), 7);
  auto counting = [k = 0]() mutable { return ++k; };
  EXPECT_EQ(blocking(counting), 1);
  EXPECT_EQ(blocking(counting), 2) << "it is the caller's object that is called";
}

HEDDLE_TEST(Blocking, RefusesANullCallable) {
  EXPECT_THROW(blocking(std::function<void()>()), std::invalid_argument);
  EXPECT_THROW(blocking(static_cast<void (*)()>(nullptr)), std::invalid_argument);
}

HEDDLE_TEST(Blocking, RethrowsWhatItsFunctionThrows) {
  EXPECT_THROW(blocking([] { throw 1; }), int);
  EXPECT_THROW(blocking([]() -> int { throw std::runtime_error("x"); }), std::runtime_error);
  EXPECT_THROW(blocking([]() -> int& { throw std::logic_error("x"); }), std::logic_error);
  try {
    blocking([] { throw heddle::cancelled(heddle::cancel_reason::deadline); });
    ADD_FAILURE() << "no exception";
  } catch (const heddle::cancelled& c) {
    EXPECT_EQ(c.reason(), heddle::cancel_reason::deadline) << "it is the outcome";
  }
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

HEDDLE_TEST(Blocking, RunsOnAThreadThatIsNoWorkers) {
  const auto mine = this_fiber::get_id();
  const pid_t worker = thread_id();
  EXPECT_NE(blocking([] { return thread_id(); }), worker);
  blocking([&] {
    EXPECT_EQ(this_fiber::get_id(), fiber::id{});
    EXPECT_EQ(heddle::runtime::current(), &rt);
    EXPECT_FALSE(this_fiber::get_stop_token().stop_possible());
  });
  EXPECT_EQ(this_fiber::get_id(), mine);
}

HEDDLE_TEST(Blocking, LetsOtherFibersRunMeanwhile) {
  // With one worker, the call could not end otherwise.
  std::atomic<bool> other_ran{false};
  fiber other([&] { other_ran = true; });
  blocking([&] { EXPECT_TRUE(eventually([&] { return other_ran.load(); })); });
}

HEDDLE_TEST(Blocking, StartsFibersInTheCallersRuntime) {
  heddle::runtime* seen[2] = {};
  blocking([&] {
    fiber([&] { seen[0] = heddle::runtime::current(); }).join();
    heddle::wait_group all;
    all.go([&] { seen[1] = heddle::runtime::current(); });
    all.wait();  // as a plain thread does
  });
  EXPECT_EQ(seen[0], &rt);
  EXPECT_EQ(seen[1], &rt);
}

HEDDLE_TEST(Blocking, MayBeNested) {
  const int depth = blocking([&] {
    const pid_t outer = thread_id();
    // On a thread of the pool there is nothing to keep free: it is called there and then.
    return blocking([&] {
      EXPECT_EQ(thread_id(), outer);
      EXPECT_EQ(heddle::runtime::current(), &rt);
      return 2;
    });
  });
  EXPECT_EQ(depth, 2);
}

HEDDLE_TEST(Blocking, MayRunFibersThatBlockToo) {
  EXPECT_EQ(blocking([&] { return rt.run([] { return blocking([] { return 3; }); }); }), 3);
}

TEST(Blocking, CallsThereAndThenOnAPlainThread) {
  const pid_t here = thread_id();
  EXPECT_EQ(blocking([] { return thread_id(); }), here);
  EXPECT_THROW(blocking([] { throw 1; }), int);
  int n = 0;
  EXPECT_EQ(&blocking([&]() -> int& { return n; }), &n);
}

HEDDLE_TEST_WITH(Blocking, UsesNoMoreThreadsThanAllowed, .max_blocking = 3) {
  std::atomic<int> inside{0}, most{0}, done{0};
  heddle::wait_group all;
  for (int i = 0; i < 30; ++i) {
    all.go([&] {
      blocking([&] {
        const int now = ++inside;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::sleep_for(200us);  // a call that blocks: what this is for
        --inside;
      });
      ++done;
    });
  }
  all.wait();
  EXPECT_EQ(done, 30);
  EXPECT_LE(most, 3);
}

HEDDLE_TEST_WITH(Blocking, RunsAsManyAtOnceAsAllowed, .max_blocking = 20) {
  // Each waits for all: one thread less, and they would hang.
  std::atomic<int> inside{0};
  heddle::wait_group all;
  for (int i = 0; i < 20; ++i) {
    all.go([&] {
      blocking([&] {
        ++inside;
        while (inside < 20) std::this_thread::yield();
      });
    });
  }
  all.wait();
  EXPECT_EQ(inside, 20);
}

HEDDLE_TEST_WITH(Blocking, ServesWhoQueuesInTheOrderTheyCame, .max_blocking = 1) {
  std::vector<int> order;  // by the one thread
  std::atomic<bool> go_on{false};
  fiber first([&] {
    blocking([&] {
      while (!go_on) std::this_thread::yield();
    });
  });
  ASSERT_TRUE(eventually([&] { return rt.stats().parks >= 1; }));
  std::vector<fiber> all;
  for (int i = 0; i < 10; ++i) {
    const auto parks = rt.stats().parks;
    all.emplace_back([&, i] { blocking([&, i] { order.push_back(i); }); });
    ASSERT_TRUE(eventually([&] { return rt.stats().parks > parks; }));
  }
  // The last has counted its park a moment before it was queued.
  go_on = true;
  all.clear();
  first.join();
  ASSERT_EQ(order.size(), 10u);
}

HEDDLE_TEST_WITH(Blocking, IsCancelledInTheQueueAndNotOnceItHasBegun, .max_blocking = 1) {
  std::atomic<bool> begun{false}, go_on{false}, ended{false}, ran{false}, threw{false};
  fiber first([&] {
    blocking([&] {
      begun = true;
      while (!go_on) std::this_thread::yield();
    });
    ended = true;
  });
  ASSERT_TRUE(eventually([&] { return begun.load(); }));
  const auto parks = rt.stats().parks;
  fiber second([&] {
    try {
      blocking([&] { ran = true; });
    } catch (const heddle::cancelled&) {
      threw = true;
      throw;
    }
  });
  ASSERT_TRUE(eventually([&] { return rt.stats().parks > parks; }));
  second.cancel();
  first.cancel();
  EXPECT_TRUE(eventually([&] { return threw.load(); }));
  EXPECT_FALSE(ended);
  go_on = true;
  first.join();
  second.join();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(ran);
  EXPECT_EQ(blocking([] { return 5; }), 5) << "the queue goes on";
}

HEDDLE_TEST_WITH(Blocking, IsCancelledAsItBeginsOrRunsNeverBoth, .max_blocking = 1) {
  std::atomic<int> ran{0}, returned{0}, threw{0};
  const int n = static_cast<int>(rounds(2'000));
  for (int i = 0; i < n; ++i) {
    fiber f([&] {
      try {
        blocking([&] { ++ran; });
        ++returned;
      } catch (const heddle::cancelled&) {
        ++threw;
      }
    });
    if (i % 2 == 0) this_fiber::yield();
    f.cancel();
  }
  EXPECT_EQ(ran, returned);
  EXPECT_EQ(returned + threw, n);
}

HEDDLE_TEST(Blocking, UsesItsThreadsAgain) {
  std::set<pid_t> threads;
  for (int i = 0; i < 200; ++i) threads.insert(blocking([] { return thread_id(); }));
  EXPECT_LE(threads.size(), 20u);  // one is enough, if it is back in time
}

HEDDLE_TEST(Blocking, ReturnsAlsoToAFiberThatMustStayOnItsWorker) {
  const heddle::no_migrate stay;
  const pid_t home = thread_id();
  for (int i = 0; i < 50; ++i) {
    blocking([] {});
    ASSERT_EQ(thread_id(), home);
  }
}

HEDDLE_TEST(Blocking, StandsALotOfCalls) {
  std::atomic<std::size_t> done{0};
  heddle::wait_group all;
  for (int i = 0; i < 20; ++i) {
    all.go([&] {
      for (std::size_t k = 0; k < rounds(100); ++k) done += blocking([] { return std::size_t{1}; });
    });
  }
  all.wait();
  EXPECT_EQ(done, 20 * rounds(100));
}

TEST(Blocking, IsWaitedForAtTheEndOfTheRuntime) {
  std::atomic<bool> begun{false}, ended{false}, go_on{false};
  std::thread lets_it_end;
  {
    heddle::runtime rt({.workers = 2});
    rt.go([&] {
      blocking([&] {
        begun = true;
        while (!go_on) std::this_thread::yield();
        ended = true;
      });
    });
    EXPECT_TRUE(eventually([&] { return begun.load(); }));
    lets_it_end = std::thread([&] { go_on = true; });
  }
  EXPECT_TRUE(ended);
  lets_it_end.join();
}

}  // namespace
