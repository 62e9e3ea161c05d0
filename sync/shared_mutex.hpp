// SPDX-License-Identifier: BSL-1.0
// shared_mutex: one writer, or any number of readers; in turn, so that nobody waits for ever.
//   Those who wait form one queue of writers and readers. Who leaves hands over: to the first if
//   that is a writer, else to all readers in front of the first writer. While anybody waits, who
//   comes waits behind him: so a writer goes before the readers that come later. A hand-over costs
//   a switch where barging might not; a lock that is mostly a writer's is better a mutex.
//
//   The state word:
//     bit 0      exclusive  a writer owns it
//     bit 1      queued     somebody waits, linked in queue_ (or gave up, or asks his clock)
//     bits 2..   how many readers own it
//
//     0 ──lock──> exclusive ──unlock──> 0                        one compare-exchange, inline
//     n readers ──lock_shared──> n+1 ──unlock_shared──> n        the same
//     n > 1 readers|queued ──unlock_shared──> n-1|queued         the same
//     exclusive|queued, or the last reader|queued ──unlock──> exclusive[|queued], or n readers
//                                                  [|queued]: the owners now are those handed to
//     n readers|queued ──the writer in front gives up──> n+k readers[|queued]: those behind him
//
//   I1  queued is set under lock_ only, and while it is set nobody gets in but by a hand-over.
//   I2  whoever hands over does all under lock_, and whom he lets in runs only when that is open;
//       any other unlock is one compare-exchange. So whoever gets it may destroy it.
//
//   Any fiber or thread may call. Lock order: lock_, then nothing.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sync/lock_owner.hpp>
#include <heddle/sync/wait_list.hpp>

#include <chrono>
#include <cstdint>

namespace heddle {

namespace detail {
struct shared_waiter;

/// What a writer waits for (wait_reason::what), told apart by its address.
extern const char to_lock_shared_mutex[];
}  // namespace detail

/// std::shared_mutex for fibers ([thread.sharedmutex.class]): owned by one fiber (or plain thread),
/// or shared by any number; over anything, also a migration. Not recursive: who shares it must not
/// lock it in any way, also not share it again, since a writer may have come to wait meanwhile.
/// Works with std::unique_lock, shared_lock, scoped_lock and std::lock. Whoever waits gets it in
/// turn, readers between two writers together. An unlock happens before the lock that it makes way
/// for. No member is a cancellation point.
class shared_mutex {
 public:
  constexpr shared_mutex() noexcept : shared_mutex("shared_mutex") {}
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;
  ~shared_mutex() { owner_.expect_unused(this, state_.load(std::memory_order_relaxed) == 0); }

  /// Blocks until the caller alone owns it. The caller must not own it (builds with
  /// HEDDLE_ASSERTIONS check that where it would wait, and all that is asked of an owner).
  /// Makes no system call and no allocation where it is free; the same holds for lock_shared().
  void lock() noexcept {
    if (!take()) [[unlikely]]
      lock_slow(exclusive);
    owner_.set(this, true);
  }
  /// Locks it if it is free now.
  [[nodiscard]] bool try_lock() noexcept {
    if (!take()) return false;
    owner_.set(this, false);
    return true;
  }
  /// The caller must own it alone. It may be destroyed by whoever gets it next.
  void unlock() noexcept {
    owner_.expect_caller(this);
    owner_.clear(this);
    std::uint64_t now = exclusive;
    // (sm.3) release: what this owner did goes to the next; pairs with (sm.1), (sm.2), (sm.6).
    if (!state_.compare_exchange_strong(now, 0, std::memory_order_release,
                                        std::memory_order_relaxed)) [[unlikely]] {
      unlock_slow(exclusive);
    }
  }

  /// Blocks until the caller shares it. The caller must not own it, or share it already.
  void lock_shared() noexcept {
    if (!take_shared()) [[unlikely]]
      lock_slow(reader);
    owner_.add_sharer(this);
  }
  /// Shares it if no writer owns it, or waits.
  [[nodiscard]] bool try_lock_shared() noexcept {
    if (!take_shared()) return false;
    owner_.add_sharer(this);
    return true;
  }
  /// The caller must share it. It may be destroyed by whoever gets it next.
  void unlock_shared() noexcept {
    owner_.drop_sharer(this);
    std::uint64_t now = state_.load(std::memory_order_relaxed);
    // (sm.4) release: as (sm.3), for a writer; pairs with (sm.1), (sm.6), (sm.7).
    if ((now & queued) != 0 ||
        !state_.compare_exchange_strong(now, now - reader, std::memory_order_release,
                                        std::memory_order_relaxed)) {
      unlock_slow(reader);
    }
  }

