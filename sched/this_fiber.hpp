// SPDX-License-Identifier: BSL-1.0
// this_fiber: std::this_thread for fibers. From a plain thread what std::this_thread has too does
// the same, but for get_id(), which is that of no fiber; the others say what they do there.
#pragma once

#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/fiber.hpp>

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string_view>

namespace heddle::detail {
/// A cancellation point.
void sleep_until_ns(std::int64_t deadline_ns);
}  // namespace heddle::detail

namespace heddle::this_fiber {

/// The calling fiber's id; id{} on a plain thread.
fiber::id get_id() noexcept;

/// Lets others run: the fiber goes to the end of its worker's queue. No cancellation point.
void yield() noexcept;

/// Sleeps for at least `d` of steady time. A cancellation point.
/// \throws cancelled
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> d) {
  if (d > d.zero()) {
    detail::sleep_until_ns(detail::deadline_after(d));
  } else {
    check_cancel();
  }
}

/// Sleeps until `at` on its clock. A clock that is not steady is asked again every 50 ms, so that a
/// sleep follows it when it is set. A cancellation point.
/// \throws cancelled; what Clock::now() throws
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> at) {
  check_cancel();
  if (detail::left_until(at, Clock::now()).count() <= 0) return;
  detail::attempt_until(at, [](std::int64_t deadline_ns) {
    detail::sleep_until_ns(deadline_ns);
    return false;
  });
}

/// The calling fiber's stop token; from a plain thread one without a state.
std::stop_token get_stop_token() noexcept;

/// Names the calling fiber for reports; cut at 255 bytes. From a plain thread it does nothing.
/// \throws std::bad_alloc
void set_name(std::string_view name);
/// The calling fiber's name, valid until it is set again; empty if it has none.
std::string_view name() noexcept;

}  // namespace heddle::this_fiber
