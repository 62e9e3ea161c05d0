// SPDX-License-Identifier: BSL-1.0
// future and shared_future: taking, sharing, waiting. What std promises is asked of std too.
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <heddle/sync/future.hpp>

#include <chrono>
#include <concepts>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using heddle::cancel_reason;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::future_error_in;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::manual_clock;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;
using heddle_test::start_line;
using std::future_errc;
using std::future_status;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

template <class F, class Got>
concept waits = std::is_nothrow_default_constructible_v<F> &&
    std::is_nothrow_move_constructible_v<F> && std::is_nothrow_move_assignable_v<F> &&
    requires(F f, const F c, system_clock::time_point at) {
  { f.get() } -> std::same_as<Got>;
  { c.valid() }
  noexcept->std::same_as<bool>;
  { c.wait() } -> std::same_as<void>;
  { c.wait_for(1ms) } -> std::same_as<future_status>;
  { c.wait_until(at) } -> std::same_as<future_status>;
};
template <class F, class Shared, class Got, class SharedGot>
constexpr bool pair_as_in_std =
    waits<F, Got> && !std::is_copy_constructible_v<F> && !std::is_copy_assignable_v<F> &&
    std::is_same_v<decltype(std::declval<F&>().share()), Shared>&& noexcept(
        std::declval<F&>().share()) &&
    waits<Shared, SharedGot> && std::is_copy_constructible_v<Shared> &&
    std::is_copy_assignable_v<Shared> && std::is_nothrow_constructible_v<Shared, F&&> &&
    std::is_convertible_v<F&&, Shared> && !std::is_constructible_v<Shared, F&> &&
    std::is_same_v<decltype(std::declval<const Shared&>().get()), SharedGot>;
static_assert(pair_as_in_std<std::future<int>, std::shared_future<int>, int, const int&>);
static_assert(pair_as_in_std<heddle::future<int>, heddle::shared_future<int>, int, const int&>);
static_assert(std::is_nothrow_copy_constructible_v<heddle::shared_future<int&>> &&
              std::is_nothrow_copy_assignable_v<heddle::shared_future<void>>);
static_assert(pair_as_in_std<std::future<int&>, std::shared_future<int&>, int&, int&>);
static_assert(pair_as_in_std<heddle::future<int&>, heddle::shared_future<int&>, int&, int&>);
static_assert(pair_as_in_std<std::future<void>, std::shared_future<void>, void, void>);
static_assert(pair_as_in_std<heddle::future<void>, heddle::shared_future<void>, void, void>);

}  // namespace

HEDDLE_STD_TEST(Future, GivesTheValueOnce) {
  typename kit::template promise<std::unique_ptr<int>> p;
  auto f = p.get_future();
  EXPECT_TRUE(f.valid());
  p.set_value(std::make_unique<int>(7));
  EXPECT_EQ(f.wait_for(0s), future_status::ready);
  f.wait();
  EXPECT_TRUE(f.valid());
  EXPECT_EQ(*f.get(), 7);
  EXPECT_FALSE(f.valid());
  EXPECT_EQ(future_error_in([&] { (void)f.get(); }), future_errc::no_state);
}

HEDDLE_STD_TEST(Future, GivesAReferenceOrNothing) {
  int there = 1;
  typename kit::template promise<int&> p;
  p.set_value(there);
  int& got = p.get_future().get();
  EXPECT_EQ(&got, &there);
  typename kit::template promise<void> done;
  auto f = done.get_future();
  EXPECT_EQ(f.wait_for(0s), future_status::timeout);
  done.set_value();
  f.get();
  EXPECT_FALSE(f.valid());
}

HEDDLE_STD_TEST(Future, RethrowsTheExceptionOnce) {
  typename kit::template promise<int> p;
  auto f = p.get_future();
  p.set_exception(std::make_exception_ptr(std::runtime_error("no luck")));
  f.wait();
  EXPECT_EQ(f.wait_until(steady_clock::now()), future_status::ready);
  try {
    (void)f.get();
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "no luck");
  }
  EXPECT_FALSE(f.valid());
}

