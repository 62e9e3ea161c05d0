// SPDX-License-Identifier: BSL-1.0
// event: a flag that can be waited for.
//   The state word: bit 0 says whether it is set; above it is counted how often it was set, so that
//   a wait by a foreign clock, which is cut into slices, misses nothing between two. The word
//   changes under the list's lock only, also where it stays as it is: so each reset() sees what was
//   done before the set()s that it follows, and who looks for work after it misses none:
//
//     the one who has work to offer            the one who looks for work
//       1 makes the work                         a reset()
//       2 set()                                  b looks; finds nothing, and waits
//
//   If a follows 2, b finds the work; else 2 ends the wait. (A set() that did nothing where the
//   event was set already, as it found by a load, could be overtaken by 1.)
//   Lock order: that lock, then nothing.
#pragma once

#include <heddle/sched/clock.hpp>
#include <heddle/sync/wait_list.hpp>

#include <chrono>
#include <cstdint>

namespace heddle {

/// A flag for fibers and threads: set by hand, reset by hand, waited for by any number. All
/// set()s and reset()s of an event stand in one order; what is done before one happens before those
/// that follow, and before the return of the waits that a set() lets through. May be destroyed by
/// whom it has just released.
///
/// wait and its timed forms are cancellation points, also where the event is set.
class event {
 public:
  /// Not set.
  constexpr event() noexcept = default;
  event(const event&) = delete;
  event& operator=(const event&) = delete;
  ~event();

  /// Sets it and releases all who wait at that moment, also if reset() follows at once. Makes no
  /// system call where no thread waits. No cancellation point.
  void set() noexcept;
  /// From now on waits wait. No cancellation point.
  void reset() noexcept;
  /// Whether it is set; true has acquire order.
  [[nodiscard]] bool is_set() const noexcept {
    // (ev.1) acquire: sees what was done before set(); pairs with (ev.2).
    return (state_.load(std::memory_order_acquire) & flag) != 0;
  }

  /// Blocks until it is set, or is being set; one load where it is already. \throws cancelled
  void wait() const;
  /// As wait(), for at most `d`: then false. What is not positive only looks. \throws cancelled
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period>& d) const {
    return wait_until_ns(detail::deadline_after(d), nullptr);
  }
  /// As wait(), until a time point of any clock. \throws cancelled
  template <class Clock, class Duration>
  [[nodiscard]] bool wait_until(const std::chrono::time_point<Clock, Duration>& at) const {
    const std::uint64_t start = state_.load(std::memory_order_relaxed);
    return detail::attempt_until(
        at, [&](std::int64_t deadline_ns) { return wait_until_ns(deadline_ns, &start); });
  }

 private:
  static constexpr std::uint64_t flag = 1;
  static constexpr std::uint64_t once = 2;

  /// False on timeout. `start`: the state when the wait began, where this is a slice of it.
  bool wait_until_ns(std::int64_t deadline_ns, const std::uint64_t* start) const;

  detail::atomic<std::uint64_t> state_{0};
  mutable detail::wait_list waiting_;
};

}  // namespace heddle
