// SPDX-License-Identifier: BSL-1.0
// timer: waits that end by time. One store per worker: a hierarchical timing wheel (Varghese and
//   Lauck, SOSP 1987, scheme 6): adding and cancelling cost O(1), a timer moves down a level at
//   most five times before it fires, and one of less than two seconds at most once.
//
//   A level has 256 slots; a slot of level k spans 256^k ticks of 32.8 us. A timer lies on the
//   level of the highest digit (base 256) in which its tick differs from the current one.
//
//   I1  a linked timer's tick is later than tick_, or it is in due_.
//   I2  earliest_ is no later than the earliest timer's deadline, rounded up to its tick.
//   A timer fires once, under the store's lock, by claiming its waiter; cancel() takes the same
//   lock, so that when it returns nobody touches the node any more.
//   Any thread may call. Lock order: the store's lock, then nothing.
#pragma once

#include <heddle/base/futex.hpp>
#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/fiber/agent.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace heddle::detail {

class timer_store;

/// One timer; lies on the stack of the one who waits.
struct timer_node : list_hook {
  agent* who = nullptr;
  ticket claim;
  std::int64_t deadline_ns = 0;
  std::uint64_t tick = 0;        // guarded by the store's lock
  timer_store* store = nullptr;  // set when armed
};

class timer_store {
 public:
  timer_store() noexcept;

  /// Arms `node`. Returns whether it is now the earliest of the store.
  bool add(timer_node& node) noexcept;
  /// Disarms it, if it has not fired.
  void cancel(timer_node& node) noexcept;

  /// Fires what is due at `now_ns`: claims up to `room` waiters, writes them to `out` and returns
  /// their number. The caller makes them ready, then calls again while it gets `room`.
  std::size_t expire(std::int64_t now_ns, agent** out, std::size_t room) noexcept;

  /// The time at which expire() should be called next; no_deadline if there are no timers.
  std::int64_t earliest() const noexcept { return earliest_.load(std::memory_order_relaxed); }
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned tick_shift = 15;
  static constexpr unsigned digit_bits = 8;
  static constexpr unsigned slots = 1u << digit_bits;
  static constexpr unsigned levels = 7;  // a tick has 49 bits

  void place_locked(timer_node& node) noexcept;
  void advance_locked(std::uint64_t target) noexcept;
  void remove_locked(timer_node& node) noexcept;
  std::uint64_t next_tick_locked() const noexcept;
  void publish_locked() noexcept;

  spin_lock lock_;
  std::uint64_t tick_;              // guarded by lock_: all before has been expired
  intrusive_list<timer_node> due_;  // guarded by lock_
  // Guarded by lock_: may name an empty slot.
  std::array<std::array<std::uint64_t, slots / 64>, levels> occupied_{};
  std::array<std::array<intrusive_list<timer_node>, slots>, levels> wheel_;  // guarded by lock_
  atomic<std::int64_t> earliest_{no_deadline};  // written under lock_, read by anybody
  atomic<std::size_t> size_{0};                 // the same
};

}  // namespace heddle::detail
