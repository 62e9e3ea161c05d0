// SPDX-License-Identifier: BSL-1.0
// event: setting, resetting, waiting, times, cancellation.
#include "sync/crew.hpp"
#include "sync/manual_clock.hpp"

#include <heddle/sync/event.hpp>

#include <chrono>
#include <concepts>
#include <optional>
#include <type_traits>

using heddle::cancel_reason;
using heddle::event;
using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::manual_clock;
using heddle_test::rounds;
using heddle_test::sleeping_fiber;
using heddle_test::start_line;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

template <class E>
concept event_like = requires(E e, const E c, system_clock::time_point at) {
  { e.set() }
  noexcept->std::same_as<void>;
  { e.reset() }
  noexcept->std::same_as<void>;
  { c.is_set() }
  noexcept->std::same_as<bool>;
  { c.wait() } -> std::same_as<void>;
  { c.wait_for(1ms) } -> std::same_as<bool>;
  { c.wait_until(at) } -> std::same_as<bool>;
};
static_assert(event_like<event>);
static_assert(std::is_nothrow_default_constructible_v<event>);
static_assert(!std::is_copy_constructible_v<event> && !std::is_copy_assignable_v<event>);

constinit event made_before_main;

}  // namespace

HEDDLE_CREW_TEST(Event, WaitsWaitUntilItIsSetAndAgainOnceItIsReset) {
  event e;
  EXPECT_FALSE(e.is_set());
  for (int i = 0; i < 3; ++i) {
    std::atomic<bool> through{false};
    all.start_and_sleep([&] {
      e.wait();
      through = true;
      e.wait();  // it stays set
      EXPECT_TRUE(e.wait_for(0s));
    });
    EXPECT_FALSE(through.load());
    e.set();
    EXPECT_TRUE(e.is_set());
    all.join();
    EXPECT_TRUE(through.load());
    e.set();  // and once more
    e.wait();
    EXPECT_TRUE(e.wait_for(1h));
    EXPECT_TRUE(e.wait_for(-1h));
    EXPECT_TRUE(e.wait_until(steady_clock::now() - 1h));
    EXPECT_TRUE(e.wait_until(system_clock::now() + 1h));
    e.reset();
    EXPECT_FALSE(e.is_set());
    EXPECT_FALSE(e.wait_for(0s));
    e.reset();
  }
}

HEDDLE_CREW_TEST(Event, SetReleasesAllWhoWaitAlsoIfResetFollowsAtOnce) {
  event e;
  std::atomic<int> through{0};
  for (int i = 0; i < 9; ++i) {
    all.start_and_sleep([&, i] {
      if (i % 4 == 0) e.wait();
      if (i % 4 == 1) {
        EXPECT_TRUE(e.wait_for(1h));
      }
      if (i % 4 == 2) {
        EXPECT_TRUE(e.wait_until(steady_clock::now() + 1h));
      }
      if (i % 4 == 3) {
        EXPECT_TRUE(e.wait_until(system_clock::now() + 1h));
      }
      ++through;
    });
  }
  EXPECT_EQ(through.load(), 0);
  e.set();
  e.reset();
  all.join();
  EXPECT_EQ(through.load(), 9);
  EXPECT_FALSE(e.wait_for(0s));  // and nobody who comes later
}

HEDDLE_CREW_TEST(Event, WhoIsLetThroughSeesWhatWasDoneBeforeItWasSet) {
  for (std::size_t i = 0; i < rounds(100); ++i) {
    event e;
    int told = 0;
    for (int n = 0; n < 4; ++n) {
      all.start([&] {
        e.wait();
        EXPECT_EQ(told, 1);
      });
    }
    told = 1;
    e.set();
    all.join();
  }
}

