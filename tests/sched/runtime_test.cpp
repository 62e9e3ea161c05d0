// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <dirent.h>

#include <algorithm>
#include <any>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::runtime;

std::size_t entries(const char* directory) {
  std::size_t count = 0;
  DIR* d = ::opendir(directory);
  while (::readdir(d) != nullptr) ++count;
  ::closedir(d);
  return count;
}

// --- what run returns ---

struct from_anything {
  from_anything() = default;
  template <class T>
  from_anything(const T&) {
    ADD_FAILURE() << "made from something else";
  }
};

HEDDLE_THREAD_TEST(Run, ReturnsWhatItsFunctionReturns) {
  EXPECT_EQ(rt.run([] { return 42; }), 42);
  EXPECT_EQ(rt.run([](int a, std::string b) { return std::to_string(a) + b; }, 4, "x"), "4x");
  static_assert(std::is_void_v<decltype(rt.run([] {}))>);
  rt.run([] {});
}

HEDDLE_THREAD_TEST(Run, ReturnsReferences) {
  int n = 1;
  static_assert(std::is_same_v<decltype(rt.run([&]() -> int& { return n; })), int&>);
  EXPECT_EQ(&rt.run([&]() -> int& { return n; }), &n);
  EXPECT_EQ(&rt.run([&]() -> const int& { return n; }), &n);
  std::string s = "moved";
  static_assert(std::is_same_v<decltype(rt.run([&]() -> std::string&& { return std::move(s); })),
                               std::string&&>);
  const std::string taken = rt.run([&]() -> std::string&& { return std::move(s); });
  EXPECT_EQ(taken, "moved");
}

HEDDLE_THREAD_TEST(Run, ReturnsWhatCanOnlyBeMovedOrNotBeMadeByDefault) {
  EXPECT_EQ(*rt.run([] { return std::make_unique<int>(7); }), 7);
  struct number {
    explicit number(int i) : value(i) {}
    int value;
  };
  EXPECT_EQ(rt.run([] { return number(8); }).value, 8);
  (void)rt.run([] { return from_anything(); });
  EXPECT_EQ(std::any_cast<int>(rt.run([] { return std::any(5); })), 5);
  EXPECT_EQ(rt.run([] { return std::optional<int>(6); }), 6);
}

HEDDLE_THREAD_TEST(Run, PassesArgumentsOnAsStdThreadDoes) {
  struct counter {
    int add(int n) { return value += n; }
    int value = 0;
  };
  counter c;
  EXPECT_EQ(rt.run(&counter::add, &c, 3), 3);
  EXPECT_EQ(rt.run(&counter::add, std::ref(c), 4), 7);
  int n = 0;
  rt.run([](int& i) { ++i; }, std::ref(n));
  EXPECT_EQ(n, 1);
  EXPECT_EQ(rt.run([](std::unique_ptr<int> p) { return *p; }, std::make_unique<int>(9)), 9);
  EXPECT_TRUE(rt.run([](std::stop_token t, int) { return t.stop_possible(); }, 1));
}

HEDDLE_THREAD_TEST(Run, RethrowsWhatLeavesItsFunction) {
  EXPECT_THROW(rt.run([] { throw 5; }), int);
  try {
    rt.run([]() -> int { throw std::runtime_error("it"); });
    ADD_FAILURE() << "no exception";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "it");
  }
  EXPECT_THROW(rt.run([]() -> int& { throw std::logic_error("a reference"); }), std::logic_error);
  EXPECT_EQ(rt.run([] { return 1; }), 1) << "the runtime goes on";
}

TEST(Run, ReturnsAReferenceAsOne) {
  static int one = 1;
  const auto itself = []() -> int& { return one; };
  static_assert(std::is_same_v<decltype(heddle::run(itself)), int&>);
  static_assert(std::is_same_v<decltype(heddle::run(heddle::options{}, itself)), int&>);
  EXPECT_EQ(&heddle::run(itself), &one);
}

HEDDLE_THREAD_TEST(Run, RethrowsThatItsFiberWasCancelled) {
  try {
    rt.run([] { throw heddle::cancelled(heddle::cancel_reason::sibling_failed); });
    ADD_FAILURE() << "no exception";
  } catch (const heddle::cancelled& c) {
    EXPECT_EQ(c.reason(), heddle::cancel_reason::sibling_failed);
  }
}

