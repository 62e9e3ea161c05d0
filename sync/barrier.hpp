// SPDX-License-Identifier: BSL-1.0
// barrier: parties that wait for each other, again and again.
//   A phase:  arrivals count down ──the last one──> completion step ──> the next phase begins, and
//             those who wait go on
//   The completion is the user's and may block: it runs with lock_ open. Nobody can arrive
//   meanwhile, since nobody is expected; who waits is linked before the phase changes, or sees that
//   it has changed. Being taken off the list is the claim, as nothing else ends a wait.
//   Whoever was released may destroy the barrier: he has found the new phase under lock_, or was
//   woken once it was open, and opening it is the last that an arrival touches.
//   Lock order: lock_, then nothing.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/wait.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

/// A barrier but for its completion: whoever is told that it was the last to arrive runs that, and
/// then calls begin_phase().
class barrier_core {
 public:
  class arrival_token {
   public:
    arrival_token(arrival_token&&) noexcept = default;
    arrival_token& operator=(arrival_token&&) noexcept = default;

   private:
    friend class barrier_core;
    arrival_token([[maybe_unused]] const barrier_core* b, std::uint64_t phase) noexcept
        : phase_(phase) {
#if defined(HEDDLE_ASSERTIONS)
      barrier_ = b;
#endif
    }

    std::uint64_t phase_;
#if defined(HEDDLE_ASSERTIONS)
    const barrier_core* barrier_;
#endif
  };

  constexpr explicit barrier_core(std::ptrdiff_t expected) noexcept
      : expected_(expected), missing_(expected) {
    HEDDLE_DCHECK(expected >= 0, "barrier %p is made for %td parties, below zero",
                  static_cast<void*>(this), expected);
  }
  ~barrier_core();
  barrier_core(const barrier_core&) = delete;
  barrier_core& operator=(const barrier_core&) = delete;

  /// `last` becomes whether nobody is missing now. `for_good`: the later phases expect so many
  /// fewer.
  arrival_token arrive(std::ptrdiff_t update, bool for_good, bool& last) noexcept;
  /// arrive(1) and wait, in one go. False: the caller was the last, and does not wait.
  bool arrive_and_wait() noexcept;
  void begin_phase() noexcept;
  void wait(const arrival_token& arrival) noexcept;

 private:
  void count_locked(std::ptrdiff_t update) noexcept;
  void sleep_locked() noexcept;

  spin_lock lock_;
  std::ptrdiff_t expected_;         // guarded by lock_: parties of each phase from the next one on
  std::ptrdiff_t missing_;          // guarded by lock_: of the current phase
  std::uint64_t phase_ = 0;         // guarded by lock_: how many are complete
  intrusive_list<waiter> waiting_;  // guarded by lock_
};

struct no_completion {
  void operator()() const noexcept {}
};

}  // namespace detail

/// std::barrier for fibers and threads ([thread.barrier]): in each phase it waits until all who are
/// expected have arrived, runs `completion()` on the one who came last, once, lets the others go
/// on, and begins anew. What is done before an arrival happens before the completion, and that
/// before the return of the waits. May be destroyed by whom it has just released, if nobody has yet
/// to arrive or to begin to wait.
///
/// No call is a cancellation point. The completion may block; it runs as part of the call of the
/// one who came last, under a shield, and what it throws ends the program. Until it returns nobody
/// may arrive.
template <class CompletionFunction = detail::no_completion>
class barrier {
  static_assert(std::is_nothrow_invocable_v<CompletionFunction&>,
                "a barrier's completion function must be callable as f() noexcept");

 public:
  /// Says of which phase an arrival was. Can be moved, not copied.
  using arrival_token = detail::barrier_core::arrival_token;

  static constexpr std::ptrdiff_t max() noexcept {
    return std::numeric_limits<std::ptrdiff_t>::max();
  }

  /// For `expected` parties, 0 or more (builds with HEDDLE_ASSERTIONS check that). With 0 it can
  /// only be destroyed. \throws what moving `f` throws
  constexpr explicit barrier(std::ptrdiff_t expected, CompletionFunction f = CompletionFunction())
      : core_(expected), completion_(std::move(f)) {}
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// Arrives, for `update` parties: at least 1, and no more than are missing yet in this phase
  /// (builds with HEDDLE_ASSERTIONS check that). Does not wait, but for the completion.
  [[nodiscard]] arrival_token arrive(std::ptrdiff_t update = 1) { return arrive(update, false); }
  /// Blocks until the phase of `arrival` is complete. That must be the current one of this barrier,
  /// or the one before (builds with HEDDLE_ASSERTIONS check that).
  void wait(arrival_token&& arrival) const { core_.wait(arrival); }
  /// wait(arrive()).
  void arrive_and_wait() {
    if (!core_.arrive_and_wait()) complete();
  }
  /// Arrives, and does not take part in later phases. Does not wait, but for the completion.
  void arrive_and_drop() { (void)arrive(1, true); }

 private:
  arrival_token arrive(std::ptrdiff_t update, bool for_good) {
    bool last;
    arrival_token arrival = core_.arrive(update, for_good, last);
    if (last) complete();
    return arrival;
  }
  void complete() noexcept {
    const shield for_all;  // the others wait for it, whoever came last
    static_cast<void>(completion_());
    core_.begin_phase();
  }

  mutable detail::barrier_core core_;
  [[no_unique_address]] CompletionFunction completion_;
};

}  // namespace heddle
