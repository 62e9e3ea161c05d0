// SPDX-License-Identifier: BSL-1.0
// async: calls in fibers of their own, and calls put off. What std promises is asked of std too.
#include "sync/crew.hpp"

#include <heddle/sched/fiber_local.hpp>
#include <heddle/sched/runtime.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/future.hpp>

#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

using heddle::cancel_reason;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::rounds;
using std::future_status;
using std::launch;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

int twice(int n) { return 2 * n; }
struct box {
  int n = 0;
  int plus(int m) const { return n + m; }
};

template <class... A>
concept can_async = requires(A&&... args) {
  heddle::async(std::forward<A>(args)...);
};
static_assert(can_async<int (*)(int), int> && can_async<launch, int (*)(int), int>);
static_assert(!can_async<int (*)(int)> && !can_async<launch, int (*)(int)> && !can_async<launch>);
static_assert(!can_async<void (*)(int&), int&>);
static_assert(can_async<void (*)(int&), std::reference_wrapper<int>>);
static_assert(can_async<void (*)(std::stop_token, int), int>);
static_assert(std::is_same_v<decltype(heddle::async(&twice, 1)), heddle::future<int>>);
static_assert(std::is_same_v<decltype(heddle::async(launch::async,
                                                    [](std::stop_token) -> box& {
                                                      static box b;
                                                      return b;
                                                    })),
                             heddle::future<box&>>);

constexpr launch policies[] = {launch::async, launch::deferred, launch::async | launch::deferred};

}  // namespace

HEDDLE_STD_TEST(Async, GivesWhatTheCallReturnsByEachPolicy) {
  for (const auto policy : policies) {
    int there = 1;
    auto f = kit::async(policy, &twice, 4);
    auto g = kit::async(policy, [&]() -> int& { return there; });
    auto h = kit::async(
        policy, [](int& n) { ++n; }, std::ref(there));
    EXPECT_EQ(f.get(), 8);
    h.get();
    EXPECT_EQ(&g.get(), &there);
    EXPECT_EQ(there, 2);
  }
  EXPECT_EQ(kit::async(&twice, 3).get(), 6);
}

HEDDLE_STD_TEST(Async, OrWhatItThrows) {
  for (const auto policy : policies) {
    auto f = kit::async(policy, []() -> int { throw std::runtime_error("no luck"); });
    f.wait();
    EXPECT_THROW((void)f.get(), std::runtime_error);
    EXPECT_FALSE(f.valid());
  }
}

HEDDLE_STD_TEST(Async, TakesWhatCanBeInvokedAndMovesItsArguments) {
  for (const auto policy : policies) {
    box b{3};
    EXPECT_EQ(kit::async(policy, &box::plus, &b, 1).get(), 4);
    EXPECT_EQ(kit::async(policy, &box::n, &b).get(), 3);
    auto owner = kit::async(
        policy,
        [p = std::make_unique<int>(1)](std::unique_ptr<int> q) mutable {
          *q += *p;
          return q;
        },
        std::make_unique<int>(5));
    EXPECT_EQ(*owner.get(), 6);
    const std::string text = "decayed";
    EXPECT_EQ(kit::async(
                  policy, [](std::string s) { return s + "!"; }, text)
                  .get(),
              "decayed!");
  }
}

HEDDLE_STD_TEST(Async, LargeCallablesToo) {
  struct large {
    char bytes[4096] = {};
  };
  for (const auto policy : policies) {
    large l;
    l.bytes[4000] = 'x';
    EXPECT_EQ(kit::async(policy, [l] { return l; }).get().bytes[4000], 'x');
  }
}

HEDDLE_STD_TEST(Async, RunsBesideTheCaller) {
  std::atomic<bool> go_on{false};
  auto f = kit::async(launch::async, [&] {
    while (!go_on.load()) std::this_thread::yield(), heddle::this_fiber::yield();
    return 1;
  });
  EXPECT_EQ(f.wait_for(0s), future_status::timeout);
  EXPECT_EQ(f.wait_until(steady_clock::now() + 1ms), future_status::timeout);
  go_on = true;
  EXPECT_EQ(f.wait_for(1h), future_status::ready);
  EXPECT_EQ(f.get(), 1);
}