HEDDLE_THREAD_TEST(Run, RefusesANullCallable) {
  void (*none)() = nullptr;
  EXPECT_THROW(rt.run(none), std::invalid_argument);
  EXPECT_THROW(rt.run(std::function<int()>{}), std::invalid_argument);
  EXPECT_THROW(rt.go(none), std::invalid_argument);
  EXPECT_THROW(rt.go(std::function<void()>{}), std::invalid_argument);
  EXPECT_EQ(rt.stats().fibers_alive, 0u);
}

HEDDLE_THREAD_TEST(Run, MakesVisibleWhatWasDoneBefore) {
  std::vector<int> plain;
  plain.push_back(1);
  rt.run([&] { plain.push_back(2); });
  plain.push_back(3);
  EXPECT_EQ(plain, (std::vector{1, 2, 3}));
}

HEDDLE_THREAD_TEST(Run, MayBeCalledFromManyThreadsAtOnce) {
  const auto calls = rounds(500);
  std::atomic<std::size_t> sum{0};
  on_threads(4, [&](int) {
    for (std::size_t i = 0; i < calls; ++i) sum += rt.run([i] { return i; });
  });
  EXPECT_EQ(sum, 4 * calls * (calls - 1) / 2);
}

// --- run from inside a fiber ---

HEDDLE_TEST(Run, MayBeCalledFromAFiberOfTheSameRuntime) {
  const auto outer = this_fiber::get_id();
  heddle::fiber::id inner;
  EXPECT_EQ(rt.run([&] {
    inner = this_fiber::get_id();
    return rt.run([] { return 5; }) + 1;
  }),
            6);
  EXPECT_NE(inner, outer);
  EXPECT_NE(inner, heddle::fiber::id{});
  EXPECT_THROW(rt.run([] { throw 1; }), int);
}

HEDDLE_TEST(Run, LetsOthersRunWhileAFiberWaitsInIt) {
  std::atomic<bool> met{false};
  heddle::fiber neighbour([&] { met = true; });
  rt.run([&] {
    while (!met) this_fiber::yield();
  });
  neighbour.join();
}

HEDDLE_TEST(Run, MayBeCalledFromAFiberOfAnotherRuntime) {
  runtime other({.workers = 1});
  EXPECT_EQ(runtime::current(), &rt);
  for (std::size_t i = 0; i < rounds(200); ++i) {
    runtime* seen = other.run([&] {
      // And back: both runtimes' fibers wait for each other's.
      EXPECT_EQ(rt.run([] { return runtime::current(); }), &rt);
      return runtime::current();
    });
    ASSERT_EQ(seen, &other);
  }
  EXPECT_EQ(runtime::current(), &rt);
}

HEDDLE_TEST(Run, IsNoCancellationPoint) {
  std::atomic<bool> began{false}, go_on{false};
  bool came_back = false, cancelled_then = false;
  heddle::fiber caller([&] {
    rt.run([&] {
      began = true;
      while (!go_on) this_fiber::yield();
    });
    rt.run([] {});  // also not on entry
    came_back = true;
    try {
      this_fiber::check_cancel();
    } catch (const heddle::cancelled&) {
      cancelled_then = true;
      throw;
    }
  });
  ASSERT_TRUE(eventually([&] { return began.load(); }));
  EXPECT_TRUE(caller.cancel());
  go_on = true;
  caller.join();
  EXPECT_TRUE(came_back);
  EXPECT_TRUE(cancelled_then);
}

TEST(Run, MakesARuntimeForOneCall) {
  EXPECT_EQ(heddle::run([] { return 4; }), 4);
  EXPECT_EQ(heddle::run([](int n) { return n; }, 5), 5);
  EXPECT_EQ(heddle::run({.workers = 3}, [] { return runtime::current()->workers(); }), 3u);
  EXPECT_EQ(heddle::run(
                heddle::options{.workers = 2}, [](int n) { return n; }, 6),
            6);
  EXPECT_THROW(heddle::run([] { throw 1; }), int);
}

