// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::fiber;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// --- from a plain thread: what std::this_thread does ---

TEST(ThisFiber, IsThePlainThreadWhereThereIsNoFiber) {
  EXPECT_EQ(this_fiber::get_id(), fiber::id{});
  this_fiber::yield();
  EXPECT_FALSE(this_fiber::get_stop_token().stop_possible());
  this_fiber::set_name("nobody");
  EXPECT_EQ(this_fiber::name(), "");
  this_fiber::check_cancel();
}

TEST(ThisFiber, PutsAPlainThreadToSleepWhereThereIsNoFiber) {
  auto began = steady_clock::now();
  this_fiber::sleep_for(20ms);
  EXPECT_GE(steady_clock::now() - began, 20ms);
  began = steady_clock::now();
  this_fiber::sleep_until(began + 20ms);
  EXPECT_GE(steady_clock::now() - began, 20ms);
  const auto wall = system_clock::now();
  this_fiber::sleep_until(wall + 20ms);
  EXPECT_GE(system_clock::now() - wall, 20ms);
  this_fiber::sleep_for(-1h);
  this_fiber::sleep_until(steady_clock::now() - 1h);
  this_fiber::sleep_until(system_clock::time_point::min());
}

// --- yielding and naming ---

HEDDLE_TEST(ThisFiber, LetsOthersRunByYielding) {
  std::atomic<int> turn{0};
  const heddle::no_migrate stay;  // both on one worker: they must take turns
  fiber other([&] {
    const heddle::no_migrate stay_too;
    for (int i = 0; i < 100; ++i) {
      ++turn;
      this_fiber::yield();
    }
  });
  while (turn < 100) this_fiber::yield();
  other.join();
}

