// SPDX-License-Identifier: BSL-1.0
// Trap 10 for what waits on its caller's frame, and for what hands out a channel: as soon as the
//   call has returned, the range, the callable, the results and the stack below are overwritten.
//   The primitives themselves: short_lived_test.cpp.
#include "sync/graveyard.hpp"

#include <heddle/sync/parallel.hpp>
#include <heddle/sync/synchronized.hpp>
#include <heddle/sync/task_group.hpp>
#include <heddle/sync/ticker.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

using namespace heddle_test;
using std::chrono::microseconds;

namespace {

/// What a call that has returned left on this stack: whoever still works there finds it gone.
[[gnu::noinline]] void overwrite_the_stack_below() {
  std::byte earth[4096];
  std::memset(earth, 0xDD, sizeof earth);
  asm volatile("" : : "r"(earth) : "memory");
}

/// Two parties, each on its own: `call(frame)` returns, and the frame dies.
template <class Frame, class Call>
void bury_at_the_return(crew& all, std::size_t times, Call call) {
  for (unsigned i = 0; i < 2; ++i) {
    all.start([&, i] {
      graveyard<Frame> yard;
      jitter late(i + 1);
      const time_limit limit;
      for (std::size_t n = 0; n < times && !limit.over(); ++n) {
        Frame* mine = yard.make(late);
        call(*mine);
        overwrite_the_stack_below();
        yard.bury(mine);
      }
    });
  }
  all.join();
}

/// A few elements, and what is done to each: some iterations let others run, so that the loop gets
/// further runners, which end as it ends.
struct loop_frame {
  explicit loop_frame(jitter& late) : kind(late.below(4)), length(1 + late.below(8)) {
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int>(i);
  }

  int visit(int& number) {
    if (kind == 1) heddle::this_fiber::yield();
    if (kind == 2) {
      for (unsigned i = 0; i < 300; ++i) asm volatile("");
    }
    if (kind == 3 && number == 1) heddle::this_fiber::sleep_for(microseconds(1));
    visited.fetch_add(1, std::memory_order_relaxed);
    number += 100;
    return number;
  }
  std::span<int> range() { return {numbers.data(), length}; }
  void expect_all_visited() const {
    EXPECT_EQ(visited.load(std::memory_order_relaxed), length);
    for (std::size_t i = 0; i < length; ++i) EXPECT_EQ(numbers[i], static_cast<int>(i) + 100);
  }

  const unsigned kind;
  const std::size_t length;
  std::array<int, 8> numbers;
  std::atomic<std::size_t> visited{0};
  std::function<int(int&)> callable = [this](int& number) { return visit(number); };
  std::vector<int> results{};
};

}  // namespace

HEDDLE_CREW_TEST(ShortLivedFrame, OfAParallelFor) {
  bury_at_the_return<loop_frame>(all, rounds(4'000), [](loop_frame& f) {
    heddle::parallel_for(f.range().begin(), f.range().end(),
                         [&f](auto at) { return f.callable(*at); });
    f.expect_all_visited();
  });
}

HEDDLE_CREW_TEST(ShortLivedFrame, OfAParallelForEach) {
  bury_at_the_return<loop_frame>(all, rounds(4'000), [](loop_frame& f) {
    heddle::parallel_for_each(f.range(), f.callable);
    f.expect_all_visited();
  });
}

HEDDLE_CREW_TEST(ShortLivedFrame, OfAParallelMap) {
  bury_at_the_return<loop_frame>(all, rounds(4'000), [](loop_frame& f) {
    f.results = heddle::parallel_map(f.range(), f.callable);
    ASSERT_EQ(f.results.size(), f.length);
    for (std::size_t i = 0; i < f.length; ++i) EXPECT_EQ(f.results[i], f.numbers[i]);
    f.expect_all_visited();
  });
}

// One iteration fails; those under way are cancelled, and waited for.
HEDDLE_CREW_TEST(ShortLivedFrame, OfAParallelLoopThatFails) {
  bury_at_the_return<loop_frame>(all, rounds(1'000), [](loop_frame& f) {
    EXPECT_THROW(heddle::parallel_for_each(f.range(),
                                           [&f](int& number) {
                                             const int was = number;
                                             f.callable(number);
                                             if (was == static_cast<int>(f.length) - 1) throw was;
                                             heddle::this_fiber::yield();
                                             f.visit(number);
                                           }),
                 int);
  });
}

namespace {

/// Several that work on it at once, and leave it at different moments.
struct meeting_frame {
  explicit meeting_frame(jitter& late) : seed(late.below(1'000'000)) {}

