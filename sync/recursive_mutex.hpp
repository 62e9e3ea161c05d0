// SPDX-License-Identifier: BSL-1.0
// recursive_mutex: a mutex that its owner may lock again. Part of <heddle/sync/mutex.hpp>.
//   I1  holder_ is the owner while it owns the mutex, else null. The owner writes it, so whoever
//       reads there that it is the owner, is.
#pragma once

#include <heddle/sched/clock.hpp>
#include <heddle/sync/mutex.hpp>

#include <chrono>
#include <cstdint>

namespace heddle {

/// std::recursive_mutex for fibers ([thread.mutex.recursive]): the owner is the fiber (or plain
/// thread), which may lock it again, and has to unlock it as often. Who waits is served as by
/// heddle::mutex. No member is a cancellation point.
class recursive_mutex : private mutex {
 public:
  constexpr recursive_mutex() noexcept : recursive_mutex("recursive_mutex") {}

  /// Blocks until the caller owns the mutex, once more. \throws std::system_error
  /// (resource_unavailable_try_again): its owner has locked it 16,777,216 times already
  void lock();
  /// Locks it if it is free now, or the caller's. False also where lock() would throw.
  [[nodiscard]] bool try_lock() noexcept;
  /// Takes back one lock. The caller must own the mutex (builds with HEDDLE_ASSERTIONS check that);
  /// with the last one it goes to the next, who may destroy it.
  void unlock() noexcept;

 protected:
  /// `kind` is what reports call it.
  constexpr explicit recursive_mutex(const char* kind) noexcept : mutex(kind) {}
  /// lock(), until `limits` end the wait: then false.
  bool lock_within(const detail::wait_limits& limits) noexcept;
  bool is_callers() const noexcept;

 private:
  template <class First>
  bool enter(First first) noexcept;

  static constexpr std::uint32_t deepest = (1 << 24) - 1;

  detail::atomic<detail::agent*> holder_{nullptr};
  std::uint32_t depth_ = 0;  // the owner's: how often it has locked the mutex again
};

/// std::recursive_timed_mutex for fibers ([thread.timedmutex.recursive]): a recursive_mutex, and
/// the limits of timed_mutex. No member is a cancellation point.
class recursive_timed_mutex : private recursive_mutex {
 public:
  constexpr recursive_timed_mutex() noexcept : recursive_mutex("recursive_timed_mutex") {}

  using recursive_mutex::lock;
  using recursive_mutex::try_lock;
  using recursive_mutex::unlock;

  /// As try_lock(), for at most `d`: then false. What is not positive tries once.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return lock_within({.deadline_ns = detail::deadline_after(d)});
  }
  /// As try_lock(), until a time point of any clock: then false. \throws what Clock::now() throws
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& at) {
    if (is_callers()) return try_lock();
    detail::turn mine = 0;
    return detail::attempt_until(at, [&](std::int64_t deadline_ns) {
      return lock_within({.deadline_ns = deadline_ns, .mine = &mine});
    });
  }
};

}  // namespace heddle