HEDDLE_TEST(ThisFiber, YieldsAloneWithoutHarm) {
  for (int i = 0; i < 10'000; ++i) this_fiber::yield();
}

HEDDLE_TEST(ThisFiber, LetsEveryOtherRunByYieldingOften) {
  // More fibers than a ring holds; none is forgotten.
  constexpr int count = 1000;
  std::vector<int> turns(count);
  heddle::wait_group all;
  for (int i = 0; i < count; ++i) {
    all.go([&, i] {
      while (turns[i] < 20) {
        ++turns[i];
        this_fiber::yield();
      }
    });
  }
  all.wait();
  for (const int n : turns) ASSERT_EQ(n, 20);
}

HEDDLE_TEST(ThisFiber, HasANameOfItsOwn) {
  EXPECT_EQ(this_fiber::name(), "");
  this_fiber::set_name("main fiber");
  fiber([] {
    EXPECT_EQ(this_fiber::name(), "");
    this_fiber::set_name("child");
    this_fiber::yield();
    EXPECT_EQ(this_fiber::name(), "child");
  }).join();
  EXPECT_EQ(this_fiber::name(), "main fiber");
}

// --- sleeping, in real time ---

HEDDLE_TEST(Sleep, LastsAtLeastAsLongAsAsked) {
  for (const auto wait : {1us, 100us, 5000us, 20'000us}) {
    const auto began = steady_clock::now();
    this_fiber::sleep_for(wait);
    EXPECT_GE(steady_clock::now() - began, wait);
  }
  const auto at = steady_clock::now() + 5ms;
  this_fiber::sleep_until(at);
  EXPECT_GE(steady_clock::now(), at);
  const auto on_heddles_clock = heddle::clock::now() + 5ms;
  this_fiber::sleep_until(on_heddles_clock);
  EXPECT_GE(heddle::clock::now(), on_heddles_clock);
  const auto wall = system_clock::now() + 5ms;
  this_fiber::sleep_until(wall);
  EXPECT_GE(system_clock::now(), wall);
}

HEDDLE_TEST(Sleep, TakesDurationsOfEveryKind) {
  using years_in_float = std::chrono::duration<float, std::ratio<31'557'600>>;
  this_fiber::sleep_for(std::chrono::duration<double>(0.001));
  this_fiber::sleep_for(years_in_float(1e-12F));
  this_fiber::sleep_for(std::chrono::duration<std::int8_t, std::milli>(1));
  this_fiber::sleep_for(std::chrono::duration<long, std::pico>(1));
  this_fiber::sleep_until(std::chrono::time_point_cast<std::chrono::seconds>(steady_clock::now()));
  this_fiber::sleep_until(
      std::chrono::time_point_cast<std::chrono::milliseconds>(steady_clock::now() + 2ms));
  this_fiber::sleep_until(
      std::chrono::time_point_cast<std::chrono::milliseconds>(system_clock::now() + 2ms));
  this_fiber::sleep_until(std::chrono::time_point<steady_clock, std::chrono::duration<double>>(
      steady_clock::now().time_since_epoch() + 1ms));
}

HEDDLE_TEST(Sleep, IsOverAtOnceWhenItsTimeIsPast) {
  const auto began = steady_clock::now();
  this_fiber::sleep_for(0s);
  this_fiber::sleep_for(-1h);
  this_fiber::sleep_for(std::chrono::hours::min());
  this_fiber::sleep_for(std::chrono::nanoseconds::min());
  this_fiber::sleep_for(std::chrono::duration<double>(-std::numeric_limits<double>::infinity()));
  this_fiber::sleep_for(std::chrono::duration<double>(std::nan("")));
  this_fiber::sleep_until(steady_clock::time_point::min());
  this_fiber::sleep_until(steady_clock::time_point{});
  this_fiber::sleep_until(system_clock::time_point::min());
  this_fiber::sleep_until(heddle::clock::time_point::min());
  this_fiber::sleep_until(std::chrono::time_point<system_clock, std::chrono::hours>::min());
  EXPECT_LT(steady_clock::now() - began, 10s * slowness());
}

HEDDLE_TEST(Sleep, LetsOthersRun) {
  std::atomic<bool> ran{false};
  fiber other([&] { ran = true; });
  this_fiber::sleep_for(1ms);
  while (!ran) this_fiber::sleep_for(1ms);
  other.join();
}

HEDDLE_TEST(Sleep, EndsForThousandsInTheOrderOfTheirDeadlines) {
  constexpr int count = 2000;
  std::vector<std::int64_t> late_ns(count);
  heddle::wait_group all;
  const auto start = steady_clock::now();
  for (int i = 0; i < count; ++i) {
    all.go([&, i] {
      const auto at = start + std::chrono::microseconds(10 * ((i * 7919) % count));
      this_fiber::sleep_until(at);
      late_ns[i] = (steady_clock::now() - at).count();
    });
  }
  all.wait();
  for (const auto each : late_ns) ASSERT_GE(each, 0);
}

// --- sleeping, in virtual time ---

/// A sleeper that says when it woke.
struct sleeper {
  template <class Nap>
  explicit sleeper(heddle::runtime& rt, Nap nap)
      : f({.on = &rt}, [this, nap] {
          nap();
          awake = true;
        }) {}
  std::atomic<bool> awake{false};
  fiber f;
};

HEDDLE_THREAD_TEST(VirtualTime, StandsStillUntilItIsAdvanced) {
  virtual_time time;
  const auto before = heddle::clock::now();
  std::this_thread::sleep_for(2ms);
  EXPECT_EQ(heddle::clock::now(), before);
  time.advance(3h);
  EXPECT_EQ(heddle::clock::now(), before + 3h);
}

HEDDLE_THREAD_TEST(VirtualTime, WakesSleepersAtTheirDeadlines) {
  virtual_time time;
  std::vector<std::unique_ptr<sleeper>> all;
  for (const auto nap : {1h, 2h, 3h}) {
    all.push_back(std::make_unique<sleeper>(rt, [nap] { this_fiber::sleep_for(nap); }));
  }
  ASSERT_TRUE(eventually([&] { return rt.stats().timers_pending == 3; }));
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t k = i; k < all.size(); ++k) EXPECT_FALSE(all[k]->awake);
    time.advance(59min + 59s);
    // One who wakes for no reason would be seen here; a fiber makes sure that all have had a turn.
    rt.run([] { this_fiber::yield(); });
    EXPECT_FALSE(all[i]->awake);
    time.advance(1s + 1ms);
    EXPECT_TRUE(eventually([&] { return all[i]->awake.load(); }));
  }
}