HEDDLE_STD_TEST(Async, DeferredItRunsInTheFirstWhoWaits) {
  for (const bool by_get : {false, true}) {
    std::atomic<int> calls{0};
    auto caller = std::thread::id();
    auto f = kit::async(launch::deferred, [&] {
      ++calls;
      caller = std::this_thread::get_id();
      return 7;
    });
    EXPECT_EQ(f.wait_for(1h), future_status::deferred);
    EXPECT_EQ(f.wait_for(-1s), future_status::deferred);
    EXPECT_EQ(f.wait_until(steady_clock::now() + 1h), future_status::deferred);
    EXPECT_EQ(f.wait_until(std::chrono::system_clock::now() + 1h), future_status::deferred);
    EXPECT_EQ(calls.load(), 0);
    if (!by_get) {
      f.wait();
      EXPECT_EQ(calls.load(), 1);
      EXPECT_EQ(f.wait_for(0s), future_status::ready);
    }
    EXPECT_EQ(f.get(), 7);
    EXPECT_EQ(calls.load(), 1);
    EXPECT_NE(caller, std::thread::id());
  }
}

HEDDLE_STD_TEST(Async, DeferredAndSharedItRunsOnce) {
  for (std::size_t i = 0; i < rounds(150); ++i) {
    std::atomic<int> calls{0};
    auto s = kit::async(launch::deferred, [&] {
               ++calls;
               std::this_thread::yield();
               return std::make_unique<int>(5);
             }).share();
    for (int k = 0; k < 4; ++k) {
      all.start([&, s] { EXPECT_EQ(*s.get(), 5); });
    }
    all.join();
    EXPECT_EQ(calls.load(), 1);
  }
}

