// SPDX-License-Identifier: BSL-1.0
// parallel: every iteration once, whatever the others do; failures, cancellation; ranges of every
//   kind; results in order.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/parallel.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <numeric>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <vector>

using heddle::cancel_reason;
using heddle::parallel_for;
using heddle::parallel_for_each;
using heddle::parallel_map;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;

namespace {

/// How often each of [first, last) was called; true if once each.
template <class I>
class tally {
 public:
  tally(I first, std::size_t n) : first_(first), counts_(n) {}
  void add(I i) {
    // Also the distance is unsigned: nothing overflows.
    using number = std::make_unsigned_t<I>;
    const auto at = static_cast<number>(static_cast<number>(i) - static_cast<number>(first_));
    counts_.at(static_cast<std::size_t>(at)).fetch_add(1, std::memory_order_relaxed);
  }
  bool each_once() const {
    for (const auto& n : counts_) {
      if (n.load() != 1) return false;
    }
    return true;
  }

 private:
  I first_;
  std::vector<std::atomic<int>> counts_;
};

template <class I>
void expect_each_once(I first, I last, std::size_t n) {
  tally<I> t(first, n);
  parallel_for(first, last, [&](I i) { t.add(i); });
  EXPECT_TRUE(t.each_once());
}

template <class I>
void expect_right_at_the_ends() {
  constexpr I low = std::numeric_limits<I>::min(), high = std::numeric_limits<I>::max();
  expect_each_once<I>(low, static_cast<I>(low + 5), 5);
  expect_each_once<I>(static_cast<I>(high - 5), high, 5);
  expect_each_once<I>(static_cast<I>(high - 1), high, 1);
  int ran = 0;
  parallel_for(high, low, [&](I) { ++ran; });
  parallel_for(low, low, [&](I) { ++ran; });
  parallel_for(high, high, [&](I) { ++ran; });
  EXPECT_EQ(ran, 0);
  // The whole range: begun, and left.
  if constexpr (sizeof(I) > 2) {
    std::atomic<std::size_t> calls{0};
    EXPECT_THROW(parallel_for(low, high,
                              [&](I) {
                                if (++calls == 1000) throw 1;
                              }),
                 int);
  } else {
    expect_each_once<I>(low, high, (std::size_t{1} << (8 * sizeof(I))) - 1);
  }
}

/// A range that can be read once, whose elements are move-only and made as it goes.
class one_pass {
 public:
  explicit one_pass(int n, int throws_at = -1) : left_(n), throws_at_(throws_at) {}
  class iterator {
   public:
    using value_type = std::unique_ptr<int>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;
    iterator() = default;
    explicit iterator(one_pass* of) : of_(of) {}
    std::unique_ptr<int> operator*() const { return std::make_unique<int>(of_->at_); }
    iterator& operator++() {
      if (++of_->at_ == of_->throws_at_) throw std::runtime_error("the range");
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return of_->at_ == of_->left_; }

