// SPDX-License-Identifier: BSL-1.0
// semaphore: permits, waiting, times, tokens, cancellation. What std promises is asked of std too.
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <heddle/sync/semaphore.hpp>

#include <chrono>
#include <concepts>
#include <limits>
#include <memory>
#include <semaphore>
#include <stop_token>
#include <type_traits>
#include <vector>

using heddle::cancel_reason;
using heddle::counting_semaphore;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::manual_clock;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

template <class S>
concept std_like = requires(S s, std::ptrdiff_t n, steady_clock::time_point at) {
  { S::max() }
  noexcept->std::same_as<std::ptrdiff_t>;
  { s.release() } -> std::same_as<void>;
  { s.release(n) } -> std::same_as<void>;
  { s.acquire() } -> std::same_as<void>;
  { s.try_acquire() }
  noexcept->std::same_as<bool>;
  { s.try_acquire_for(1ms) } -> std::same_as<bool>;
  { s.try_acquire_until(at) } -> std::same_as<bool>;
};
static_assert(std_like<std::counting_semaphore<5>> && std_like<std::binary_semaphore>);
static_assert(std_like<counting_semaphore<5>> && std_like<heddle::binary_semaphore>);
static_assert(std::same_as<heddle::binary_semaphore, counting_semaphore<1>>);
static_assert(counting_semaphore<>::max() == std::numeric_limits<std::ptrdiff_t>::max());
static_assert(counting_semaphore<7>::max() >= 7 && counting_semaphore<0>::max() >= 0);
static_assert(!std::is_copy_constructible_v<counting_semaphore<>>);
static_assert(!std::is_copy_assignable_v<counting_semaphore<>>);
static_assert(!std::is_default_constructible_v<counting_semaphore<>>);
static_assert(!std::is_convertible_v<std::ptrdiff_t, counting_semaphore<>>);

constinit counting_semaphore<3> made_before_main(2);

}  // namespace

HEDDLE_STD_TEST(Semaphore, HasAsManyPermitsAsItWasGiven) {
  typename kit::template counting_semaphore<10> s(3);
  s.acquire();
  EXPECT_TRUE(s.try_acquire());
  EXPECT_TRUE(s.try_acquire_for(1h));
  EXPECT_FALSE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire_for(1ms));
  EXPECT_FALSE(s.try_acquire_until(steady_clock::now() + 1ms));
  s.release(2);
  s.release();
  EXPECT_TRUE(s.try_acquire_until(system_clock::now() + 1h));
  s.acquire();
  s.acquire();
  EXPECT_FALSE(s.try_acquire());
  s.release(0);
  EXPECT_FALSE(s.try_acquire());
}

HEDDLE_STD_TEST(Semaphore, ATimeInThePastTriesOnce) {
  typename kit::template counting_semaphore<10> s(6);
  EXPECT_TRUE(s.try_acquire_for(0s));
  EXPECT_TRUE(s.try_acquire_for(-1s));
  EXPECT_TRUE(s.try_acquire_for(std::chrono::hours::min()));
  EXPECT_TRUE(s.try_acquire_until(steady_clock::time_point::min()));
  EXPECT_TRUE(s.try_acquire_until(system_clock::time_point{}));
  EXPECT_TRUE(s.try_acquire_until(steady_clock::now() - 1ms));
  EXPECT_FALSE(s.try_acquire_for(-1s));
  EXPECT_FALSE(s.try_acquire_until(system_clock::time_point{}));
}

HEDDLE_STD_TEST(Semaphore, ReleaseLetsGoThoseWhoWait) {
  typename kit::template counting_semaphore<10> s(0);
  std::atomic<int> through{0};
  for (int i = 0; i < 5; ++i) {
    all.start([&] {
      s.acquire();
      ++through;
    });
  }
  s.release(2);
  EXPECT_TRUE(eventually([&] { return through.load() == 2; }));
  s.release();
  EXPECT_TRUE(eventually([&] { return through.load() == 3; }));
  EXPECT_EQ(through.load(), 3);
  s.release(4);
  all.join();
  EXPECT_TRUE(s.try_acquire());
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
}