HEDDLE_STD_TEST(Future, WithoutAStateItThrowsNoState) {
  typename kit::template future<int> f;
  typename kit::template shared_future<int> s;
  EXPECT_FALSE(f.valid());
  EXPECT_FALSE(s.valid());
  EXPECT_EQ(future_error_in([&] { (void)f.get(); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { f.wait(); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { (void)f.wait_for(0s); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { (void)f.wait_until(steady_clock::now()); }),
            future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { (void)s.get(); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { s.wait(); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { (void)s.wait_for(0s); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { (void)s.wait_until(system_clock::now()); }),
            future_errc::no_state);
  EXPECT_FALSE(f.share().valid());
}

HEDDLE_STD_TEST(Future, IsMovedWithItsState) {
  typename kit::template promise<int> p, q;
  auto f = p.get_future();
  auto g = std::move(f);
  EXPECT_FALSE(f.valid());
  EXPECT_TRUE(g.valid());
  f = q.get_future();
  f = std::move(g);
  EXPECT_FALSE(g.valid());
  p.set_value(5);
  q.set_value(6);
  EXPECT_EQ(f.get(), 5);
}

HEDDLE_STD_TEST(Future, WaitsUntilTheValueComes) {
  for (std::size_t i = 0; i < rounds(200); ++i) {
    typename kit::template promise<std::string> p;
    int before = 0;
    all.start([&, f = p.get_future()]() mutable {
      EXPECT_EQ(f.get(), "a value that is too long to lie in the string itself");
      EXPECT_EQ(before, 1);
    });
    all.start([&] {
      before = 1;
      p.set_value("a value that is too long to lie in the string itself");
    });
    all.join();
  }
}

HEDDLE_STD_TEST(Future, TimedWaitsTellWhatHappened) {
  typename kit::template promise<int> p;
  auto f = p.get_future();
  EXPECT_EQ(f.wait_for(0s), future_status::timeout);
  EXPECT_EQ(f.wait_for(-1s), future_status::timeout);
  EXPECT_EQ(f.wait_for(std::chrono::hours::min()), future_status::timeout);
  EXPECT_EQ(f.wait_until(steady_clock::now() - 1s), future_status::timeout);
  EXPECT_EQ(f.wait_until(system_clock::time_point{}), future_status::timeout);
  const auto start = steady_clock::now();
  EXPECT_EQ(f.wait_for(5ms), future_status::timeout);
  EXPECT_GE(steady_clock::now() - start, 5ms);
  EXPECT_EQ(f.wait_until(steady_clock::now() + 5ms), future_status::timeout);
  EXPECT_EQ(f.wait_until(system_clock::now() + 5ms), future_status::timeout);
  EXPECT_GE(steady_clock::now() - start, 15ms);
  all.start([&] {
    EXPECT_EQ(f.wait_for(1h), future_status::ready);
    EXPECT_EQ(f.wait_until(steady_clock::now() + 1h), future_status::ready);
    EXPECT_EQ(f.wait_until(system_clock::now() + 1h), future_status::ready);
    EXPECT_EQ(f.wait_for(-1s), future_status::ready);
    EXPECT_EQ(f.wait_until(system_clock::time_point{}), future_status::ready);
  });
  p.set_value(1);
  all.join();
  EXPECT_EQ(f.get(), 1);
}

HEDDLE_STD_TEST(Future, SharedItIsForAllWhoCopyIt) {
  typename kit::template promise<std::string> p;
  auto f = p.get_future();
  typename kit::template shared_future<std::string> s = f.share();
  EXPECT_FALSE(f.valid());
  std::atomic<const std::string*> seen{nullptr};
  for (int i = 0; i < 6; ++i) {
    all.start([&, s] {
      const std::string& got = s.get();
      EXPECT_EQ(got, "one");
      EXPECT_EQ(&s.get(), &got);
      const std::string* const other = seen.exchange(&got);
      EXPECT_TRUE(other == nullptr || other == &got);
    });
  }
  p.set_value("one");
  all.join();
  EXPECT_TRUE(s.valid());
  EXPECT_EQ(s.get(), "one");
  auto moved = std::move(s);
  EXPECT_FALSE(s.valid());
  s = moved;
  EXPECT_EQ(&s.get(), &moved.get());
}

HEDDLE_STD_TEST(Future, SharedItGivesReferencesNothingOrExceptionsToEach) {
  int there = 1;
  typename kit::template promise<int&> p;
  typename kit::template promise<void> done, failed;
  typename kit::template shared_future<int&> a(p.get_future());
  typename kit::template shared_future<void> b = done.get_future();
  auto c = failed.get_future().share();
  std::atomic<int> caught{0};
  for (int i = 0; i < 3; ++i) {
    all.start([&, a, b, c] {
      EXPECT_EQ(&a.get(), &there);
      b.get();
      for (int again = 0; again < 2; ++again) {
        try {
          c.get();
        } catch (const std::logic_error&) {
          ++caught;
        }
      }
    });
  }
  failed.set_exception(std::make_exception_ptr(std::logic_error("wrong")));
  done.set_value();
  p.set_value(there);
  all.join();
  EXPECT_EQ(caught.load(), 6);
}

HEDDLE_STD_TEST(Future, MayGoWithoutWaiting) {
  typename kit::template promise<std::vector<int>> p;
  (void)p.get_future();
  p.set_value({1, 2, 3});
}

HEDDLE_STD_TEST(Future, GoesOnWithALimitOrWithoutHoweverLateTheValue) {
  typename kit::template promise<void> p;
  auto s = p.get_future().share();
  const std::size_t times = rounds(300);
  for (int i = 0; i < 4; ++i) {
    all.start([&, i, s] {
      std::size_t n = 0;
      while (n < times && s.wait_for(std::chrono::microseconds(n % 40)) != future_status::ready)
        ++n;
      if (i % 2 == 0) s.get();
    });
  }
  all.start([&] {
    for (std::size_t n = 0; n < times / 3; ++n) {
      EXPECT_EQ(s.wait_until(steady_clock::now() + 20us), future_status::timeout);
    }
    p.set_value();
  });
  all.join();
}

HEDDLE_CREW_TEST(Future, ReleasesAllWhoSleep) {
  heddle::promise<int> p;
  const auto s = p.get_future().share();
  std::atomic<int> through{0};
  for (int i = 0; i < 6; ++i) {
    all.start_and_sleep([&, s] {
      EXPECT_EQ(s.get(), 3);
      ++through;
    });
  }
  EXPECT_EQ(through.load(), 0);
  p.set_value(3);
  all.join();
  EXPECT_EQ(through.load(), 6);
}

HEDDLE_CREW_TEST(Future, FollowsAClockThatIsSet) {
  manual_clock::reset();
  heddle::promise<void> p;
  const auto s = p.get_future().share();
  std::atomic<bool> over{false};
  all.start([&, s] {
    EXPECT_EQ(s.wait_until(manual_clock::time_point{1h}), future_status::timeout);
    over = true;
  });
  EXPECT_EQ(s.wait_for(60ms), future_status::timeout);
  EXPECT_FALSE(over.load());
  manual_clock::ms = 7'200'000;
  all.join();
  manual_clock::broken = true;
  EXPECT_THROW((void)s.wait_until(manual_clock::time_point{9h}), std::runtime_error);
  manual_clock::reset();
  EXPECT_TRUE(s.valid());
}

HEDDLE_CREW_TEST(Future, HugeTimesDoNotOverflow) {
  heddle::promise<int> p;
  const auto s = p.get_future().share();
  for (int i = 0; i < 3; ++i) {
    all.start_and_sleep([&, i, s] {
      const auto got = i == 0   ? s.wait_for(std::chrono::hours::max())
                       : i == 1 ? s.wait_until(steady_clock::time_point::max())
                                : s.wait_for(std::chrono::duration<double>(1e300));
      EXPECT_EQ(got, future_status::ready);
    });
  }
  p.set_value(9);
  all.join();
}

HEDDLE_TEST(Future, ItsWaitsAreCancellationPointsAlsoWhenReady) {
  heddle::promise<int> p, later;
  auto f = p.get_future();
  const auto s = later.get_future().share();
  p.set_value(1);
  in_cancelled_fiber(rt, [&] {
    EXPECT_EQ(cancelled_in([&] { (void)f.get(); }), cancel_reason::requested);
    EXPECT_TRUE(cancelled_in([&] { f.wait(); }));
    EXPECT_TRUE(cancelled_in([&] { (void)f.wait_for(0s); }));
    EXPECT_TRUE(cancelled_in([&] { (void)f.wait_until(steady_clock::now()); }));
    EXPECT_TRUE(cancelled_in([&] { (void)f.wait_until(system_clock::now() + 1h); }));
    EXPECT_TRUE(cancelled_in([&] { (void)s.get(); }));
    EXPECT_TRUE(cancelled_in([&] { s.wait(); }));
    EXPECT_FALSE(cancelled_in([&] {  // none of these is one
      EXPECT_TRUE(f.valid() && s.valid());
      later.set_value(2);
      heddle::promise<int> mine;
      auto dropped = mine.get_future().share();
    }));
  });
  EXPECT_EQ(f.get(), 1);
  EXPECT_EQ(s.get(), 2);
}

HEDDLE_TEST(Future, ACancelledWaitHasNoEffect) {
  heddle::promise<int> p;
  auto f = p.get_future();
  for (int way = 0; way < 5; ++way) {
    std::optional<cancel_reason> why;
    auto one = sleeping_fiber(rt, [&] {
      why = cancelled_in([&] {
        switch (way) {
          case 0:
            (void)f.get();
            break;
          case 1:
            f.wait();
            break;
          case 2:
            (void)f.wait_for(1h);
            break;
          case 3:
            (void)f.wait_until(steady_clock::now() + 1h);
            break;
          default:
            while (f.wait_until(system_clock::now() + 1h) != future_status::ready) {
            }
        }
      });
    });
    EXPECT_TRUE(one.cancel());
    one.join();
    EXPECT_EQ(why, cancel_reason::requested) << way;
    EXPECT_TRUE(f.valid());
  }
  p.set_value(4);
  EXPECT_EQ(f.get(), 4);
}

// Trap 9: the value, the time's end and a cancellation at once: one outcome, and the value is there
// for who asks again.
HEDDLE_TEST(Future, OneOfValueTimeoutAndCancellationWins) {
  const std::size_t times = rounds(2'000);
  int ready = 0, timed_out = 0, cancelled = 0;
  jitter late(1);
  for (std::size_t i = 0; i < times; ++i) {
    heddle::promise<std::size_t> p;
    auto f = p.get_future();
    std::atomic<int> outcomes{0};
    heddle::fiber waits([&] {
      ++outcomes;
      if (cancelled_in([&] {
            const auto status = f.wait_for(std::chrono::microseconds(i % 30));
            if (status == future_status::ready) {
              EXPECT_EQ(f.get(), i);
              ++ready;
            } else {
              EXPECT_EQ(status, future_status::timeout);
              ++timed_out;
            }
          })) {
        ++cancelled;
      }
    });
    heddle::fiber sets([&] { p.set_value(i); });
    late();
    if (i % 2 == 0) waits.cancel();
    waits.join();
    sets.join();
    EXPECT_EQ(outcomes.load(), 1);
    if (f.valid()) {
      EXPECT_EQ(f.get(), i);
    }
  }
  EXPECT_EQ(ready + timed_out + cancelled, static_cast<int>(times));
}
