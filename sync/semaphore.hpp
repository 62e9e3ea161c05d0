// SPDX-License-Identifier: BSL-1.0
// semaphore: permits, and waiting for one. Who waits gets the next ones in turn: a release hands
//   them over, and nobody who comes later takes them first.
//   The state word: the permits that are free; bit 63 is set while waiters are linked, and then
//   there are none (I1). While it is set, the word changes under the list's lock only. When the
//   last waiter gives up it stays set: the next release, or acquire, looks under the lock.
//   Lock order: the list's lock, then nothing.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sync/wait_list.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stop_token>

namespace heddle {

namespace detail {

class semaphore_core {
 public:
  constexpr explicit semaphore_core(std::ptrdiff_t permits) noexcept
      : state_(static_cast<std::uint64_t>(permits)) {}
  ~semaphore_core();

  bool try_acquire() noexcept {
    std::uint64_t now = state_.load(std::memory_order_relaxed);
    while ((now & ~waiters) != 0) {
      // (se.1) acquire: sees what was done before the release; pairs with (se.2), (se.3).
      if (state_.compare_exchange_weak(now, now - 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  /// A cancellation point. False: time was up, or the token was stopped.
  bool acquire(const wait_limits& limits = {}) {
    cancellation_point();
    return try_acquire() || acquire_slow(limits);
  }
  void release(std::ptrdiff_t n, std::ptrdiff_t most) noexcept;

 private:
  static constexpr std::uint64_t waiters = std::uint64_t{1} << 63;

  bool acquire_slow(const wait_limits& limits);

  atomic<std::uint64_t> state_;
  wait_list waiting_;
};

}  // namespace detail

/// std::counting_semaphore for fibers and threads ([thread.sema.cnt]). Who waits is served in the
/// order they came. What is done before release() happens before the return of an acquire that gets
/// one of its permits. May be destroyed by who has just acquired, if nobody else uses it.
///
/// acquire and its timed forms are cancellation points, which take nothing when they throw.
template <std::ptrdiff_t LeastMaxValue = std::numeric_limits<std::ptrdiff_t>::max()>
class counting_semaphore {
  static_assert(LeastMaxValue >= 0, "a semaphore cannot hold fewer than no permits");

 public:
  /// How many permits it can hold.
  static constexpr std::ptrdiff_t max() noexcept { return LeastMaxValue; }

  /// With `desired` permits: 0 to max() (builds with HEDDLE_ASSERTIONS check that).
  constexpr explicit counting_semaphore(std::ptrdiff_t desired) noexcept : core_(desired) {
    HEDDLE_DCHECK(desired >= 0 && desired <= max(),
                  "semaphore %p is made with %td permits; it can hold 0 to %td",
                  static_cast<void*>(this), desired, max());
  }
  counting_semaphore(const counting_semaphore&) = delete;
  counting_semaphore& operator=(const counting_semaphore&) = delete;

  /// Adds `update` permits, 0 or more, up to max() in all (builds with HEDDLE_ASSERTIONS check
  /// that). No cancellation point.
  void release(std::ptrdiff_t update = 1) noexcept { core_.release(update, max()); }
  /// Takes a permit; blocks while there is none. \throws cancelled
  void acquire() { (void)core_.acquire(); }
  /// As acquire(), until `token` is stopped: then false, and nothing was taken. A permit that is
  /// free is taken even if the token is stopped already. \throws cancelled
  [[nodiscard]] bool acquire(std::stop_token token) { return core_.acquire({.token = &token}); }
  /// Takes a permit if one is free; does not fail without cause. No cancellation point.
  [[nodiscard]] bool try_acquire() noexcept { return core_.try_acquire(); }
  /// As acquire(), for at most `d`: then false. What is not positive tries once. \throws cancelled
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& d) {
    return core_.acquire({.deadline_ns = detail::deadline_after(d)});
  }
  /// As acquire(), until a time point of any clock. \throws cancelled
  template <class Clock, class Duration>
  [[nodiscard]] bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& at) {
    detail::turn mine = 0;
    return detail::attempt_until(at, [&](std::int64_t deadline_ns) {
      return core_.acquire({.deadline_ns = deadline_ns, .mine = &mine});
    });
  }

 private:
  detail::semaphore_core core_;
};

using binary_semaphore = counting_semaphore<1>;

}  // namespace heddle
