// SPDX-License-Identifier: BSL-1.0
// condition_variable: waiting for what the owner of a mutex will make true.
//   A waiter is linked under lock_ before its mutex is opened, so a notify by whoever gets the
//   mutex next finds it.
//   I1  waited_on_ says whether waiters are linked; it changes under their lock.
//
//   Lock order: the list's lock, then nothing (the mutex is opened when that is open again).
#pragma once

#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/condition_variable_any.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/wait_list.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

namespace heddle {

/// std::condition_variable for fibers ([thread.condition.condvar]), on heddle::mutex. The waits are
/// cancellation points: cancelled, they throw with the lock held again. Waiters are notified in the
/// order they came. May be destroyed once all waiters were notified.
class condition_variable {
 public:
  condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;
  ~condition_variable();

  /// Wakes one of those who wait, or all; not needed: holding the lock. No cancellation points.
  void notify_one() noexcept;
  void notify_all() noexcept;

  /// In all forms the lock must be owned, and be one of the mutex that all others wait with (builds
  /// with HEDDLE_ASSERTIONS check that). May wake for no reason, but with a predicate. \throws
  /// cancelled, with the lock held; what the predicate throws
  void wait(std::unique_lock<mutex>& lock);
  template <class Predicate>
  void wait(std::unique_lock<mutex>& lock, Predicate ready) {
    this_fiber::check_cancel();
    while (!ready()) wait(lock);
  }

  /// Until `at` at the latest. By a clock that is not steady it wakes every 50 ms for no reason, to
  /// ask it again: use the form with a predicate.
  template <class Clock, class Duration>
  std::cv_status wait_until(std::unique_lock<mutex>& lock,
                            const std::chrono::time_point<Clock, Duration>& at) {
    return detail::wait_once_until(
        at, [&](std::int64_t deadline_ns) { return wait_until_ns(lock, deadline_ns); });
  }
  template <class Clock, class Duration, class Predicate>
  bool wait_until(std::unique_lock<mutex>& lock, const std::chrono::time_point<Clock, Duration>& at,
                  Predicate ready) {
    this_fiber::check_cancel();
    while (!ready()) {
      if (wait_until(lock, at) == std::cv_status::timeout) return ready();
    }
    return true;
  }
  /// For `d` at the longest; what is not positive lets others at the lock, and times out.
  template <class Rep, class Period>
  std::cv_status wait_for(std::unique_lock<mutex>& lock,
                          const std::chrono::duration<Rep, Period>& d) {
    return wait_until_ns(lock, detail::deadline_after(d)) ? std::cv_status::no_timeout
                                                          : std::cv_status::timeout;
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& d,
                Predicate ready) {
    this_fiber::check_cancel();
    const std::int64_t deadline_ns = detail::deadline_after(d);
    while (!ready()) {
      if (!wait_until_ns(lock, deadline_ns)) return ready();
    }
    return true;
  }

 private:
  /// False on timeout. A cancellation point.
  bool wait_until_ns(std::unique_lock<mutex>& lock, std::int64_t deadline_ns);

  void note_waiters_locked() noexcept;

  detail::wait_list waiters_;
  detail::atomic<bool> waited_on_{false};  // written under the list's lock, read by notify
#if defined(HEDDLE_ASSERTIONS)
  const mutex* used_with_ = nullptr;  // by those who wait; under the list's lock
#endif
};

/// std::notify_all_at_thread_exit ([thread.condition.nonmember]): keeps `lock`, which must be owned
/// by the caller, until the calling fiber ends: after its locals are destroyed and before who joins
/// it goes on; on a plain thread, after its thread_locals are destroyed. Then it notifies all who
/// wait for `c`, and unlocks, in this order, so that whoever gets the mutex may destroy both. No
/// cancellation point. \throws std::bad_alloc, or std::system_error, if there is no room to note
/// that; the lock is then open
void notify_all_at_thread_exit(condition_variable& c, std::unique_lock<mutex> lock);

}  // namespace heddle