TEST(Run, CancelsAtTheEndWhatIsStillAlive) {
  std::atomic<int> ended{0};
  heddle::run({.workers = 2}, [&] {
    for (int i = 0; i < 10; ++i) {
      heddle::go([&ended] {
        struct at_end {
          std::atomic<int>& count;
          ~at_end() { ++count; }
        } const last{ended};
        this_fiber::sleep_for(1h);
      });
    }
  });
  EXPECT_EQ(ended, 10);
}

// --- the life of a runtime ---

HEDDLE_THREAD_TEST(Runtime, HasTheWorkersThatWereAskedFor) {
  EXPECT_TRUE(rt.workers() == 1 || rt.workers() == 2 || rt.workers() == 8);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  std::atomic<unsigned> here{0};
  heddle::wait_group all;
  // So many fibers that each hold a worker need so many workers.
  rt.run([&] {
    for (unsigned i = 0; i < rt.workers(); ++i) {
      all.go([&] {
        const heddle::no_migrate stay;
        ++here;
        while (here < rt.workers()) heddle::detail::cpu_relax();
        const std::lock_guard hold(mutex);
        seen.insert(std::this_thread::get_id());
      });
    }
    all.wait();
  });
  EXPECT_GE(seen.size(), 1u);
  EXPECT_LE(seen.size(), rt.workers() + rt.stats().long_runs);
}

TEST(Runtime, CanBeMadeAndDestroyedAnyNumberOfTimes) {
  heddle::run({.workers = 2}, [] {});  // what is made once per process
  const auto threads = entries("/proc/self/task");
  const auto descriptors = entries("/proc/self/fd");
  const auto mappings = [] {
    std::ifstream in("/proc/self/maps");
    return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  };
  const auto before = mappings();
  for (std::size_t i = 0; i < 200; ++i) {
    runtime rt({.workers = static_cast<unsigned>(1 + i % 8)});
    if (i % 2 == 0) {
      ASSERT_EQ(rt.run([&] { return rt.workers(); }), 1 + i % 8);
    }
    if (i % 3 == 0) rt.go([] { this_fiber::sleep_for(1h); });
    if (i % 5 == 0) rt.run([] { heddle::blocking([] {}); });
  }
  EXPECT_EQ(entries("/proc/self/task"), threads);
  EXPECT_EQ(entries("/proc/self/fd"), descriptors);
  EXPECT_LT(mappings(), before + 100);
}

TEST(Runtime, MayStandBesideMany) {
  constexpr std::size_t count = 16;
  std::vector<std::unique_ptr<runtime>> all;
  for (std::size_t i = 0; i < count; ++i) {
    all.push_back(std::make_unique<runtime>(heddle::options{.workers = 2}));
  }
  heddle::channel<std::size_t> ring[count];
  // A number goes once around; each runtime has one station.
  for (std::size_t i = 0; i < count; ++i) {
    all[i]->go([from = ring[i], to = ring[(i + 1) % count], i, &all]() mutable {
      EXPECT_EQ(runtime::current(), all[i].get());
      to.send(*from.receive() + 1);
    });
  }
  // A plain thread is a party like any other.
  ring[0].send(0);
  EXPECT_EQ(ring[0].receive(), count);
  for (auto& each : all) expect_nothing_left(*each);
}

TEST(Runtime, MayBeMadeAndDestroyedByManyThreadsAtOnce) {
  on_threads(4, [](int) {
    for (std::size_t i = 0; i < rounds(50); ++i) {
      runtime rt({.workers = 2});
      ASSERT_EQ(rt.run([] { return 3; }), 3);
    }
  });
}

HEDDLE_TEST(Runtime, MayBeMadeAndDestroyedInAFiberOfAnother) {
  for (int i = 0; i < 20; ++i) {
    std::atomic<bool> cancelled{false};
    {
      runtime inner({.workers = 1});
      EXPECT_EQ(inner.run([] { return 1; }), 1);
      inner.go([&] {
        try {
          this_fiber::sleep_for(1h);
        } catch (const heddle::cancelled&) {
          cancelled = true;
          throw;
        }
      });
    }
    EXPECT_TRUE(cancelled);
    EXPECT_EQ(runtime::current(), &rt);
  }
}

