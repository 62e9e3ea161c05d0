// SPDX-License-Identifier: BSL-1.0
// What is put off to the end of a fiber or thread: promises that are set "at thread exit", and
// notify_all_at_thread_exit. What std promises is asked of std too.
#include "sync/crew.hpp"

#include <heddle/sched/fiber_local.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/future.hpp>

#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::future_error_in;
using heddle_test::rounds;
using std::future_errc;
using std::future_status;
using namespace std::chrono_literals;

namespace {

/// Does something at its end.
template <class F>
struct at_destruction {
  explicit at_destruction(F f) : what(std::move(f)) {}
  at_destruction(const at_destruction&) = delete;
  at_destruction& operator=(const at_destruction&) = delete;
  ~at_destruction() { what(); }
  F what;
};

}  // namespace

HEDDLE_STD_TEST(AtThreadExit, AValueIsSetAtOnceAndReadyLater) {
  typename kit::template promise<std::string> p;
  auto f = p.get_future();
  std::atomic<bool> may_end{false};
  all.start([&] {
    p.set_value_at_thread_exit("at the end");
    EXPECT_EQ(future_error_in([&] { p.set_value("once more"); }),
              future_errc::promise_already_satisfied);
    EXPECT_EQ(future_error_in([&] { p.set_value_at_thread_exit("once more"); }),
              future_errc::promise_already_satisfied);
    EXPECT_TRUE(eventually([&] { return may_end.load(); }));
  });
  EXPECT_EQ(f.wait_for(5ms), future_status::timeout);
  may_end = true;
  EXPECT_EQ(f.get(), "at the end");
  all.join();
}

HEDDLE_STD_TEST(AtThreadExit, EveryKindOfOutcome) {
  int there = 1;
  typename kit::template promise<int&> a;
  typename kit::template promise<void> b;
  typename kit::template promise<int> c, d;
  const int value = 3;
  all.start([&] {
    a.set_value_at_thread_exit(there);
    b.set_value_at_thread_exit();
    c.set_exception_at_thread_exit(std::make_exception_ptr(std::logic_error("late")));
    d.set_value_at_thread_exit(value);
  });
  EXPECT_EQ(&a.get_future().get(), &there);
  b.get_future().get();
  EXPECT_THROW((void)c.get_future().get(), std::logic_error);
  EXPECT_EQ(d.get_future().get(), 3);
  all.join();
}

HEDDLE_STD_TEST(AtThreadExit, ThePromiseMayGoBefore) {
  typename kit::template future<int> f;
  typename kit::template promise<int> gone;
  all.start([&, other = std::move(gone)]() mutable {
    typename kit::template promise<int> p;
    f = p.get_future();
    p.set_value_at_thread_exit(1);
    auto mine = std::move(other);
    mine.set_value_at_thread_exit(2);  // nobody will ask
  });
  all.join();
  EXPECT_EQ(f.get(), 1) << "and it is not broken";
}

HEDDLE_STD_TEST(AtThreadExit, ReleasesWhoWaits) {
  for (std::size_t i = 0; i < rounds(150); ++i) {
    typename kit::template promise<std::size_t> p;
    const auto s = p.get_future().share();
    for (int k = 0; k < 2; ++k) {
      all.start([&, s] { EXPECT_EQ(s.get(), i); });
    }
    all.start([&] { p.set_value_at_thread_exit(i); });
    all.join();
  }
}

// On a thread, after all thread_locals; wherever they come from, and whenever they were first used.
HEDDLE_STD_TEST(AtThreadExit, AfterTheThreadLocals) {
  typename kit::template promise<void> p;
  std::atomic<int> destroyed{0};
  std::thread t([&] {
    const auto count = [&] { ++destroyed; };
    thread_local at_destruction<decltype(count)> before(count);
    static_cast<void>(before);
    p.set_value_at_thread_exit();
    const auto count_late = [&] {
      std::this_thread::sleep_for(1ms);
      ++destroyed;
    };
    thread_local at_destruction<decltype(count_late)> after(count_late);
    static_cast<void>(after);
  });
  p.get_future().get();
  EXPECT_EQ(destroyed.load(), 2);
  t.join();
}

HEDDLE_TEST(AtThreadExit, AfterTheFibersLocalsAndBeforeWhoJoins) {
  std::string order;  // of one fiber, then of who has joined it
  const auto note = [&] {
    for (int turn = 0; turn < 5; ++turn) heddle::this_fiber::yield();
    order += 'l';
  };
  using noting = at_destruction<decltype(note)>;
  heddle::fiber_local<noting> local([&] { return std::make_unique<noting>(note); });
  for (const bool first : {false, true}) {
    order.clear();
    heddle::promise<void> p;
    auto f = p.get_future();
    heddle::fiber ends([&] {
      if (first) p.set_value_at_thread_exit();
      *local;
      if (!first) p.set_value_at_thread_exit();
      heddle::this_fiber::yield();
      order += 'f';
      EXPECT_EQ(f.wait_for(0s), future_status::timeout);
    });
    if (first) {
      f.wait();
      EXPECT_EQ(order, "fl");
    }
    ends.join();
    EXPECT_EQ(order, "fl");
    EXPECT_EQ(f.wait_for(0s), future_status::ready);
  }
}