HEDDLE_THREAD_TEST(VirtualTime, NeverEndsASleepWithoutEnd) {
  virtual_time time;
  using years = std::chrono::duration<double, std::ratio<31'557'600>>;
  std::vector<std::unique_ptr<sleeper>> all;
  const auto add = [&](auto nap) { all.push_back(std::make_unique<sleeper>(rt, nap)); };
  add([] { this_fiber::sleep_for(std::chrono::hours::max()); });
  add([] { this_fiber::sleep_for(std::chrono::nanoseconds::max()); });
  add([] { this_fiber::sleep_for(years(1e300)); });
  add([] { this_fiber::sleep_for(years(std::numeric_limits<double>::infinity())); });
  add([] { this_fiber::sleep_until(steady_clock::time_point::max()); });
  add([] { this_fiber::sleep_until(heddle::clock::time_point::max()); });
  ASSERT_TRUE(eventually([&] { return rt.stats().parks >= all.size(); }));
  time.advance(24h * 365 * 100);
  rt.run([] { this_fiber::yield(); });
  for (const auto& each : all) {
    EXPECT_FALSE(each->awake);
    EXPECT_TRUE(each->f.cancel());
  }
}

/// A clock that the test sets, forward and back.
struct wall_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<wall_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static time_point now() { return time_point(duration(at.load())); }
  static inline std::atomic<std::int64_t> at{0};
};

HEDDLE_THREAD_TEST(SleepUntil, FollowsAClockThatIsSetForward) {
  virtual_time time;
  wall_clock::at = 0;
  sleeper s(rt, [] { this_fiber::sleep_until(wall_clock::time_point(1h)); });
  ASSERT_TRUE(eventually([&] { return rt.stats().timers_pending == 1; }));
  wall_clock::at = duration_cast<std::chrono::nanoseconds>(2h).count();
  // It is asked again after a slice of steady time, not after the hour that was left.
  time.advance(heddle::detail::foreign_clock_slice + 1ms);
  EXPECT_TRUE(eventually([&] { return s.awake.load(); }));
}

HEDDLE_THREAD_TEST(SleepUntil, FollowsAClockThatIsSetBack) {
  virtual_time time;
  wall_clock::at = 0;
  sleeper s(rt, [] { this_fiber::sleep_until(wall_clock::time_point(20ms)); });
  ASSERT_TRUE(eventually([&] { return rt.stats().timers_pending == 1; }));
  const auto parks = rt.stats().parks;
  wall_clock::at = -duration_cast<std::chrono::nanoseconds>(1h).count();
  time.advance(25ms);
  // It wakes, sees that its time has not come, and sleeps again.
  EXPECT_TRUE(eventually([&] { return rt.stats().parks > parks; }));
  EXPECT_TRUE(eventually([&] { return rt.stats().timers_pending == 1; }));
  EXPECT_FALSE(s.awake);
  wall_clock::at = duration_cast<std::chrono::nanoseconds>(1h).count();
  time.advance(heddle::detail::foreign_clock_slice + 1ms);
  EXPECT_TRUE(eventually([&] { return s.awake.load(); }));
}

struct counting_clock : wall_clock {
  using time_point = std::chrono::time_point<counting_clock, duration>;
  static time_point now() { return time_point(duration(++at)); }
};

HEDDLE_THREAD_TEST(SleepUntil, DoesNotAskAgainAClockThatIsPast) {
  wall_clock::at = 100;
  rt.run([] { this_fiber::sleep_until(counting_clock::time_point(counting_clock::duration(50))); });
  EXPECT_LE(wall_clock::at, 103);
}

struct broken_clock : wall_clock {
  using time_point = std::chrono::time_point<broken_clock, duration>;
  static time_point now() { throw 7; }
};

HEDDLE_TEST(SleepUntil, LetsWhatTheClockThrowsThrough) {
  EXPECT_THROW(this_fiber::sleep_until(broken_clock::time_point(1h)), int);
}

}  // namespace