TEST(RuntimeDeathTest, DiesWhenDestroyedByOneOfItsOwnFibers) {
  EXPECT_DEATH(
      {
        auto rt = std::make_unique<runtime>(heddle::options{.workers = 2});
        rt->run([&] { rt.reset(); });
      },
      "heddle: a runtime was destroyed from one of its own fibers");
}

TEST(RuntimeDeathTest, DiesWhenAHandleOutlivesIt) {
  EXPECT_DEATH(
      {
        heddle::fiber late;
        runtime rt({.workers = 1});
        late = heddle::fiber({.on = &rt}, [] {});
      },
      "the handle of fiber [0-9]+ outlives its runtime: join");
}

// --- the end of a runtime cancels ---

/// Counts how its fibers came to their ends.
struct endings {
  std::atomic<int> begun{0}, cancelled{0}, destroyed{0};

  /// `op` is run again and again until it throws.
  template <class Op>
  auto until_cancelled(Op op) {
    return [this, op,
            last = std::shared_ptr<void>(nullptr, [this](void*) { ++destroyed; })]() mutable {
      ++begun;
      try {
        for (;;) op();
      } catch (const heddle::cancelled& c) {
        EXPECT_EQ(c.reason(), heddle::cancel_reason::shutdown);
        EXPECT_TRUE(this_fiber::get_stop_token().stop_requested());
        ++cancelled;
        throw;
      }
    };
  }
};

void expect_all_cancelled_at_the_end(unsigned workers) {
  endings seen;
  int started = 0;
  heddle::channel<int> empty, full(1);
  full.send(1);
  heddle::wait_group forever;
  forever.add();
  heddle::mutex mutex;
  heddle::condition_variable condition;
  {
    runtime rt({.workers = workers});
    const auto start = [&](auto op) {
      for (int i = 0; i < 5; ++i, ++started) rt.go(seen.until_cancelled(op));
    };
    start([] { this_fiber::sleep_for(1h); });
    start([] { this_fiber::check_cancel(), this_fiber::yield(); });
    start([=]() mutable { empty.receive(); });
    start([=]() mutable { full.send(2); });
    start([&] { forever.wait(); });
    start([&] {
      std::unique_lock lock(mutex);
      condition.wait(lock);
    });
    start([&rt] { heddle::fiber({.on = &rt}, [] { this_fiber::sleep_for(1h); }).join(); });
    start([] { heddle::blocking([] {}); });
    EXPECT_TRUE(eventually([&] { return seen.begun == started; }));
  }
  EXPECT_EQ(seen.begun, started);
  EXPECT_EQ(seen.cancelled, started);
  EXPECT_EQ(seen.destroyed, started);
  EXPECT_EQ(full.size(), 1u);
}

TEST(RuntimeEnd, CancelsEveryLiveFiberWithOneWorker) { expect_all_cancelled_at_the_end(1); }
TEST(RuntimeEnd, CancelsEveryLiveFiberWithTwoWorkers) { expect_all_cancelled_at_the_end(2); }
TEST(RuntimeEnd, CancelsEveryLiveFiberWithEightWorkers) { expect_all_cancelled_at_the_end(8); }

TEST(RuntimeEnd, RunsAlsoWhatHasNotBegun) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    std::atomic<int> ran{0}, destroyed{0};
    constexpr int count = 10'000;
    {
      runtime rt({.workers = workers});
      for (int i = 0; i < count; ++i) {
        rt.go([&ran, last = std::shared_ptr<void>(nullptr, [&](void*) { ++destroyed; })] {
          ++ran;
          this_fiber::check_cancel();
        });
      }
    }
    EXPECT_EQ(ran, count);
    EXPECT_EQ(destroyed, count);
  }
}

TEST(RuntimeEnd, CancelsFromTheStartWhatIsStartedMeanwhile) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    std::atomic<int> late{0};
    std::atomic<bool> begun{false};
    {
      runtime rt({.workers = workers});
      rt.go([&] {
        begun = true;
        try {
          this_fiber::sleep_for(1h);
        } catch (const heddle::cancelled&) {
          for (int i = 0; i < 10; ++i) {
            heddle::go([&] {
              try {
                this_fiber::check_cancel();
                ADD_FAILURE() << "it is not cancelled";
              } catch (const heddle::cancelled& c) {
                EXPECT_EQ(c.reason(), heddle::cancel_reason::shutdown);
                ++late;
              }
            });
          }
        }
      });
      EXPECT_TRUE(eventually([&] { return begun.load(); }));
    }
    EXPECT_EQ(late, 10);
  }
}

