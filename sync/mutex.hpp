// SPDX-License-Identifier: BSL-1.0
// mutex: mutual exclusion between fibers and threads; nobody waits for ever.
//   An owner that switched while it held the mutex hands it to the first that waits: who comes
//   meanwhile would mostly lose, and switch in vain. One that did not lets others barge in, since a
//   hand-over would make a switch of each lock; but a waiter that lost so is given the mutex next.
//
//   The state word, which changes under lock_:
//     bit 0  locked    somebody owns the mutex
//     bit 1  queued    at least one waiter is linked in queue_                      (I1)
//     bit 2  woken     somebody competes for it: a waiter that was taken off the queue and has not
//                      tried yet, or one who spins. Unlocks leave it to him, and wake nobody
//     bit 3  hand_off  who competed lost against a barger: the next unlock gives the mutex to the
//                      first of the queue, and it stays locked
//
//     0 ──lock──> locked ──unlock──> 0                           inline
//     locked|queued ──unlock──> woken[|queued]                   wakes the first; it competes
//     locked|queued|woken ──unlock──> queued|woken               left to who competes, 255 times
//                                                                in 256
//     locked|queued ──unlock──> locked[|queued]                  the first is the owner now: with
//                                                                hand_off, or after a switch
//
//   I2  only the owner unlocks.
//   I3  woken is set by who wakes a competitor, or by one who begins to spin. Whoever competes
//       clears it when he gets the mutex or queues up; so while it is set, one does.
//   I4  where the mutex is free and queued is set, woken is.
//   To open lock_ is the last that an unlock does here. So whoever gets the mutex may destroy it.
//
//   Any fiber or thread may call. Lock order: lock_, then nothing.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/sticky_lock.hpp>
#include <heddle/sync/lock_owner.hpp>
#include <heddle/sync/wait_list.hpp>

#include <cstdint>
#include <stop_token>

namespace heddle {

namespace detail {
struct mutex_waiter;
}  // namespace detail

/// std::mutex for fibers ([thread.mutex.class]): the owner is the fiber (or plain thread), which
/// may hold it over anything, also a migration. Not recursive. Works with std::lock_guard,
/// unique_lock, scoped_lock and std::lock. An unlock happens before the next lock.
class mutex {
 public:
  constexpr mutex() noexcept : mutex("mutex") {}
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() { owner_.expect_unused(this, state_.load(std::memory_order_relaxed) == 0); }

  /// Blocks the fiber until it owns the mutex. The caller must not own it (builds with
  /// HEDDLE_ASSERTIONS check that, as all that is asked of an owner). Not a cancellation point.
  /// Makes no allocation, and where the mutex is free no system call, unless it stuck to another
  /// worker (base/sticky_lock.hpp).
  void lock() noexcept {
    if (!lock_if_free()) [[unlikely]]
      lock_slow();
    owner_.set(this, true);
  }

  /// Blocks until it owns the mutex (true), or until `token` is stopped (false; nothing has
  /// changed). A free mutex is locked even if the token is stopped already. Not a cancellation
  /// point.
  [[nodiscard]] bool lock(std::stop_token token) noexcept { return lock_within({.token = &token}); }

  /// Locks the mutex if it is free now.
  [[nodiscard]] bool try_lock() noexcept {
    if ((state() & locked) != 0 || !lock_if_free()) return false;
    owner_.set(this, false);
    return true;
  }

  /// The caller must own the mutex. It may be destroyed by whoever gets it next.
  void unlock() noexcept {
    owner_.expect_caller(this);
    release();
  }

 protected:
  /// `kind` is what reports call it.
  constexpr explicit mutex(const char* kind) noexcept : owner_(kind) {}

  /// Blocks until it owns the mutex (true), or until `limits` end the wait (false). Tries once
  /// where they have ended it before. Not a cancellation point.
  bool lock_within(const detail::wait_limits& limits) noexcept {
    if (try_lock()) return true;
    if (!lock_slow_within(limits)) return false;
    owner_.set(this, false);
    return true;
  }
  /// As unlock() checks it.
  void expect_owned_by_caller() const noexcept { owner_.expect_caller(this); }

 private:
  friend class condition_variable;
  static constexpr std::uint32_t locked = 1;
  static constexpr std::uint32_t queued = 2;
  static constexpr std::uint32_t woken = 4;
  static constexpr std::uint32_t hand_off = 8;

  /// unlock() on behalf of the owner, by whoever runs on its worker.
  void release() noexcept {
    owner_.clear(this);
    lock_.lock();
    if (state() == locked) [[likely]] {
      set_state_locked(0);
      lock_.unlock();
    } else {
      unlock_sought_locked();
    }
  }
  std::uint32_t state() const noexcept { return state_.load(std::memory_order_relaxed); }
  void set_state_locked(std::uint32_t to) noexcept { state_.store(to, std::memory_order_relaxed); }
  bool lock_if_free() noexcept {
    lock_.lock();
    if (state() != 0) [[unlikely]]
      return lock_sought_locked();
    set_state_locked(locked);
    owners_stamp_.store(0, std::memory_order_relaxed);
    lock_.unlock();
    return true;
  }
  // These open lock_.
  [[gnu::noinline]] bool lock_sought_locked() noexcept;
  [[gnu::noinline]] void lock_slow() noexcept;
  bool wait_within(const detail::wait_limits& limits) noexcept;
  [[gnu::noinline]] bool lock_slow_within(const detail::wait_limits& limits) noexcept;
  [[gnu::noinline]] void unlock_sought_locked() noexcept;
  [[gnu::noinline]] void wake_next_locked(bool switched) noexcept;
  bool take_locked(std::uint32_t clear) noexcept;
  bool owned() noexcept;
  bool barge(std::uint32_t clear) noexcept;
  bool compete() noexcept;
  bool spin(bool& competes) noexcept;
  bool may_leave_locked(std::uint32_t now, bool switched) noexcept;
  bool withdraw(detail::mutex_waiter& w) noexcept;

  [[no_unique_address]] detail::sticky_lock lock_;
  detail::atomic<std::uint32_t> state_{0};  // written under lock_; others read a hint
  detail::patience patience_;
  detail::atomic<std::uint8_t> passed_over_{0};  // by the owner: unlocks left to who competes
  detail::intrusive_list<detail::mutex_waiter> queue_;  // guarded by lock_: in order of their turns
  detail::turn turns_ = 0;                              // guarded by lock_: the last one given out
  // When its owner got it (detail::switch_stamp), by the owner; 0: nobody else sought it then.
  detail::atomic<std::uint64_t> owners_stamp_{0};
  detail::lock_owner owner_;
};

}  // namespace heddle

// What <mutex> has beside it.
#include <heddle/sync/once.hpp>
#include <heddle/sync/recursive_mutex.hpp>
#include <heddle/sync/timed_mutex.hpp>
