// SPDX-License-Identifier: BSL-1.0
// clock: the time that heddle waits by: steady, and virtual under test. The one seam for time.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/base/futex.hpp>

#include <chrono>
#include <cstdint>

namespace heddle {

/// The clock that timers run on: std::chrono::steady_clock, unless a test made it virtual. Meets
/// TrivialClock ([time.clock.req]). Never goes back.
struct clock {
  using duration = std::chrono::steady_clock::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr bool is_steady = true;

  static time_point now() noexcept;
};

namespace detail {

/// Nanoseconds of CLOCK_MONOTONIC, or of the virtual clock.
std::int64_t now_ns() noexcept;

/// Nanoseconds of CLOCK_MONOTONIC also while time is virtual: for how long to spin.
std::int64_t real_now_ns() noexcept;

/// Under test: from now on time stands still at its present value and moves only by
/// advance_virtual_time(); until use_real_time(). For programs with no timers pending.
void use_virtual_time() noexcept;
void advance_virtual_time(std::chrono::nanoseconds by) noexcept;
void use_real_time() noexcept;

/// How a worker sleeps until a deadline of the virtual clock: until it is woken. True while
/// virtual.
bool time_is_virtual() noexcept;

/// now + `d`, rounded up, without overflow; what is not positive is in the past.
template <class Rep, class Period>
std::int64_t deadline_after(std::chrono::duration<Rep, Period> d) noexcept {
  using namespace std::chrono;
  if (!(d > duration<Rep, Period>::zero())) return 0;
  // In floating point first: a duration of years in a coarse unit overflows nanoseconds.
  constexpr double horizon = 9.0e18;
  const double wanted = duration_cast<duration<double, std::nano>>(d).count();
  const std::int64_t now = now_ns();
  if (!(wanted < horizon - static_cast<double>(now))) return no_deadline;
  return now + ceil<nanoseconds>(d).count();
}

/// Whether a clock's time points are those of heddle's clock.
template <class Clock>
inline constexpr bool is_heddles =
    std::is_same_v<Clock, clock> || std::is_same_v<Clock, std::chrono::steady_clock>;

/// `at` by heddle's clock, as deadline_after() counts. The clock is not read: what moves between
/// two readings would be added to the deadline.
template <class Clock, class Duration>
requires is_heddles<Clock> std::int64_t deadline_at(
    const std::chrono::time_point<Clock, Duration>& at)
noexcept {
  using namespace std::chrono;
  const double wanted = duration_cast<duration<double, std::nano>>(at.time_since_epoch()).count();
  if (!(wanted < 9.0e18)) return no_deadline;
  return wanted <= 0 ? 0 : ceil<nanoseconds>(at.time_since_epoch()).count();
}

/// Longest sleep on behalf of a clock that is not steady, before it is asked again.
inline constexpr std::chrono::milliseconds foreign_clock_slice{50};

/// `at - now`, rounded up and cut to ten years each way: what is farther off may have no difference
/// that its type could hold, not even a comparison.
inline constexpr std::chrono::nanoseconds ten_years = std::chrono::hours(24 * 3652);
template <class Clock, class D1, class D2>
std::chrono::nanoseconds left_until(const std::chrono::time_point<Clock, D1>& at,
                                    const std::chrono::time_point<Clock, D2>& now) {
  using seconds = std::chrono::duration<double>;
  const seconds apart = seconds(at.time_since_epoch()) - seconds(now.time_since_epoch());
  if (apart >= ten_years) return ten_years;
  if (apart <= -ten_years) return -ten_years;
  return std::chrono::ceil<std::chrono::nanoseconds>(at - now);
}

/// Calls `attempt(deadline_ns)` until it returns true or `at` has passed on its own clock; returns
/// whether an attempt succeeded. A time in the past attempts once.
template <class Clock, class Duration, class Attempt>
bool attempt_until(const std::chrono::time_point<Clock, Duration>& at, Attempt&& attempt) {
  if constexpr (is_heddles<Clock>) {
    return attempt(deadline_at(at));
  } else {
    // The clock is the user's: it may jump, or run at its own pace.
    for (;;) {
      const auto left = left_until(at, Clock::now());
      if (left.count() <= 0) return attempt(0);
      const bool last = left <= foreign_clock_slice;
      if (attempt(deadline_after(last ? left : std::chrono::nanoseconds(foreign_clock_slice))))
        return true;
      if (last && left_until(at, Clock::now()).count() <= 0) return false;
    }
  }
}

}  // namespace detail
}  // namespace heddle