TEST(RuntimeEnd, WaitsForFibersThatTakeTheirTime) {
  std::atomic<bool> begun{false}, ended{false};
  {
    runtime rt({.workers = 2});
    rt.go([&] {
      begun = true;
      for (int i = 0; i < 1000; ++i) this_fiber::yield();  // no cancellation point
      heddle::mutex m;
      const std::lock_guard hold(m);
      ended = true;
    });
    EXPECT_TRUE(eventually([&] { return begun.load(); }));
  }
  EXPECT_TRUE(ended);
}

TEST(RuntimeEnd, CancelsChainsOfFibersThatStartOthers) {
  struct chain {
    static void link(int left, std::atomic<int>& count) {
      ++count;
      if (left > 0) heddle::go([left, &count] { link(left - 1, count); });
    }
  };
  for (const unsigned workers : {1u, 2u, 8u}) {
    std::atomic<int> count{0};
    {
      runtime rt({.workers = workers});
      rt.go([&] { chain::link(5000, count); });
    }
    EXPECT_EQ(count, 5001);
  }
}

// --- current and default runtimes ---

HEDDLE_THREAD_TEST(Runtime, IsCurrentInItsFibersOnly) {
  EXPECT_EQ(runtime::current(), nullptr);
  EXPECT_EQ(rt.run([] { return runtime::current(); }), &rt);
  EXPECT_EQ(rt.run([] { return heddle::blocking([] { return runtime::current(); }); }), &rt);
  EXPECT_EQ(rt.run([] {
    runtime* seen = nullptr;
    heddle::fiber([&] { seen = runtime::current(); }).join();
    return seen;
  }),
            &rt);
  EXPECT_EQ(runtime::current(), nullptr);
}

HEDDLE_THREAD_TEST(Runtime, RunsWhatIsSentToItFromAnyThread) {
  std::atomic<int> ran{0};
  heddle::wait_group all;
  all.add(40);
  on_threads(4, [&](int) {
    for (int i = 0; i < 10; ++i) {
      rt.go(
          [&](int n) {
            EXPECT_EQ(runtime::current(), &rt);
            ran += n;
            all.done();
          },
          1);
    }
  });
  all.wait();
  EXPECT_EQ(ran, 40);
}

TEST(DefaultRuntime, IsOneForAllPlainThreads) {
  runtime* seen[4];
  on_threads(4, [&](int i) {
    seen[i] = &runtime::default_runtime();
    heddle::fiber([&, i] { EXPECT_EQ(runtime::current(), seen[i]); }).join();
  });
  for (runtime* each : seen) EXPECT_EQ(each, seen[0]);
  EXPECT_EQ(runtime::current(), nullptr);
}

TEST(DefaultRuntime, RunsWhatPlainThreadsStart) {
  heddle::wait_group all;
  std::atomic<int> ran{0};
  const auto body = [&] {
    EXPECT_EQ(runtime::current(), &runtime::default_runtime());
    ++ran;
    // From its fibers, the same.
    heddle::fiber([] { EXPECT_EQ(runtime::current(), &runtime::default_runtime()); });
  };
  all.go(body);
  all.add(2);
  heddle::go([&] {
    body();
    all.done();
  });
  heddle::go({.name = "named"}, [&] {
    EXPECT_EQ(this_fiber::name(), "named");
    body();
    all.done();
  });
  all.wait();
  heddle::fiber(body).join();
  EXPECT_EQ(ran, 4);
  expect_nothing_left(runtime::default_runtime());
}

HEDDLE_TEST(DefaultRuntime, IsNotUsedByFibersOfAnother) {
  runtime* seen = nullptr;
  heddle::fiber([&] { seen = runtime::current(); }).join();
  EXPECT_EQ(seen, &rt);
  runtime& other = runtime::default_runtime();
  heddle::fiber({.on = &other}, [&] { seen = runtime::current(); }).join();
  EXPECT_EQ(seen, &other);
}

}  // namespace
