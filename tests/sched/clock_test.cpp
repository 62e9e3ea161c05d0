// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/sched/clock.hpp>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

namespace {

using namespace heddle_test;
using heddle::detail::attempt_until;
using heddle::detail::deadline_after;
using heddle::detail::no_deadline;
using heddle::detail::now_ns;
using std::chrono::steady_clock;
using std::chrono::system_clock;

static_assert(heddle::clock::is_steady);
static_assert(std::is_same_v<heddle::clock::time_point, steady_clock::time_point>);
static_assert(noexcept(heddle::clock::now()));

TEST(Clock, IsTheSteadyClock) {
  const auto before = steady_clock::now();
  const auto now = heddle::clock::now();
  EXPECT_LE(before, now);
  EXPECT_LE(now, steady_clock::now());
}

class Deadline : public ::testing::Test {
 protected:
  virtual_time time;  // stands still
};

TEST_F(Deadline, IsNowAndTheDurationRoundedUp) {
  const auto now = now_ns();
  EXPECT_EQ(deadline_after(1ns), now + 1);
  EXPECT_EQ(deadline_after(1h), now + 3'600'000'000'000);
  EXPECT_EQ(deadline_after(std::chrono::duration<long, std::pico>(1)), now + 1);
  EXPECT_EQ(deadline_after(std::chrono::duration<long, std::pico>(1001)), now + 2);
  EXPECT_EQ(deadline_after(std::chrono::duration<double>(0.5)), now + 500'000'000);
}

TEST_F(Deadline, IsPastForWhatIsNotPositive) {
  EXPECT_LE(deadline_after(0ns), now_ns());
  EXPECT_LE(deadline_after(-1ns), now_ns());
  EXPECT_LE(deadline_after(std::chrono::nanoseconds::min()), now_ns());
  EXPECT_LE(deadline_after(std::chrono::hours::min()), now_ns());
  EXPECT_LE(deadline_after(std::chrono::duration<double>(-std::numeric_limits<double>::infinity())),
            now_ns());
}

TEST_F(Deadline, IsNeverForWhatIsTooFar) {
  EXPECT_EQ(deadline_after(std::chrono::nanoseconds::max()), no_deadline);
  EXPECT_EQ(deadline_after(std::chrono::hours::max()), no_deadline);
  EXPECT_EQ(deadline_after(std::chrono::duration<double>(std::numeric_limits<double>::infinity())),
            no_deadline);
  EXPECT_EQ(deadline_after(std::chrono::duration<std::uint64_t>(UINT64_MAX)), no_deadline);
  EXPECT_LT(deadline_after(24h * 365 * 100), no_deadline) << "a century is not";
}

/// Collects the deadlines that attempt_until() asks for.
template <class TimePoint>
std::vector<std::int64_t> attempts(const TimePoint& at, bool successful = false) {
  std::vector<std::int64_t> asked;
  const bool result = attempt_until(at, [&](std::int64_t deadline) {
    asked.push_back(deadline);
    return successful;
  });
  EXPECT_EQ(result, successful);
  return asked;
}

TEST_F(Deadline, IsAttemptedOnceOnSteadyClocks) {
  const auto now = heddle::clock::now();
  EXPECT_EQ(attempts(now + 5ms), std::vector{now_ns() + 5'000'000});
  EXPECT_EQ(attempts(std::chrono::time_point_cast<std::chrono::hours>(now) + 2h).size(), 1u);
  for (const auto past :
       {now, now - 1h, heddle::clock::time_point{}, heddle::clock::time_point::min()}) {
    const auto asked = attempts(past);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_LE(asked[0], now_ns());
  }
  EXPECT_EQ(attempts(heddle::clock::time_point::max()), std::vector{no_deadline});
}

TEST_F(Deadline, OfAPointInTimeIsThatPointAlsoWhileTimeMoves) {
  const auto at = heddle::clock::now() + 1h;
  std::atomic<bool> over{false};
  std::thread mover([&] {
    while (!over.load()) time.advance(1ns);
  });
  bool same = true;
  for (std::size_t moved = 0; same && moved < rounds(10'000);) {
    const auto before = now_ns();
    same = attempts(at) == std::vector{heddle::detail::deadline_at(at)};
    if (now_ns() != before) ++moved;
  }
  over.store(true);
  mover.join();
  EXPECT_TRUE(same) << "a timer that starts late must not end later";
  EXPECT_EQ(heddle::detail::deadline_at(at), at.time_since_epoch().count());
}

TEST_F(Deadline, IsAttemptedOnceOnOthersWhenPast) {
  for (const auto past :
       {system_clock::now() - 1s, system_clock::time_point{}, system_clock::time_point::min()}) {
    const auto asked = attempts(past);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_LE(asked[0], now_ns());
  }
  EXPECT_EQ(attempts(std::chrono::time_point<system_clock, std::chrono::hours>::min()).size(), 1u);
}

TEST_F(Deadline, IsAttemptedInSlicesOnClocksThatMayJump) {
  const auto asked = attempts(system_clock::time_point::max(), true);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0], now_ns() + std::chrono::nanoseconds(50ms).count());
}

TEST(VirtualClock, MovesOnlyWhenTold) {
  {
    virtual_time time;
    const auto before = now_ns();
    EXPECT_TRUE(heddle::detail::time_is_virtual());
    time.advance(5s);
    EXPECT_EQ(now_ns(), before + 5'000'000'000);
    EXPECT_LT(heddle::detail::real_now_ns(), now_ns());
  }
  EXPECT_FALSE(heddle::detail::time_is_virtual());
  const auto real = heddle::detail::real_now_ns();
  EXPECT_GE(now_ns(), real);
}

}  // namespace
