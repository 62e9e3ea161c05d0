// SPDX-License-Identifier: BSL-1.0
// condition_variable_any: waiting for what the owner of a lock, of whatever type, will make true.
//   The lock is the user's: opening it may run any code, park (and so use the claim word), and
//   throw. So it is not opened off the waiter's stack, as condition_variable does it, but before
//   the wait, which is in two steps therefore. A waiter has a place in the list from the first one
//   on, and may be notified between the two:
//
//     the one who waits                            who notifies, with lock_ held
//       1 links its place, awake, under lock_        a takes the first place off the list
//       2 unlocks the user's lock                    b awake: that is all; what it will find in
//       3 under lock_: off the list already:           step 3 is the notification
//         notified, goes to 5. Else it is asleep,    c asleep: claims its wait; wakes it when lock_
//         and the wait opens lock_                     is open. The claim fails: somebody else has
//       4 somebody else has ended the wait:            ended the wait; takes the next place
//         unlinks its place, if still linked
//       5 locks the user's lock
//
//   If the notifier has made the condition true under the user's lock, it had it before the waiter
//   did, who found the condition true; or after 2, and finds its place.
//   I1  leaving_ counts those who were taken off the list and have yet to take lock_ once more, in
//       3 or 4; the destructor waits for them, since to the user they were notified.
//   I2  waited_on_ says whether places are linked; it changes under lock_.
//
//   Lock order: lock_, then nothing; never the user's lock inside it.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/wait.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <stop_token>
#include <utility>

namespace heddle {

namespace detail {

/// The list of those who wait.
class condition_core {
 public:
  /// Of one who waits; on his stack.
  class place : public waiter {
   public:
    /// Step 1.
    explicit place(condition_core& condition) noexcept;
    place(const place&) = delete;
    place& operator=(const place&) = delete;

    /// Steps 3 and 4; returns who won. 0: notified, and the condition variable may be gone.
    case_index sleep(std::int64_t deadline_ns, const std::stop_token* token) noexcept;
    /// In place of sleep(): gives up.
    void leave() noexcept;

   private:
    friend class condition_core;
    condition_core& condition_;
    bool asleep_ = false;  // guarded by lock_
  };

  constexpr condition_core() noexcept = default;
  condition_core(const condition_core&) = delete;
  condition_core& operator=(const condition_core&) = delete;
  ~condition_core();

  void notify_one() noexcept;
  void notify_all() noexcept;

 private:
  bool notify_first_locked(ready_list& asleep) noexcept;
  void note_waiters_locked() noexcept;

  spin_lock lock_;
  intrusive_list<place> places_;      // guarded by lock_: in the order they came
  atomic<std::uint32_t> leaving_{0};  // goes up under lock_
  atomic<bool> waited_on_{false};     // written under lock_, read by notify
};

/// One wait for a condition until `at` at the latest: `wait(deadline_ns)` says whether it was
/// notified. By a clock that is not steady it is short, and ends for no reason: between two slices
/// nobody waits, and a notification would be lost.
template <class Clock, class Duration, class Wait>
std::cv_status wait_once_until(const std::chrono::time_point<Clock, Duration>& at, Wait&& wait) {
  bool notified = false;
  attempt_until(at, [&](std::int64_t deadline_ns) {
    notified = wait(deadline_ns);
    return true;
  });
  if constexpr (!is_heddles<Clock>) {
    notified = notified || left_until(at, Clock::now()).count() > 0;
  }
  return notified ? std::cv_status::no_timeout : std::cv_status::timeout;
}

}  // namespace detail

/// std::condition_variable_any for fibers and threads ([thread.condition.condvarany]), on a lock of
/// any type that has lock() and unlock(), which may park. The waits are cancellation points:
/// cancelled, they throw with the lock held again. Waiters are notified in the order they came. May
/// be destroyed once all waiters were notified.
///
/// In all forms the lock must be held. They may wake for no reason, but with a predicate, which is
/// asked under the lock. What unlock() throws leaves the wait, which has then not begun; if lock()
/// throws, std::terminate is called.
class condition_variable_any {
 public:
  constexpr condition_variable_any() noexcept = default;
  condition_variable_any(const condition_variable_any&) = delete;
  condition_variable_any& operator=(const condition_variable_any&) = delete;