   private:
    one_pass* of_ = nullptr;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  int at_ = 0, left_, throws_at_;
};
static_assert(std::ranges::input_range<one_pass> && !std::ranges::forward_range<one_pass>);

std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

struct not_default {
  explicit not_default(int v) : value(v) {}
  int value;
};

}  // namespace

HEDDLE_CREW_TEST(ParallelFor, RunsEachIterationOnce) {
  for (const int n : {1, 2, 3, 7, 64, 1'000, 100'000}) {
    expect_each_once(0, n, static_cast<std::size_t>(n));
    expect_each_once(-n, 0, static_cast<std::size_t>(n));
  }
}

HEDDLE_TEST(ParallelFor, CountsWithEveryIntegerRightAtItsEnds) {
  expect_right_at_the_ends<signed char>();
  expect_right_at_the_ends<unsigned char>();
  expect_right_at_the_ends<char>();
  expect_right_at_the_ends<short>();
  expect_right_at_the_ends<unsigned short>();
  expect_right_at_the_ends<int>();
  expect_right_at_the_ends<unsigned>();
  expect_right_at_the_ends<std::int64_t>();
  expect_right_at_the_ends<std::uint64_t>();
}

HEDDLE_TEST(ParallelFor, OfAnEmptyOrReversedRangeDoesNothing) {
  bool ran = false;
  parallel_for(3, 3, [&](int) { ran = true; });
  parallel_for(4, 3, [&](int) { ran = true; });
  parallel_for(std::size_t{4}, std::size_t{0}, [&](std::size_t) { ran = true; });
  EXPECT_FALSE(ran);
}

HEDDLE_TEST(ParallelFor, CountsWithIteratorsToo) {
  std::vector<int> v(1000, 1);
  parallel_for(v.begin(), v.end(), [](std::vector<int>::iterator i) { ++*i; });
  EXPECT_EQ(v, std::vector<int>(1000, 2));
  parallel_for(v.data(), v.data() + 10, [](int* i) { ++*i; });
  EXPECT_EQ(v[9], 3);
  parallel_for(v.end(), v.begin(), [](auto) { ADD_FAILURE(); });
}

HEDDLE_TEST(ParallelFor, RunsInFibersOfTheCallersRuntime) {
  const auto caller = heddle::this_fiber::get_id();
  parallel_for(0, 100, [&](int) {
    EXPECT_EQ(heddle::runtime::current(), &rt);
    EXPECT_NE(heddle::this_fiber::get_id(), caller);
  });
}

HEDDLE_THREAD_TEST(ParallelFor, FromAPlainThreadItRunsInTheDefaultRuntime) {
  std::atomic<int> ran{0};
  parallel_for(0, 100, [&](int) {
    EXPECT_EQ(heddle::runtime::current(), &heddle::runtime::default_runtime());
    ++ran;
  });
  EXPECT_EQ(ran.load(), 100);
  heddle::latch together(20);
  parallel_for(0, 20, [&](int) { together.arrive_and_wait(); });
}

HEDDLE_TEST(ParallelFor, IterationsHappenBeforeTheReturn) {
  std::vector<int> v(10'000);
  for (std::size_t i = 0; i < rounds(50); ++i) {
    parallel_for(std::size_t{0}, v.size(), [&](std::size_t n) { v[n] += 1; });
    for (const int each : v) ASSERT_EQ(each, static_cast<int>(i) + 1);
  }
}

// Two that compute are not left to one worker.
HEDDLE_TEST(ParallelFor, TwoLongIterationsRunOnTwoWorkers) {
  if (rt.workers() == 1) return;
  std::atomic<int> inside{0};
  parallel_for(0, 2, [&](int) {
    ++inside;
    while (inside.load() < 2) {
    }
  });
  // Also when they come late in a loop of trivial ones.
  inside = 0;
  parallel_for(0, 10'000, [&](int i) {
    if (i != 5'000 && i != 5'001) return;
    ++inside;
    while (inside.load() < 2) {
    }
  });
}

HEDDLE_TEST(ParallelFor, EachIterationMayWaitForEveryOther) {
  for (const int n : {2, 8, 100, heddle_test::tsan ? 200 : 3'000}) {
    heddle::latch together(n);
    parallel_for(0, n, [&](int) { together.arrive_and_wait(); });
  }
}

// Wherever it stands: between trivial ones, at an end.
HEDDLE_TEST(ParallelFor, AnIterationThatBlocksHoldsUpNoOther) {
  for (const int n : {2, 8, 1'000, 20'000}) {
    for (const int blocks : {0, 1, n / 2, n - 1}) {
      heddle::latch others(n - 1);
      parallel_for(0, n, [&](int i) {
        if (i == blocks) {
          others.wait();
        } else {
          others.count_down();
        }
      });
    }
  }
}

HEDDLE_TEST(ParallelFor, AnIterationMayWaitForTheNextOne) {
  constexpr int n = 200;
  std::vector<std::unique_ptr<heddle::latch>> done;
  for (int i = 0; i <= n; ++i) done.push_back(std::make_unique<heddle::latch>(i == n ? 0 : 1));
  parallel_for(0, n, [&](int i) {
    done[static_cast<std::size_t>(i) + 1]->wait();
    done[static_cast<std::size_t>(i)]->count_down();
  });
}

// No worker is ever idle, since there is always one who yields.
HEDDLE_TEST_WITH(ParallelFor, ABusyRuntimeGoesOnWithWhatABlockedIterationLeft,
                 .max_spare_workers = 0) {
  std::atomic<bool> over{false};
  std::vector<heddle::fiber> busy;
  for (unsigned i = 0; i < rt.workers() + 1; ++i) {
    busy.emplace_back([&] {
      while (!over.load()) heddle::this_fiber::yield();
    });
  }
  heddle::latch together(10);
  parallel_for(0, 10, [&](int) { together.arrive_and_wait(); });
  over = true;
  for (auto& each : busy) each.join();
}

// Also on one worker, and though no iteration gives way.
HEDDLE_TEST(ParallelFor, LetsOthersRunMeanwhile) {
  std::atomic<bool> ran{false};
  std::atomic<std::uint64_t> calls{0};
  heddle::go([&] { ran = true; });
  EXPECT_THROW(parallel_for(std::uint64_t{0}, std::numeric_limits<std::uint64_t>::max(),
                            [&](std::uint64_t) {
                              calls.fetch_add(1, std::memory_order_relaxed);
                              if (ran.load(std::memory_order_relaxed)) throw 1;
                            }),
               int);
  EXPECT_GT(calls.load(), 0u);
}

TEST(ParallelFor, ALoopThatComputesIsNotTakenForStuck) {
  using std::chrono::steady_clock;
  const auto long_run = std::chrono::milliseconds(50);
  // Again, where a busy machine kept the thread from its processor for so long.
  steady_clock::duration longest{};
  std::uint64_t long_runs = 0;
  for (int tries = 0; tries == 0 || (longest >= long_run / 2 && tries < 50); ++tries) {
    heddle::runtime rt({.workers = 1, .long_run = long_run});
    longest = {};
    rt.run([&] {
      const auto end = steady_clock::now() + 4 * long_run;
      auto last = steady_clock::now();
      EXPECT_THROW(parallel_for(0, std::numeric_limits<int>::max(),
                                [&](int) {
                                  const auto now = steady_clock::now();
                                  longest = std::max(longest, now - last);
                                  last = now;
                                  if (now >= end) throw 1;
                                }),
                   int);
    });
    long_runs = rt.stats().long_runs;
  }
  EXPECT_TRUE(long_runs == 0 || longest >= long_run / 2) << long_runs;
}

HEDDLE_TEST(ParallelFor, MayBeNestedDeeply) {
  std::atomic<int> leaves{0};
  std::function<void(int)> grow = [&](int depth) {
    if (depth == 0) {
      ++leaves;
      return;
    }
    parallel_for(0, 3, [&](int) { grow(depth - 1); });
  };
  grow(6);
  EXPECT_EQ(leaves.load(), 729);
}

HEDDLE_TEST(ParallelFor, ManyLoopsAtOnceOfBlockingAndTrivialIterations) {
  std::vector<heddle::fiber> loops;
  for (unsigned l = 0; l < 4; ++l) {
    loops.emplace_back([l] {
      for (std::size_t r = 0; r < rounds(60); ++r) {
        const int n = 1 + static_cast<int>((r * 37 + l) % 300);
        tally<int> t(0, static_cast<std::size_t>(n));
        parallel_for(0, n, [&](int i) {
          jitter own(static_cast<unsigned>(i) * 7 + l);
          const unsigned kind = own.below(12);
          if (kind == 0) heddle::this_fiber::yield();
          if (kind == 1) heddle::this_fiber::sleep_for(std::chrono::microseconds(own.below(30)));
          if (kind == 2) own();
          t.add(i);
        });
        ASSERT_TRUE(t.each_once());
      }
    });
  }
  for (auto& each : loops) each.join();
}

// Who takes iterations meets the runner at those that it takes: a fence takes as long as some
// thousands of these.
HEDDLE_TEST(ParallelFor, RunnersMayMeetAtAnIteration) {
  for (std::size_t r = 0; r < rounds(3'000); ++r) {
    const std::size_t n = 2 + r * 37 % 4'000;
    std::vector<unsigned char> counts(n);  // a race, if two come to one
    parallel_for(std::size_t{0}, n, [&](std::size_t i) {
      if (r % 4 == 0) {
        for (std::size_t spin = i % 64; spin > 0; --spin) asm volatile("");
      }
      ++counts[i];
    });
    for (const auto each : counts) ASSERT_EQ(each, 1);
  }
}

HEDDLE_CREW_TEST(ParallelFor, TheFirstExceptionCancelsTheOthers) {
  std::atomic<int> told{0}, there{0};
  try {
    parallel_for(0, 4, [&](int i) {
      if (i == 2) {
        while (there.load() < 3) heddle::this_fiber::yield();
        throw std::runtime_error("number two");
      }
      ++there;
      const auto why = cancelled_in([] { heddle::this_fiber::sleep_for(std::chrono::hours(1)); });
      told += why == cancel_reason::sibling_failed;
    });
    ADD_FAILURE();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "number two");
  }
  EXPECT_EQ(told.load(), 3);
}

HEDDLE_TEST(ParallelFor, AfterAnExceptionNoMoreIterationsBegin) {
  std::atomic<int> ran{0};
  EXPECT_THROW(parallel_for(0, 1'000'000'000,
                            [&](int i) {
                              ++ran;
                              if (i == 10) throw 1;
                            }),
               int);
  EXPECT_LT(ran.load(), 1'000'000'000);
  if (rt.workers() == 1) {
    EXPECT_EQ(ran.load(), 11);
  }
}

HEDDLE_TEST(ParallelFor, CancelledOfAnIterationIsAnExceptionLikeAnyOther) {
  EXPECT_EQ(cancelled_in([] {
              parallel_for(0, 10, [](int i) {
                if (i == 3) throw heddle::cancelled(cancel_reason::deadline);
              });
            }),
            cancel_reason::deadline);
}

HEDDLE_TEST(ParallelFor, ACancelledCallerCancelsTheIterations) {
  heddle::latch there(8);
  std::atomic<int> told{0}, ran{0};
  heddle::fiber loops([&] {
    EXPECT_EQ(cancelled_in([&] {
                parallel_for(0, 8, [&](int) {
                  ++ran;
                  there.count_down();
                  told += cancelled_in([] {
                            heddle::this_fiber::sleep_for(std::chrono::hours(1));
                          }) == cancel_reason::requested;
                });
              }),
              cancel_reason::requested);
    EXPECT_EQ(told.load(), 8);  // they have ended
  });
  there.wait();
  EXPECT_TRUE(loops.cancel());
  loops.join();
  EXPECT_EQ(ran.load(), 8);
}

// No iteration is a cancellation point; there is one between them.
HEDDLE_TEST(ParallelFor, ACancelledCallerEndsALoopThatComputes) {
  std::atomic<bool> runs{false};
  heddle::fiber loops([&] {
    EXPECT_EQ(cancelled_in([&] {
                parallel_for(std::uint64_t{0}, std::numeric_limits<std::uint64_t>::max(),
                             [&](std::uint64_t) { runs.store(true, std::memory_order_relaxed); });
              }),
              cancel_reason::requested);
  });
  EXPECT_TRUE(eventually([&] { return runs.load(); }));
  EXPECT_TRUE(loops.cancel());
  loops.join();
}

HEDDLE_TEST(ParallelFor, OnEntryACancelledCallerBeginsNothing) {
  bool ran = false;
  in_cancelled_fiber(rt, [&] {
    std::vector<int> v(3);
    EXPECT_TRUE(cancelled_in([&] { parallel_for(0, 3, [&](int) { ran = true; }); }));
    EXPECT_TRUE(cancelled_in([&] { parallel_for(0, 0, [&](int) { ran = true; }); }));
    EXPECT_TRUE(cancelled_in([&] { parallel_for_each(v, [&](int) { ran = true; }); }));
    EXPECT_TRUE(cancelled_in([&] { (void)parallel_map(v, [&](int i) { return ran = i == 0; }); }));
  });
  EXPECT_FALSE(ran);
}

HEDDLE_TEST(ParallelFor, ARuntimeThatEndsCancelsIt) {
  std::atomic<int> ended{0};
  {
    heddle::runtime ends({.workers = 2});
    ends.run([&] {
      heddle::latch there(3);
      heddle::go([&] {
        EXPECT_EQ(cancelled_in([&] {
                    parallel_for(0, 3, [&](int) {
                      there.count_down();
                      heddle::this_fiber::sleep_for(std::chrono::hours(1));
                    });
                  }),
                  cancel_reason::shutdown);
        ++ended;
      });
      there.wait();
    });
  }
  EXPECT_EQ(ended.load(), 1);
}

HEDDLE_TEST(ParallelFor, TheCallableIsNotCopiedAndMayTakeAStopToken) {
  struct counts {
    std::atomic<int> n{0};
    counts() = default;
    counts(const counts&) = delete;
    void operator()(int) { ++n; }
  } c;
  parallel_for(0, 100, c);
  EXPECT_EQ(c.n.load(), 100);
  parallel_for(0, 100, [](std::stop_token mine, int) {
    EXPECT_TRUE(mine.stop_possible());
    EXPECT_EQ(mine, heddle::this_fiber::get_stop_token());
  });
  EXPECT_THROW(parallel_for(0, 2,
                            [](std::stop_token mine, int i) {
                              if (i == 1) throw 1;
                              while (!mine.stop_requested()) heddle::this_fiber::yield();
                            }),
               int);
  parallel_for(0, 10, [](int i) { return i; });  // dropped
}

HEDDLE_TEST(ParallelFor, ANullCallableIsRefused) {
  std::vector<int> none;
  EXPECT_THROW(parallel_for(0, 10, std::function<void(int)>()), std::invalid_argument);
  EXPECT_THROW(parallel_for(0, 0, std::function<void(int)>()), std::invalid_argument);
  EXPECT_THROW(parallel_for_each(none, static_cast<void (*)(int)>(nullptr)), std::invalid_argument);
  EXPECT_THROW(parallel_map(none, std::function<int(int)>()), std::invalid_argument);
}

// --- parallel_for_each ---

HEDDLE_CREW_TEST(ParallelForEach, ReachesTheElements) {
  auto v = numbers(10'000);
  parallel_for_each(v, [](int& x) { x *= 2; });
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(v[static_cast<std::size_t>(i)], 2 * i);
  int array[3] = {1, 2, 3};
  parallel_for_each(array, [](int& x) { ++x; });
  EXPECT_EQ(array[2], 4);
  std::list<int> list(100, 1);
  parallel_for_each(list, [](int& x) { x = 7; });
  EXPECT_EQ(list, std::list<int>(100, 7));
  std::forward_list<int> forward(50, 1);
  parallel_for_each(forward, [](int& x) { ++x; });
  EXPECT_EQ(forward, std::forward_list<int>(50, 2));
  const std::set<int> set{1, 2, 3};
  std::atomic<int> sum{0};
  parallel_for_each(set, [&](const int& x) { sum += x; });
  EXPECT_EQ(sum.load(), 6);
}

// libstdc++'s views do not compile with clang 14.
#if !defined(__clang__) || __clang_major__ >= 16
HEDDLE_TEST(ParallelForEach, TakesViews) {
  std::atomic<int> sum{0};
  const auto add = [&](int x) { sum += x; };
  parallel_for_each(std::views::iota(1, 4), add);
  parallel_for_each(std::views::iota(1) | std::views::take(3), add);
  const std::vector<int> v{1, 2, 3, 4};
  parallel_for_each(v | std::views::filter([](int x) { return x < 4; }), add);
  parallel_for_each(v | std::views::take(3) | std::views::transform([](int x) { return x; }), add);
  std::istringstream in("1 2 3");
  parallel_for_each(std::ranges::istream_view<int>(in), add);
  EXPECT_EQ(sum.load(), 30);
  std::istringstream bits("1 0 1");
  EXPECT_EQ(parallel_map(std::ranges::istream_view<bool>(bits), [](bool& b) { return !b; }),
            (std::vector<bool>{false, true, false}));
  const auto throws = v | std::views::transform([](int) -> int { throw 3; });
  EXPECT_THROW(parallel_for_each(throws, add), int);
  EXPECT_EQ(sum.load(), 30);
  EXPECT_EQ(parallel_map(std::views::iota(0, 3), [](int i) { return -i; }),
            (std::vector<int>{0, -1, -2}));
}
#endif

HEDDLE_TEST(ParallelForEach, TakesRangesOfEveryKind) {
  std::atomic<int> sum{0};
  const auto add = [&](int x) { sum += x; };
  parallel_for_each(std::vector<int>{1, 2, 3}, add);
  EXPECT_EQ(sum.load(), 6);
  parallel_for_each(one_pass(3), [&](std::unique_ptr<int> p) { sum += *p; });
  EXPECT_EQ(sum.load(), 9);
  const std::vector<bool> bits{true, false, true};
  parallel_for_each(bits, [&](bool b) { sum += b; });
  EXPECT_EQ(sum.load(), 11);
  parallel_for_each(std::vector<int>(), [&](int) { ADD_FAILURE(); });
  parallel_for_each(std::list<int>(), [&](int) { ADD_FAILURE(); });
}

HEDDLE_TEST(ParallelForEach, ElementsMayWaitForEachOther) {
  std::list<int> l(50);
  heddle::latch together(50);
  parallel_for_each(l, [&](int&) { together.arrive_and_wait(); });
}

HEDDLE_TEST(ParallelForEach, WhatTheRangeThrowsGoesToTheCaller) {
  std::atomic<int> ran{0};
  EXPECT_THROW(parallel_for_each(one_pass(10, 5), [&](std::unique_ptr<int>) { ++ran; }),
               std::runtime_error);
  EXPECT_EQ(ran.load(), 0);
}

// --- parallel_map ---

HEDDLE_CREW_TEST(ParallelMap, ReturnsTheResultsInOrder) {
  const auto squares = parallel_map(numbers(10'000), [](int i) {
    if (i % 1'000 == 0) heddle::this_fiber::yield();
    return i * i;
  });
  static_assert(std::is_same_v<decltype(squares), const std::vector<int>>);
  ASSERT_EQ(squares.size(), 10'000u);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(squares[static_cast<std::size_t>(i)], i * i);
}

HEDDLE_TEST(ParallelMap, ResultsOfEveryKind) {
  const std::vector<int> v{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto bits = parallel_map(v, [](int i) { return i % 2 == 0; });
  static_assert(std::is_same_v<decltype(bits), const std::vector<bool>>);
  EXPECT_EQ(bits, (std::vector<bool>{false, true, false, true, false, true, false, true, false}));
  const auto owned = parallel_map(v, [](int i) { return std::make_unique<int>(i); });
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(*owned[i], v[i]);
  const auto made = parallel_map(v, [](int i) { return not_default(i); });
  EXPECT_EQ(made[8].value, 9);
  const auto copies = parallel_map(v, [](const int& i) -> const int& { return i; });
  static_assert(std::is_same_v<decltype(copies), const std::vector<int>>);
  EXPECT_EQ(copies, v);
  const auto optionals = parallel_map(v, [](int i) { return std::optional<int>(i); });
  EXPECT_EQ(optionals[3], 4);
}

HEDDLE_TEST(ParallelMap, ManyBoolsWrittenAtOnce) {
  const auto bits = parallel_map(numbers(100'000), [](int i) { return i % 3 == 0; });
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(bits[static_cast<std::size_t>(i)], i % 3 == 0);
}

HEDDLE_TEST(ParallelMap, TakesRangesOfEveryKind) {
  EXPECT_TRUE(parallel_map(std::vector<int>(), [](int i) { return i; }).empty());
  EXPECT_TRUE(parallel_map(std::list<int>(), [](int i) { return i; }).empty());
  EXPECT_EQ(parallel_map(std::list<int>{1, 2}, [](int i) { return i + 1; }),
            (std::vector<int>{2, 3}));
  EXPECT_EQ(parallel_map(one_pass(4), [](std::unique_ptr<int> p) { return *p; }),
            (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(parallel_map(std::vector<std::string>{"a", "bc"}, &std::string::size),
            (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(parallel_map(std::vector<int>{1},
                         [](std::stop_token mine, int i) {
                           EXPECT_TRUE(mine.stop_possible());
                           return i;
                         }),
            std::vector<int>{1});
}

HEDDLE_TEST(ParallelMap, AnExceptionIsRethrownAndTheResultsAreDestroyed) {
  auto keep = std::make_shared<int>(1);
  EXPECT_THROW(parallel_map(numbers(1'000),
                            [&](int i) {
                              if (i == 500) throw 1;
                              return keep;
                            }),
               int);
  EXPECT_EQ(keep.use_count(), 1);
  EXPECT_THROW(parallel_map(one_pass(10, 5), [](std::unique_ptr<int> p) { return p; }),
               std::runtime_error);
}