  auto part(unsigned n) {
    return [this, n] {
      struct leave {
        meeting_frame& frame;
        ~leave() { frame.inside.fetch_sub(1); }
      };
      inside.fetch_add(1);
      const leave at_end{*this};
      jitter late(seed + n);
      late();
      if (late.below(8) == 0) throw n;
      if (late.below(3) == 0) heddle::this_fiber::sleep_for(microseconds(late.below(20)));
      return n;
    };
  }

  const unsigned seed;
  std::atomic<int> inside{0};
  std::tuple<unsigned, unsigned, unsigned> results{};
};

}  // namespace

HEDDLE_CREW_TEST(ShortLivedFrame, OfAGather) {
  bury_at_the_return<meeting_frame>(all, rounds(2'000), [](meeting_frame& f) {
    try {
      f.results = heddle::gather(f.part(0), f.part(1), f.part(2));
      EXPECT_EQ(f.results, std::tuple(0u, 1u, 2u));
    } catch (unsigned n) {
      EXPECT_LT(n, 3u);
    }
    EXPECT_EQ(f.inside.load(), 0);
  });
}

HEDDLE_CREW_TEST(ShortLivedFrame, OfARace) {
  bury_at_the_return<meeting_frame>(all, rounds(2'000), [](meeting_frame& f) {
    try {
      EXPECT_LT(heddle::race(f.part(0), f.part(1), f.part(2)), 3u);
    } catch (unsigned n) {
      EXPECT_LT(n, 3u);
    }
    EXPECT_EQ(f.inside.load(), 0);
  });
}

// The time comes, or whoever waits for it goes, at the same moment.
HEDDLE_CREW_TEST(ShortLivedFrame, OfATimeThatComesLater) {
  struct frame {
    explicit frame(jitter& late)
        : in_a_while(heddle::after(microseconds(late.below(60)))), patience(late.below(60)) {}
    heddle::receiver<heddle::clock::time_point> in_a_while;
    const microseconds patience;
  };
  bury_at_the_return<frame>(all, rounds(1'000), [](frame& f) {
    const auto at = f.in_a_while.receive_for(f.patience);
    EXPECT_NE(at.status(), heddle::channel_status::closed);
  });
}

// Whoever sees the channel closed destroys the ticker, while another is still in stop().
HEDDLE_CREW_TEST(ShortLivedFrame, ATickerByWhoSeesItStopped) {
  unsigned made = 0;
  bury_when_released<heddle::ticker>(
      all, rounds(800),
      [&](auto& yard) {
        return ++made % 2 == 0 ? yard.make(std::chrono::hours(1)) : yard.make(microseconds(20));
      },
      [](auto& t) {
        while (t.channel().receive()) {
        }
      },
      [](auto& t) { t.stop(); });
}

// Its owner destroys it, while others receive its ticks.
HEDDLE_CREW_TEST(ShortLivedFrame, ATickerWhileOthersReceive) {
  const std::size_t times = rounds(800);
  graveyard<heddle::ticker> yard;
  start_line line(2);
  heddle::ticker* object = nullptr;
  std::optional<heddle::receiver<heddle::clock::time_point>> ticks;
  all.start([&] {
    jitter late(1);
    for (std::size_t i = 0; i < times; ++i) {
      object = i % 2 == 0 ? yard.make(std::chrono::hours(1)) : yard.make(microseconds(20));
      ticks.emplace(object->channel());
      line.wait();
      late();
      yard.bury(object);
      line.wait();
    }
  });
  all.start([&] {
    jitter late(2);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      late();
      while (ticks->receive()) {
      }
      line.wait();
    }
  });
  all.join();
}

// The last one out destroys the value, and the mutex around it.
HEDDLE_CREW_TEST(ShortLivedFrame, ASynchronizedByTheLastOneOut) {
  constexpr unsigned parties = 3;
  using value = heddle::synchronized<unsigned>;
  const std::size_t times = rounds(8'000);
  graveyard<value> yard;
  start_line line(parties);
  value* object = nullptr;
  for (unsigned i = 0; i < parties; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      for (std::size_t n = 0; n < times; ++n) {
        if (i == 0) object = yard.make(parties);
        line.wait();
        value& mine = *object;
        late();
        bool last = false;
        if ((i + n) % 2 == 0) {
          last = mine.with_lock([&](unsigned& left) {
            late();
            return --left == 0;
          });
        } else {
          const auto left = mine.lock();
          late();
          last = --*left == 0;
        }
        if (last) yard.bury(&mine);
        line.wait();
      }
    });
  }
  all.join();
}