  /// Wakes one of those who wait, or all; not needed: holding the lock. No cancellation points.
  void notify_one() noexcept { core_.notify_one(); }
  void notify_all() noexcept { core_.notify_all(); }

  /// Blocks until notified. \throws cancelled
  template <class Lock>
  void wait(Lock& lock) {
    (void)wait_until_ns(lock, detail::no_deadline);
  }
  /// Until `ready()`. \throws cancelled; what the predicate throws
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate ready) {
    (void)wait(lock, std::stop_token(), std::move(ready));
  }
  /// Until `ready()`, or until `token` is stopped. Returns ready(), also where the token was
  /// stopped before. \throws as above
  template <class Lock, class Predicate>
  bool wait(Lock& lock, std::stop_token token, Predicate ready) {
    return wait_for_condition(token, ready, [&] {
      (void)wait_until_ns(lock, detail::no_deadline, &token);
      return true;
    });
  }

  /// Until `at` at the latest. By a clock that is not steady it wakes every 50 ms for no reason, to
  /// ask it again: use the forms with a predicate, which return ready(). \throws as above
  template <class Lock, class Clock, class Duration>
  std::cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& at) {
    return detail::wait_once_until(
        at, [&](std::int64_t deadline_ns) { return wait_until_ns(lock, deadline_ns); });
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& at, Predicate ready) {
    return wait_until(lock, std::stop_token(), at, std::move(ready));
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, std::stop_token token,
                  const std::chrono::time_point<Clock, Duration>& at, Predicate ready) {
    return wait_for_condition(token, ready, [&] {
      const auto status = detail::wait_once_until(
          at, [&](std::int64_t deadline_ns) { return wait_until_ns(lock, deadline_ns, &token); });
      return status == std::cv_status::no_timeout;
    });
  }

  /// For `d` at the longest; what is not positive lets others at the lock, and times out. \throws
  /// as above
  template <class Lock, class Rep, class Period>
  std::cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d) {
    return wait_until_ns(lock, detail::deadline_after(d)) ? std::cv_status::no_timeout
                                                          : std::cv_status::timeout;
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d, Predicate ready) {
    return wait_for(lock, std::stop_token(), d, std::move(ready));
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, std::stop_token token, const std::chrono::duration<Rep, Period>& d,
                Predicate ready) {
    const std::int64_t deadline_ns = detail::deadline_after(d);
    return wait_for_condition(token, ready,
                              [&] { return wait_until_ns(lock, deadline_ns, &token); });
  }

 private:
  /// False: time was up, or the token was stopped. A cancellation point.
  template <class Lock>
  bool wait_until_ns(Lock& lock, std::int64_t deadline_ns, const std::stop_token* token = nullptr) {
    detail::cancellation_point();
    detail::condition_core::place mine(core_);
    try {
      lock.unlock();
    } catch (...) {
      mine.leave();
      throw;
    }
    const detail::case_index winner = mine.sleep(deadline_ns, token);
    lock_again(lock);
    if (winner == detail::case_cancelled) detail::throw_cancelled();
    return winner == 0;
  }
  template <class Lock>
  static void lock_again(Lock& lock) noexcept {  // what it throws terminates
    const shield held_in_the_end;                // the user's lock() may be a cancellation point
    lock.lock();
  }

  /// `wait()` waits once, and says whether to go on waiting. To cancel a fiber stops its token too:
  /// it throws then.
  template <class Predicate, class Wait>
  static bool wait_for_condition(const std::stop_token& token, Predicate& ready, Wait wait) {
    detail::cancellation_point();
    while (!token.stop_requested()) {
      if (ready()) return true;
      if (!wait()) break;
    }
    detail::cancellation_point();
    return ready();
  }

  detail::condition_core core_;
};

}  // namespace heddle