// A plain thread's fiber_locals are thread_locals.
HEDDLE_THREAD_TEST(AtThreadExit, AfterTheFiberLocalsOfAThread) {
  std::atomic<bool> destroyed{false};
  const auto note = [&] { destroyed = true; };
  using noting = at_destruction<decltype(note)>;
  heddle::fiber_local<noting> local([&] { return std::make_unique<noting>(note); });
  heddle::promise<void> p;
  std::thread t([&] {
    p.set_value_at_thread_exit();
    *local;
  });
  p.get_future().get();
  EXPECT_TRUE(destroyed.load());
  t.join();
}

// The last one to let the outcome go may be the fiber's own end, and what it destroys may use
// locals and the end once more.
HEDDLE_TEST(AtThreadExit, WhatEndsThereMayStartOver) {
  heddle::promise<int> second;
  std::atomic<int> made{0}, destroyed{0};
  const auto note = [&] { ++destroyed; };
  using noting = at_destruction<decltype(note)>;
  heddle::fiber_local<noting> local([&] {
    ++made;
    return std::make_unique<noting>(note);
  });
  const auto start_over = [&] {
    *local;
    second.set_value_at_thread_exit(2);
  };
  using starting = at_destruction<decltype(start_over)>;
  heddle::fiber([&] {
    *local;
    heddle::promise<std::unique_ptr<starting>> first;
    first.set_value_at_thread_exit(std::make_unique<starting>(start_over));
  }).join();
  EXPECT_EQ(made.load(), 2);
  EXPECT_EQ(destroyed.load(), 2);
  EXPECT_EQ(second.get_future().get(), 2);
}

HEDDLE_TEST(AtThreadExit, AlsoOfAFiberThatIsCancelled) {
  heddle::promise<int> p;
  auto f = p.get_future();
  auto ends = heddle_test::sleeping_fiber(rt, [&] {
    p.set_value_at_thread_exit(1);
    heddle::this_fiber::sleep_for(1h);
  });
  EXPECT_EQ(f.wait_for(0s), future_status::timeout);
  ends.cancel();
  EXPECT_EQ(f.get(), 1);
  ends.join();
}

HEDDLE_TEST(AtThreadExit, FollowsTheFiberToOtherWorkers) {
  for (std::size_t i = 0; i < rounds(100); ++i) {
    heddle::promise<int> p;
    auto f = p.get_future();
    heddle::go([&p] {
      heddle::this_fiber::yield();
      p.set_value_at_thread_exit(1);
      for (int turn = 0; turn < 5; ++turn) heddle::this_fiber::yield();
    });
    EXPECT_EQ(f.get(), 1);
  }
}

HEDDLE_STD_TEST(AtThreadExit, NotifiesAllOnceTheLockIsOpen) {
  typename kit::mutex m;
  typename kit::condition_variable c;
  bool ready = false;  // guarded by m
  std::atomic<int> through{0};
  for (int i = 0; i < 3; ++i) {
    all.start([&] {
      std::unique_lock hold(m);
      c.wait(hold, [&] { return ready; });
      ++through;
    });
  }
  std::atomic<bool> may_end{false};
  all.start([&] {
    std::unique_lock hold(m);
    notify_all_at_thread_exit(c, std::move(hold));
    EXPECT_FALSE(hold.owns_lock());
    ready = true;
    EXPECT_TRUE(eventually([&] { return may_end.load(); }));
    EXPECT_EQ(through.load(), 0);
  });
  may_end = true;
  all.join();
  EXPECT_EQ(through.load(), 3);
}

HEDDLE_CREW_TEST(AtThreadExit, WhoGetsTheMutexMayDestroyAll) {
  struct shared {
    heddle::mutex m;
    heddle::condition_variable c;
    bool ready = false;  // guarded by m
  };
  for (std::size_t i = 0; i < rounds(300); ++i) {
    auto both = std::make_unique<shared>();
    all.start([&] {
      std::unique_lock hold(both->m);
      while (!both->ready) (void)both->c.wait_for(hold, std::chrono::microseconds(i % 50));
      hold.unlock();
      both.reset();
    });
    all.start([&, mine = both.get()] {
      std::unique_lock hold(mine->m);
      mine->ready = true;
      notify_all_at_thread_exit(mine->c, std::move(hold));
    });
    all.join();
  }
}

#if defined(HEDDLE_ASSERTIONS)
TEST(AtThreadExit, DiesWithAMessageWithoutTheLock) {
  heddle::mutex m;
  heddle::condition_variable c;
  EXPECT_DEATH(
      notify_all_at_thread_exit(c, std::unique_lock<heddle::mutex>(m, std::defer_lock)),
      "condition_variable 0x[0-9a-f]+: the lock handed to notify_all_at_thread_exit is not locked");
}
#endif
