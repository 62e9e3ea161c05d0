// SPDX-License-Identifier: BSL-1.0
// run_queue: a worker's runnable fibers: a slot for the one woken last, and a bounded ring.
//   Two halves: the owner's (`run_queue`) and the thief's (`run_queue::thief`). All contents are
//   guarded by the biased lock; the hints may be read by anybody.
//
//   The owner holds the lock over a switch: the fiber that leaves may lie in the ring already, and
//   whoever arrives opens the lock once it is off its stack (worker.cpp).
#pragma once

#include <heddle/base/biased_lock.hpp>
#include <heddle/base/chaos.hpp>
#include <heddle/fiber/record.hpp>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

template <std::uint32_t Capacity>
class run_queue {
  static_assert((Capacity & (Capacity - 1)) == 0 && Capacity >= 2);

 public:
  static constexpr std::uint32_t capacity = Capacity;

  class thief;

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }

  /// Locked. False if the ring is full.
  [[nodiscard]] bool push_locked(fiber_record* r) noexcept {
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_relaxed) == Capacity) return false;
    slots_[tail % Capacity] = r;
    tail_.store(tail + 1, std::memory_order_relaxed);
    return true;
  }
  /// Locked. The oldest of the ring, or null.
  fiber_record* pop_locked() noexcept {
    const auto head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_relaxed)) return nullptr;
    fiber_record* r = slots_[head % Capacity];
    head_.store(head + 1, std::memory_order_relaxed);
    return r;
  }
  /// Locked. The youngest of the ring, if `prefers` it, else the oldest; null: the ring is empty.
  template <class Prefers>
  fiber_record* pop_either_locked(Prefers prefers) noexcept {
    const auto head = head_.load(std::memory_order_relaxed);
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (head == tail) return nullptr;
    fiber_record* youngest = slots_[(tail - 1) % Capacity];
    if (prefers(*youngest)) {
      tail_.store(tail - 1, std::memory_order_relaxed);
      return youngest;
    }
    head_.store(head + 1, std::memory_order_relaxed);
    return slots_[head % Capacity];
  }
  /// Locked. Takes the oldest of the ring, and puts `r` behind the youngest. Null, with nothing
  /// changed, if the ring is empty, or `prefers` the youngest.
  template <class Prefers>
  fiber_record* rotate_locked(fiber_record* r, Prefers prefers) noexcept {
    const auto head = head_.load(std::memory_order_relaxed);
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (head == tail || prefers(*slots_[(tail - 1) % Capacity])) return nullptr;
    fiber_record* oldest = slots_[head % Capacity];
    head_.store(head + 1, std::memory_order_relaxed);
    slots_[tail % Capacity] = r;  // where there was no room, it is the place of the oldest
    tail_.store(tail + 1, std::memory_order_relaxed);
    return oldest;
  }
  /// Locked. Puts `r` into the slot of the one woken last; returns whom it displaces.
  fiber_record* exchange_next_locked(fiber_record* r) noexcept {
    fiber_record* old = next_.load(std::memory_order_relaxed);
    next_.store(r, std::memory_order_relaxed);
    return old;
  }

  /// Hints: exact only under the lock.
  std::uint32_t size() const noexcept {
    return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_relaxed);
  }
  bool has_next() const noexcept { return next_.load(std::memory_order_relaxed) != nullptr; }
  bool empty() const noexcept { return size() == 0 && !has_next(); }

 private:
  biased_lock lock_;
  atomic<std::uint32_t> head_{0};        // written under lock_
  atomic<std::uint32_t> tail_{0};        // the same
  atomic<fiber_record*> next_{nullptr};  // the same
  fiber_record* slots_[Capacity];        // guarded by lock_
};

/// What another thread may do to a run queue.
template <std::uint32_t Capacity>
class run_queue<Capacity>::thief {
 public:
  explicit thief(run_queue& from) noexcept : from_(from) {}

  /// Takes the older half of the ring, rounded up, at most `room`; if the ring is empty and
  /// `next_too`, the one woken last. Returns how many.
  std::uint32_t steal(fiber_record** out, std::uint32_t room, bool next_too) noexcept {
    if (!from_.lock_.try_lock_foreign()) return 0;
    std::uint32_t wanted = (from_.size() + 1) / 2;
    if (wanted > room) wanted = room;
    std::uint32_t got = 0;
    while (got < wanted) out[got++] = from_.pop_locked();
    if (got == 0 && next_too) {
      out[0] = from_.exchange_next_locked(nullptr);
      got = out[0] != nullptr ? 1 : 0;
    }
    from_.lock_.unlock_foreign();
    return got;
  }
  /// Calls `act` with the queue locked. False if it could not be had now.
  template <class Act>
  bool with_lock(Act act) noexcept {
    if (!from_.lock_.try_lock_foreign()) return false;
    act();
    from_.lock_.unlock_foreign();
    return true;
  }

 private:
  run_queue& from_;
};

}  // namespace heddle::detail
