// SPDX-License-Identifier: BSL-1.0
// timed_mutex: a mutex, and limits in time to the wait for it. Part of <heddle/sync/mutex.hpp>.
#pragma once

#include <heddle/sched/clock.hpp>
#include <heddle/sync/mutex.hpp>

#include <chrono>
#include <cstdint>

namespace heddle {

/// std::timed_mutex for fibers ([thread.timedmutex.class]): all that heddle::mutex is, as fast and
/// as small. No member is a cancellation point.
class timed_mutex : private mutex {
 public:
  constexpr timed_mutex() noexcept : mutex("timed_mutex") {}

  using mutex::lock;
  using mutex::try_lock;
  using mutex::unlock;

  /// As lock(), for at most `d`: then false, and nothing has changed. What is not positive tries
  /// once. The caller must not own it.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return lock_within({.deadline_ns = detail::deadline_after(d)});
  }
  /// As lock(), until a time point of any clock: then false, and nothing has changed. A clock that
  /// is not steady is asked again every 50 ms; the caller keeps its turn meanwhile. \throws what
  /// Clock::now() throws
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& at) {
    detail::turn mine = 0;
    return detail::attempt_until(at, [&](std::int64_t deadline_ns) {
      return lock_within({.deadline_ns = deadline_ns, .mine = &mine});
    });
  }
};

}  // namespace heddle