HEDDLE_STD_TEST(Async, DeferredAndNeverAskedForItDoesNotRun) {
  const auto held = std::make_shared<int>(1);
  {
    auto f = kit::async(launch::deferred, [held] { FAIL(); });
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

// Where one has begun to run it, it "is no longer considered deferred" ([futures.async]).
HEDDLE_CREW_TEST(Async, OneThatBeganIsDeferredNoMore) {
  std::atomic<bool> began{false}, may_end{false};
  const auto s = heddle::async(launch::deferred, [&] {
                   began = true;
                   EXPECT_TRUE(eventually([&] { return may_end.load(); }));
                 }).share();
  EXPECT_EQ(s.wait_for(0s), future_status::deferred);
  all.start([s] { s.wait(); });
  EXPECT_TRUE(eventually([&] { return began.load(); }));
  EXPECT_EQ(s.wait_for(1ms), future_status::timeout);
  may_end = true;
  EXPECT_EQ(s.wait_for(1h), future_status::ready);
  all.join();
}

HEDDLE_TEST(Async, TheLocalsOfItsFiberAreGoneBeforeItIsReady) {
  struct slow_to_end {
    bool* ended = nullptr;
    ~slow_to_end() {
      heddle::this_fiber::yield();
      if (ended != nullptr) *ended = true;
    }
  };
  heddle::fiber_local<slow_to_end> local;
  bool ended = false;
  heddle::async(launch::async, [&] { local->ended = &ended; }).get();
  EXPECT_TRUE(ended);
  // Put off, it is part of who asks for it.
  ended = false;
  heddle::async(launch::deferred, [&] { local->ended = &ended; }).get();
  EXPECT_FALSE(ended);
  local->ended = nullptr;
}

HEDDLE_CREW_TEST(Async, TheCallableIsGoneBeforeItIsReady) {
  struct slow {
    std::shared_ptr<int> held;
    std::atomic<bool>* gone;
    slow(std::shared_ptr<int> h, std::atomic<bool>* g) : held(std::move(h)), gone(g) {}
    slow(slow&&) = default;
    ~slow() {
      if (held == nullptr) return;
      for (int i = 0; i < 3; ++i) heddle::this_fiber::yield();
      *gone = true;
    }
  };
  for (const auto policy : policies) {
    std::atomic<bool> gone{false};
    auto f = heddle::async(policy, [s = slow(std::make_shared<int>(1), &gone)] { return *s.held; });
    f.wait();
    EXPECT_TRUE(gone.load());
    EXPECT_EQ(f.get(), 1);
  }
}

HEDDLE_CREW_TEST(Async, TheFutureDoesNotWaitInItsDestructor) {
  heddle::channel<int> go_on, done;
  all.start([&] {
    {
      auto f = heddle::async(launch::async, [=]() mutable { done.send(*go_on.receive()); });
    }
    go_on.send(1);
  });
  EXPECT_EQ(done.receive(), 1);
  all.join();
}

HEDDLE_TEST(Async, RunsInTheFibersRuntimeWithATokenAndItsArguments) {
  heddle::runtime* const here = heddle::runtime::current();
  auto f = heddle::async(
      [here](std::stop_token token, int n) {
        EXPECT_EQ(heddle::runtime::current(), here);
        EXPECT_TRUE(token.stop_possible());
        EXPECT_FALSE(token.stop_requested());
        EXPECT_EQ(token, heddle::this_fiber::get_stop_token());
        return n;
      },
      5);
  EXPECT_EQ(f.get(), 5);
  const auto me = heddle::this_fiber::get_id();
  auto deferred = heddle::async(launch::deferred, [me](std::stop_token token) {
    EXPECT_EQ(heddle::this_fiber::get_id(), me);
    EXPECT_EQ(token, heddle::this_fiber::get_stop_token());
  });
  deferred.get();
}

HEDDLE_THREAD_TEST(Async, FromAPlainThreadItRunsInTheDefaultRuntime) {
  EXPECT_EQ(heddle::async([] { return heddle::runtime::current(); }).get(),
            &heddle::runtime::default_runtime());
  EXPECT_FALSE(heddle::async(launch::deferred, [](std::stop_token token) {
                 return token.stop_possible();
               }).get());
}

HEDDLE_TEST(Async, ACancellationIsItsOutcome) {
  heddle::channel<int> never;
  heddle::future<void> f;
  {
    heddle::runtime other({.workers = 1});
    f = other.run([&] {
      auto made = heddle::async([never]() mutable { (void)never.receive(); });
      heddle::this_fiber::yield();
      return made;
    });
  }
  EXPECT_EQ(cancelled_in([&] { f.get(); }), cancel_reason::shutdown);
}

HEDDLE_TEST(Async, ADeferredCallThatIsCancelledHasRun) {
  auto f = heddle::async(launch::deferred, [] {
    heddle::this_fiber::sleep_for(1h);
    return 1;
  });
  in_cancelled_fiber(rt, [&] {
    EXPECT_TRUE(cancelled_in([&] { f.wait(); }));
    EXPECT_TRUE(cancelled_in([&] { (void)f.wait_for(1h); }));
  });
  EXPECT_EQ(f.wait_for(0s), future_status::deferred) << "cancelled on entry: it has not begun";
  heddle::fiber one([&] { f.wait(); });
  EXPECT_TRUE(eventually([&] { return f.wait_for(0s) != future_status::deferred; }));
  one.cancel();
  one.join();
  EXPECT_EQ(cancelled_in([&] { (void)f.get(); }), cancel_reason::requested);
}

HEDDLE_CREW_TEST(Async, RefusesWhatItCannotRun) {
  for (const auto policy : policies) {
    EXPECT_THROW((void)heddle::async(policy, std::function<void()>()), std::invalid_argument);
    EXPECT_THROW((void)heddle::async(policy, static_cast<void (*)()>(nullptr)),
                 std::invalid_argument);
  }
  EXPECT_THROW((void)heddle::async(std::function<int()>()), std::invalid_argument);
  try {
    (void)heddle::async(launch{}, [] {});
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::invalid_argument);
  }
}

HEDDLE_TEST(Async, AThrowingArgumentStartsNothing) {
  struct shy {
    shy() = default;
    shy(const shy&) { throw std::logic_error("it does not like to be copied"); }
  };
  const shy one;
  for (const auto policy : policies) {
    EXPECT_THROW((void)heddle::async(
                     policy, [](const shy&) { FAIL(); }, one),
                 std::logic_error);
  }
}

HEDDLE_CREW_TEST(Async, ManyAtOnce) {
  const int times = static_cast<int>(rounds(400));
  for (int k = 0; k < 3; ++k) {
    all.start([&] {
      std::vector<heddle::future<int>> results;
      for (int i = 0; i < times; ++i) results.push_back(heddle::async([i] { return twice(i); }));
      for (int i = 0; i < times; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), 2 * i);
    });
  }
  all.join();
}
