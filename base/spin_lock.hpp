// SPDX-License-Identifier: BSL-1.0
// spin_lock: the internal lock. Held for a few dozen instructions, never over a park or a wake.
//   Taking it is one exchange, opening it one plain store (a lock that must look for sleepers when
//   it opens would pay a second atomic operation on every path of every primitive). Who finds it
//   held spins a little, then lets the OS run others: its holder may have been preempted.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/base/sanitizer.hpp>

#include <cstdint>

namespace heddle::detail {

class spin_lock {
 public:
  constexpr spin_lock() noexcept = default;
  spin_lock(const spin_lock&) = delete;
  spin_lock& operator=(const spin_lock&) = delete;

  void lock() noexcept {
    if (!try_lock()) lock_slow();
  }
  bool try_lock() noexcept {
    // (sl.1) acquire: what the last holder wrote is seen; pairs with (sl.2).
    if (held_.exchange(true, std::memory_order_acquire)) return false;
    tsan_acquire(this);
    return true;
  }
  void unlock() noexcept {
    tsan_release(this);
    // (sl.2) release: what this holder wrote goes to the next one; pairs with (sl.1).
    held_.store(false, std::memory_order_release);
  }
  /// A hint, for assertions.
  bool held() const noexcept { return held_.load(std::memory_order_relaxed); }

 private:
  [[gnu::cold, gnu::noinline]] void lock_slow() noexcept;

  atomic<bool> held_{false};
  atomic<std::uint8_t> patience_{0};  // of who finds it held: written by the holder
};

/// Spins, then yields the OS thread, then sleeps: for loops that wait for another thread's next few
/// instructions. The first pause is of 2^(first + 1) turns, each later one twice as long.
class backoff {
 public:
  explicit backoff(unsigned first = 0) noexcept : turns_(first) {}
  void pause() noexcept;

 private:
  unsigned turns_;
};

}  // namespace heddle::detail
