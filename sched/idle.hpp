// SPDX-License-Identifier: BSL-1.0
// idle: which workers search for work and which sleep, and whom to wake.
//   Waking a sleeping OS thread costs the waker a system call and takes tens of microseconds; so at
//   most one is woken at a time, and none while another still searches. A searcher that finds work
//   wakes the next one, if there is more.
//
//   No wake is lost:
//     who adds work                    who goes to sleep
//       1 puts it into a queue           1 counts itself out of searching, into sleeping
//       2 light fence                    2 heavy fence
//       3 sleepers and no searcher?      3 looks at all queues once more; work: back
//         wakes one                      4 sleeps on its own word
//   Between the fences one of the two sees the other.
//   Lock order: this lock, then nothing.
#pragma once

#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/spin_lock.hpp>

#include <cstdint>

namespace heddle::detail {

class worker;

class idle_set {
 public:
  /// For who has added work: is there somebody to wake?
  bool should_wake() const noexcept {
    const auto now = state_.load(std::memory_order_relaxed);
    return (now & searching_mask) == 0 && (now >> sleeping_shift) != 0;
  }
  /// Takes a sleeper off the list, if should_wake() still holds, and counts it as searching. The
  /// caller wakes it.
  worker* take_sleeper() noexcept;
  /// Takes any sleeper, also while others search.
  worker* take_any() noexcept;

  void begin_search() noexcept;
  /// Returns whether this was the last one that searched.
  bool end_search() noexcept;

  /// From searching to sleeping. Heavy fence included.
  void begin_sleep(worker& w) noexcept;
  /// From sleeping back to searching, by itself; false if somebody took it off the list first (and
  /// has counted it already).
  bool cancel_sleep(worker& w) noexcept;

  /// One of those who sleep does so for a short time only, and looks then (search.cpp). False:
  /// there is one already.
  bool begin_nap() noexcept { return !naps_.exchange(true, std::memory_order_relaxed); }
  void end_nap() noexcept { naps_.store(false, std::memory_order_relaxed); }
  bool somebody_naps() const noexcept { return naps_.load(std::memory_order_relaxed); }

  std::uint32_t searching() const noexcept {
    return state_.load(std::memory_order_relaxed) & searching_mask;
  }
  std::uint32_t sleeping() const noexcept {
    return state_.load(std::memory_order_relaxed) >> sleeping_shift;
  }

 private:
  static constexpr std::uint32_t searching_mask = 0xFFFF;
  static constexpr unsigned sleeping_shift = 16;
  static constexpr std::uint32_t one_sleeping = 1u << sleeping_shift;

  worker* pop_locked() noexcept;

  // Low half: searching; high half: sleeping, which changes under lock_.
  atomic<std::uint32_t> state_{0};
  atomic<bool> naps_{false};  // written by who naps
  spin_lock lock_;
  worker* sleepers_ = nullptr;  // guarded by lock_; linked by worker::next_sleeper
};

}  // namespace heddle::detail