 protected:
  /// `kind` is what reports call it.
  constexpr explicit shared_mutex(const char* kind) noexcept : owner_(kind) {}

  /// lock() and lock_shared(), until `limits` end the wait: then false. Where they have ended it
  /// before they try once.
  bool lock_within(const detail::wait_limits& limits) noexcept {
    if (!take() && !lock_slow_within(exclusive, limits)) return false;
    owner_.set(this, false);
    return true;
  }
  bool lock_shared_within(const detail::wait_limits& limits) noexcept {
    if (!take_shared() && !lock_slow_within(reader, limits)) return false;
    owner_.add_sharer(this);
    return true;
  }

  /// A wait that may have several slices, between which the caller asks a clock. Those behind it
  /// stay there meanwhile, until it has given up for good.
  class sliced_wait {
   public:
    explicit sliced_wait(shared_mutex& m) noexcept : mutex_(m) {}
    sliced_wait(const sliced_wait&) = delete;
    sliced_wait& operator=(const sliced_wait&) = delete;
    ~sliced_wait() {
      if (mine_ != 0 && !owns_) mutex_.make_way();
    }
    /// Calls `attempt(limits)` until it is true, or `at` has passed.
    template <class Clock, class Duration, class Attempt>
    bool until(const std::chrono::time_point<Clock, Duration>& at, Attempt attempt) {
      return owns_ = detail::attempt_until(at, [&](std::int64_t deadline_ns) {
               return attempt({.deadline_ns = deadline_ns, .mine = &mine_});
             });
    }

   private:
    shared_mutex& mutex_;
    detail::turn mine_ = 0;
    bool owns_ = false;
  };

 private:
  static constexpr std::uint64_t exclusive = 1;
  static constexpr std::uint64_t queued = 2;
  static constexpr std::uint64_t reader = 4;

  bool take() noexcept {
    std::uint64_t now = 0;
    // (sm.1) acquire: what the last owners did is seen; pairs with (sm.3), (sm.4), (sm.5), (sm.7).
    return state_.compare_exchange_strong(now, exclusive, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  bool take_shared() noexcept {
    std::uint64_t now = state_.load(std::memory_order_relaxed);
    while ((now & (exclusive | queued)) == 0) {
      // (sm.2) acquire: what the last writer did is seen; pairs with (sm.3), (sm.5), (sm.7).
      if (state_.compare_exchange_weak(now, now + reader, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  [[gnu::noinline]] void lock_slow(std::uint64_t share) noexcept;
  [[gnu::noinline]] bool lock_slow_within(std::uint64_t share,
                                          const detail::wait_limits& limits) noexcept;
  [[gnu::noinline]] void unlock_slow(std::uint64_t share) noexcept;
  bool enqueue_locked(detail::shared_waiter& w, detail::turn* mine) noexcept;
  void hand_over_locked(std::uint64_t share, detail::ready_list& next) noexcept;
  void make_way() noexcept;

  detail::atomic<std::uint64_t> state_{0};
  detail::spin_lock lock_;
  detail::intrusive_list<detail::shared_waiter>
      queue_;                 // guarded by lock_: in order of their turns
  detail::turn turns_ = 0;    // guarded by lock_: the last one given out
  detail::lock_owner owner_;  // the writer; with HEDDLE_ASSERTIONS each reader notes it, too
};

/// std::shared_timed_mutex for fibers ([thread.sharedtimedmutex.class]): a shared_mutex, and limits
/// in time to the wait for it. No member is a cancellation point.
class shared_timed_mutex : private shared_mutex {
 public:
  constexpr shared_timed_mutex() noexcept : shared_mutex("shared_timed_mutex") {}

  using shared_mutex::lock;
  using shared_mutex::lock_shared;
  using shared_mutex::try_lock;
  using shared_mutex::try_lock_shared;
  using shared_mutex::unlock;
  using shared_mutex::unlock_shared;

  /// As lock(), for at most `d`: then false, and nothing has changed. What is not positive tries
  /// once.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return lock_within({.deadline_ns = detail::deadline_after(d)});
  }
  /// As lock(), until a time point of any clock: then false, and nothing has changed. A clock that
  /// is not steady is asked again every 50 ms; the caller keeps its turn meanwhile. \throws what
  /// Clock::now() throws
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& at) {
    return sliced_wait(*this).until(
        at, [this](const detail::wait_limits& limits) { return lock_within(limits); });
  }
  /// As lock_shared(), with the limits of try_lock_for.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& d) {
    return lock_shared_within({.deadline_ns = detail::deadline_after(d)});
  }
  /// As lock_shared(), with the limits of try_lock_until.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& at) {
    return sliced_wait(*this).until(
        at, [this](const detail::wait_limits& limits) { return lock_shared_within(limits); });
  }
};

}  // namespace heddle