HEDDLE_STD_TEST(Semaphore, KeepsOthersOutAndShowsThemWhatWasDone) {
  typename kit::binary_semaphore s(1);
  int counter = 0;  // guarded by s
  const int times = static_cast<int>(rounds(2'000));
  for (int i = 0; i < 4; ++i) {
    all.start([&] {
      for (int k = 0; k < times; ++k) {
        s.acquire();
        ++counter;
        s.release();
      }
    });
  }
  all.join();
  EXPECT_EQ(counter, 4 * times);
}

HEDDLE_STD_TEST(Semaphore, NoPermitIsLostOrMadeUp) {
  typename kit::template counting_semaphore<1'000'000> s(0);
  const int times = static_cast<int>(rounds(2'000));
  std::atomic<int> taken{0};
  for (int i = 0; i < 2; ++i) {
    all.start([&] {
      for (int k = 0; k < times; ++k) s.release(k % 3);
    });
    all.start([&] {
      for (int k = 0; k < times / 4; ++k) {
        s.acquire();
        ++taken;
      }
    });
    all.start([&] {
      for (int k = 0; k < times / 4; ++k) {
        if (s.try_acquire_for(std::chrono::microseconds(k % 50))) ++taken;
      }
    });
  }
  all.join();
  int given = 0;
  for (int k = 0; k < times; ++k) given += 2 * (k % 3);
  while (s.try_acquire()) ++taken;
  EXPECT_EQ(taken.load(), given);
}

HEDDLE_CREW_TEST(Semaphore, ServesThoseWhoWaitInTurn) {
  counting_semaphore<> s(0);
  std::vector<int> order;  // guarded by s
  counting_semaphore<> noted(0);
  for (int i = 0; i < 6; ++i) {
    all.start_and_sleep([&, i] {
      s.acquire();
      order.push_back(i);
      noted.release();
    });
  }
  for (int i = 0; i < 6; ++i) {
    s.release();
    EXPECT_FALSE(s.try_acquire()) << "it belongs to one who waits";
    noted.acquire();
  }
  all.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

HEDDLE_CREW_TEST(Semaphore, KeepsTheTurnOfOneWhoWaitsByAClockOfHisOwn) {
  // As expect_the_turn_of_one_with_a_clock_of_his_own() (lockable.hpp).
  int first_of_all = 0;
  for (int tries = 0; tries < 20 && first_of_all != 1; ++tries) {
    counting_semaphore<> s(0);
    std::atomic<int> first{0};
    all.start_and_sleep([&] {
      EXPECT_TRUE(s.try_acquire_until(system_clock::now() + 1h));
      int none = 0;
      first.compare_exchange_strong(none, 1);
      s.release();
    });
    all.start_and_sleep([&] {
      s.acquire();
      int none = 0;
      first.compare_exchange_strong(none, 2);
      s.release();
    });
    // Over two slices.
    std::this_thread::sleep_for(120ms);
    s.release();
    all.join();
    first_of_all = first.load();
  }
  EXPECT_EQ(first_of_all, 1);
}

HEDDLE_CREW_TEST(Semaphore, FollowsAClockThatIsSet) {
  manual_clock::reset();
  counting_semaphore<> s(0);
  std::atomic<bool> over{false};
  all.start([&] {
    EXPECT_FALSE(s.try_acquire_until(manual_clock::time_point{1h}));
    over = true;
  });
  EXPECT_FALSE(s.try_acquire_for(60ms));
  EXPECT_FALSE(over.load());
  manual_clock::ms = 7'200'000;
  all.join();
  EXPECT_TRUE(over.load());
}

HEDDLE_CREW_TEST(Semaphore, HugeTimesDoNotOverflow) {
  counting_semaphore<> s(0);
  for (int i = 0; i < 3; ++i) {
    all.start_and_sleep([&] {
      EXPECT_TRUE(s.try_acquire_for(std::chrono::hours::max()));
      EXPECT_TRUE(s.try_acquire_until(steady_clock::time_point::max()));
      EXPECT_TRUE(s.try_acquire_for(std::chrono::duration<double>(1e300)));
    });
  }
  s.release(9);
  all.join();
}

HEDDLE_CREW_TEST(Semaphore, AStoppedTokenEndsTheWait) {
  counting_semaphore<> s(1);
  std::stop_source stop;
  EXPECT_TRUE(s.acquire(stop.get_token()));
  EXPECT_TRUE([&] {
    s.release();
    return s.acquire(std::stop_token{});
  }());
  std::atomic<int> stopped{0};
  for (int i = 0; i < 3; ++i) {
    all.start_and_sleep([&] {
      if (!s.acquire(stop.get_token())) ++stopped;
    });
  }
  stop.request_stop();
  all.join();
  EXPECT_EQ(stopped.load(), 3);
  EXPECT_FALSE(s.acquire(stop.get_token()));
  s.release();
  EXPECT_TRUE(s.acquire(stop.get_token())) << "a free permit goes first";
}

HEDDLE_TEST(Semaphore, ACancelledWaitTakesNothing) {
  counting_semaphore<> s(0);
  std::optional<cancel_reason> why;
  auto f = sleeping_fiber(rt, [&] { why = cancelled_in([&] { s.acquire(); }); });
  EXPECT_TRUE(f.cancel());
  f.join();
  EXPECT_EQ(why, cancel_reason::requested);
  s.release();
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
}

HEDDLE_TEST(Semaphore, ItsWaitsAreCancellationPointsOnEntry) {
  counting_semaphore<> s(9);
  in_cancelled_fiber(rt, [&] {
    EXPECT_TRUE(cancelled_in([&] { s.acquire(); }));
    EXPECT_TRUE(cancelled_in([&] { (void)s.acquire(std::stop_token{}); }));
    EXPECT_TRUE(cancelled_in([&] { (void)s.try_acquire_for(0s); }));
    EXPECT_TRUE(cancelled_in([&] { (void)s.try_acquire_until(steady_clock::now()); }));
    EXPECT_FALSE(cancelled_in([&] { (void)s.try_acquire(); }));
    EXPECT_FALSE(cancelled_in([&] { s.release(); }));
  });
  int left = 0;
  while (s.try_acquire()) ++left;
  EXPECT_EQ(left, 9);
}

// Whoever is cancelled, stopped, or out of time when a permit comes: it goes to the next.
HEDDLE_TEST(Semaphore, APermitIsTakenOrLeftWhateverEndsTheWait) {
  for (std::size_t i = 0; i < rounds(2'000); ++i) {
    counting_semaphore<> s(0);
    std::stop_source stop;
    std::atomic<int> taken{0};
    heddle::fiber f({.on = &rt}, [&] {
      if (!cancelled_in([&] { s.acquire(); })) ++taken;
    });
    heddle::fiber g({.on = &rt}, [&] {
      if (s.acquire(stop.get_token())) ++taken;
    });
    heddle::fiber h({.on = &rt}, [&] {
      if (s.try_acquire_for(std::chrono::microseconds(i % 100))) ++taken;
    });
    heddle::fiber releaser({.on = &rt}, [&] { s.release(2); });
    f.cancel();
    stop.request_stop();
    for (auto* each : {&releaser, &f, &g, &h}) each->join();
    int left = 0;
    while (s.try_acquire()) ++left;
    ASSERT_EQ(taken.load() + left, 2);
  }
}

TEST(Semaphore, CanBeMadeBeforeMain) {
  EXPECT_TRUE(made_before_main.try_acquire());
  made_before_main.release();
}

#if defined(HEDDLE_ASSERTIONS)
TEST(Semaphore, DiesWithAMessageIfItIsMisused) {
  EXPECT_DEATH(counting_semaphore<2>(3), "semaphore 0x[0-9a-f]+ is made with 3 permits");
  EXPECT_DEATH(counting_semaphore<2>(-1), "is made with -1 permits; it can hold 0 to 2");
  EXPECT_DEATH(counting_semaphore<2>(2).release(), "release.1. with 2 permits free; it can hold 2");
  EXPECT_DEATH(counting_semaphore<2>(2).release(-1), "release.-1., which is below zero");
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        counting_semaphore<2> s(0);
        auto waits = heddle_test::sleeping_fiber(rt, [&] { s.acquire(); });
        s.release(3);
      },
      "release.3. with none free; it can hold 2");
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        auto s = std::make_unique<counting_semaphore<>>(0);
        auto waits = heddle_test::sleeping_fiber(rt, [at = s.get()] { at->acquire(); });
        rt.run([&] { s.reset(); });
      },
      "semaphore 0x[0-9a-f]+ is destroyed while it is waited on.* in fiber [0-9]+");
}
#endif
