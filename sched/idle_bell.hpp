// SPDX-License-Identifier: BSL-1.0
// idle_bell: what a worker rings when it has nothing to do, for those who could split their work
//   but would rather not without need (the parallel loops): a fiber for each part would cost more
//   than the part, and would wait in a queue where the watchdog takes it for work held up.
//
//   No ring is missed: who waits enlists, passes a light fence and wakes a sleeper; who goes to
//   sleep passes a heavy fence and looks whether the bell is wanted (idle.hpp has the same
//   protocol).
//   Where no worker is ever idle, each rings now and then all the same (worker::find_work).
//   Lock order: whatever the one who waits holds, then this lock, then nothing.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/wait.hpp>

#include <cstdint>

namespace heddle::detail {

class runtime_state;

class idle_bell {
 public:
  explicit idle_bell(runtime_state& rt) noexcept : rt_(rt) {}

  /// Whether anybody waits for a ring; a hint.
  bool is_wanted() const noexcept { return wanted_.load(std::memory_order_relaxed) > 0; }
  /// Makes the first who waits go on. False: there is nobody.
  bool ring() noexcept;

  /// For who will wait, and leaves the bell locked until the wait is published.
  void enlist_and_lock(waiter& w) noexcept {
    lock_.lock();
    waiters_.push_back(w);
    wanted_.fetch_add(1, std::memory_order_relaxed);
  }
  /// Opens it, with no other lock held, and wakes a worker that sleeps.
  void unlock_and_call() noexcept;
  /// For one whose wait the ring has not ended.
  void withdraw(waiter& w) noexcept;

 private:
  runtime_state& rt_;
  spin_lock lock_;
  intrusive_list<waiter> waiters_;   // guarded by lock_
  atomic<std::uint32_t> wanted_{0};  // how many they are; written under lock_, read by all workers
};

/// Whether a worker of `rt` has nothing to do, or will have when the caller, if it is one of its
/// fibers, leaves. A hint.
bool somebody_is_idle(runtime_state& rt) noexcept;

/// Whether `r` is on a worker now; if not it waits, for whatever it is. A hint.
bool runs_now(const fiber_record& r) noexcept;

}  // namespace heddle::detail
