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

/// Spins, then yields the OS thread, then sleeps: for loops that wait for another thread's next few
/// instructions. Each pause is twice as long as the one before it, up to a bound.
class backoff {
 public:
  /// Begins where it would be after `turns` pauses.
  explicit backoff(unsigned turns = 0) noexcept : turns_(turns) {}
  void pause() noexcept;
  /// How many pauses there were; and those that were left out at first.
  unsigned turns() const noexcept { return turns_; }

 private:
  unsigned turns_;
};

/// How long to wait before a look at a lock that was found taken, which the lock remembers.
///
/// Two processors that want one lock all the time do best where one of them has it for long: to
/// take it over costs as much as ten turns of one's own. Where they seldom meet, whoever waits long
/// wastes the time. Anybody may call; a hint.
class patience {
 public:
  constexpr patience() noexcept = default;
  backoff begin() const noexcept { return backoff(steps_.load(std::memory_order_relaxed)); }
  /// After a wait that began so: the next is to be sixteen times as long, or half as long.
  void learn(bool longer) noexcept {
    const unsigned now = steps_.load(std::memory_order_relaxed);
    const unsigned next = !longer ? now - (now > 0) : now + up < most ? now + up : most;
    if (next != now) steps_.store(static_cast<std::uint8_t>(next), std::memory_order_relaxed);
  }

 private:
  static constexpr unsigned up = 4, most = 7;
  atomic<std::uint8_t> steps_{0};
};

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
  patience patience_;
};

}  // namespace heddle::detail