// The protocol at the head of event.hpp, with one who offers work where the event may be set still.
HEDDLE_CREW_TEST(Event, WhoResetsAndThenLooksMissesNothing) {
  const int times = static_cast<int>(rounds(10'000));
  event offered, taken;
  std::atomic<int> work{0};
  all.start([&] {
    jitter late(1);
    for (int done = 0; done < times;) {
      offered.reset();
      late();
      if (const int now = work.load(std::memory_order_relaxed); now > done) {
        done = now;
        taken.set();
      } else {
        offered.wait();
      }
    }
  });
  all.start([&] {
    jitter late(2);
    for (int n = 1; n <= times; ++n) {
      taken.reset();
      work.store(n, std::memory_order_relaxed);
      offered.set();
      late();
      taken.wait();
    }
  });
  all.join();
}

HEDDLE_CREW_TEST(Event, ATimeoutIsNotTooEarly) {
  event e;
  all.start([&] {
    const auto expect = [&](auto wait) {
      const auto start = steady_clock::now();
      const auto system_start = system_clock::now();
      EXPECT_FALSE(wait());
      EXPECT_TRUE(steady_clock::now() - start >= 2ms || system_clock::now() - system_start >= 2ms);
    };
    expect([&] { return e.wait_for(2ms); });
    expect([&] { return e.wait_until(steady_clock::now() + 2ms); });
    expect([&] { return e.wait_until(heddle::clock::now() + 2ms); });
    expect([&] { return e.wait_until(system_clock::now() + 2ms); });
    EXPECT_FALSE(e.wait_for(-1h));
    EXPECT_FALSE(e.wait_until(steady_clock::time_point{}));
    EXPECT_FALSE(e.wait_until(system_clock::time_point{}));
  });
  all.join();
}

HEDDLE_CREW_TEST(Event, AHugeTimeIsForEver) {
  event e;
  const auto expect_waits = [&](auto wait) {
    all.start_and_sleep([&, wait] { EXPECT_TRUE(wait()); });
    e.set();
    e.reset();
    all.join();
  };
  expect_waits([&] { return e.wait_for(std::chrono::hours::max()); });
  expect_waits([&] { return e.wait_for(1s * 1e300); });
  expect_waits([&] { return e.wait_until(steady_clock::time_point::max()); });
  expect_waits([&] { return e.wait_until(system_clock::time_point::max()); });
}

HEDDLE_CREW_TEST(Event, AUsersClockDecides) {
  event e;
  manual_clock::reset();
  std::atomic<bool> over{false};
  all.start([&] {
    EXPECT_FALSE(e.wait_until(manual_clock::time_point(5ms)));
    over = true;
  });
  EXPECT_TRUE(eventually([&] { return manual_clock::asked.load() > 0; }));
  for (const int tick : {4, -100, 4}) {
    EXPECT_FALSE(over.load());
    manual_clock::ms = tick;
  }
  manual_clock::ms = 5;
  all.join();
}

namespace {

/// A user's clock. The third time that it is asked, between two slices of a wait, the event is set
/// and reset.
struct telling_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<telling_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static inline event* told = nullptr;
  static inline int asked = 0;
  static time_point now() {
    if (++asked == 3) {
      told->set();
      told->reset();
    }
    return time_point(duration(asked));
  }
};

}  // namespace

HEDDLE_CREW_TEST(Event, AWaitByAUsersClockMissesNothingBetweenItsSlices) {
  event e;
  telling_clock::told = &e;
  telling_clock::asked = 0;
  all.start([&] { EXPECT_TRUE(e.wait_until(telling_clock::time_point(20ms))); });
  all.join();
  EXPECT_EQ(telling_clock::asked, 3);
}

HEDDLE_TEST(Event, OnEntryACancelledWaitThrowsAlsoWhereTheEventIsSet) {
  event e;
  for (int i = 0; i < 2; ++i) {
    in_cancelled_fiber(rt, [&] {
      EXPECT_TRUE(cancelled_in([&] { e.wait(); }));
      EXPECT_TRUE(cancelled_in([&] { (void)e.wait_for(1h); }));
      EXPECT_TRUE(cancelled_in([&] { (void)e.wait_for(-1h); }));
      EXPECT_TRUE(cancelled_in([&] { (void)e.wait_until(steady_clock::now() + 1h); }));
      EXPECT_TRUE(cancelled_in([&] { (void)e.wait_until(system_clock::now()); }));
      EXPECT_FALSE(cancelled_in([&] {
        e.reset();
        e.set();
        EXPECT_TRUE(e.is_set());
      }));
    });
  }
}

HEDDLE_TEST(Event, ACancelledWaitThrowsAndLeavesTheOthers) {
  event e;
  for (int way = 0; way < 3; ++way) {
    std::optional<cancel_reason> why, other;
    auto cancelled = sleeping_fiber(rt, [&] {
      why = cancelled_in([&] {
        if (way == 0) e.wait();
        if (way == 1) (void)e.wait_for(1h);
        if (way == 2) (void)e.wait_until(system_clock::now() + 1h);
      });
    });
    auto waits = sleeping_fiber(rt, [&] { other = cancelled_in([&] { e.wait(); }); });
    EXPECT_TRUE(cancelled.cancel());
    cancelled.join();
    EXPECT_EQ(why, cancel_reason::requested);
    e.set();
    e.reset();
    waits.join();
    EXPECT_EQ(other, std::nullopt);
  }
}

// Each wait ends once, for one reason; whoever was waiting when it was set was not timed out.
HEDDLE_TEST(Event, SetAndTimeoutAndCancelAtOnceAreOneOfThem) {
  event e;
  jitter late(7);
  int set = 0, timed_out = 0, cancelled = 0;
  for (std::size_t i = 0; i < rounds(3'000); ++i) {
    start_line line(3);
    std::atomic<bool> over{false};
    heddle::fiber waits([&] {
      line.wait();
      const auto why = cancelled_in([&] {
        // A virtual deadline would be met in one order only.
        ++(e.wait_for(std::chrono::microseconds(i % 40)) ? set : timed_out);
      });
      cancelled += why.has_value();
      over = true;
    });
    heddle::fiber sets([&] {
      line.wait();
      jitter{static_cast<unsigned>(i) + 1}();
      e.set();
      e.reset();
    });
    line.wait();
    late();
    if (i % 2 == 0) waits.cancel();
    sets.join();
    if (!over.load()) heddle::this_fiber::yield();
    waits.join();
  }
  EXPECT_EQ(static_cast<std::size_t>(set + timed_out + cancelled), rounds(3'000));
}

TEST(Event, CanBeMadeBeforeMain) {
  made_before_main.set();
  made_before_main.wait();
}

#if defined(HEDDLE_ASSERTIONS)
TEST(Event, DiesWithAMessageIfDestroyedWhileWaitedOn) {
  EXPECT_DEATH(
      {
        heddle::runtime rt({.workers = 1});
        std::optional<event> e(std::in_place);
        auto waits = sleeping_fiber(rt, [&] { e->wait(); });
        e.reset();
      },
      "heddle: event 0x[0-9a-f]+ is destroyed while it is waited on");
}
#endif
