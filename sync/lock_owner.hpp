// SPDX-License-Identifier: BSL-1.0
// lock_owner: whose a lock is: for who looks for fibers that wait for each other (debug/), and for
//   the checks of what std leaves undefined. What a lock promises never depends on it.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/lock_order.hpp>

namespace heddle::detail {

class lock_owner {
 public:
#if defined(HEDDLE_ASSERTIONS)
  /// `kind` is what reports call the lock.
  constexpr explicit lock_owner(const char* kind) noexcept : kind_(kind) {}
#else
  constexpr explicit lock_owner(const char*) noexcept {}
#endif

  /// By the owner of `lock`; `would_wait`: it would have waited for ever.
  void set([[maybe_unused]] const void* lock, [[maybe_unused]] bool would_wait) noexcept {
    who_.store(caller(), std::memory_order_relaxed);
#if defined(HEDDLE_ASSERTIONS)
    note_locked(this_agent(), lock, kind_, would_wait);
#endif
  }
  /// By the owner, or on behalf of it.
  void clear([[maybe_unused]] const void* lock) noexcept {
#if defined(HEDDLE_ASSERTIONS)
    const void* const who = who_.load(std::memory_order_relaxed);
    if (who != nullptr) note_unlocked(*static_cast<agent*>(const_cast<void*>(who)), lock);
#endif
    who_.store(nullptr, std::memory_order_relaxed);
  }

  /// By who has come to share `lock`.
  void add_sharer([[maybe_unused]] const void* lock) noexcept {
#if defined(HEDDLE_ASSERTIONS)
    note_shared(this_agent(), lock, kind_);
#endif
  }
  /// By one who shares it, before it ends.
  void drop_sharer([[maybe_unused]] const void* lock) noexcept {
#if defined(HEDDLE_ASSERTIONS)
    agent& self = this_agent();
    HEDDLE_CHECK(self.held.shares(lock) || self.held.unknown > 0 || process_exits(),
                 "%s %p: unlock_shared() by %p, who does not share it", kind_, lock, caller());
    note_unlocked(self, lock);
#endif
  }

  /// For the reason of a wait.
  const owner_word* word() const noexcept { return &who_; }

#if defined(HEDDLE_ASSERTIONS)
  bool is_caller() const noexcept { return who_.load(std::memory_order_relaxed) == caller(); }

  /// For an unlock of `lock`.
  void expect_caller(const void* lock) const noexcept {
    HEDDLE_CHECK(is_caller() || process_exits(), "%s %p is unlocked by %p, who does not own it",
                 kind_, lock, caller());
  }
  /// For whoever is about to wait for `lock`.
  void expect_not_caller(const void* lock) const noexcept {
    HEDDLE_CHECK(!is_caller(), "%s %p is locked by its owner, who would wait for itself", kind_,
                 lock);
    HEDDLE_CHECK(!this_agent().held.shares(lock), "%s %p is locked by who shares it already", kind_,
                 lock);
  }
  /// For the destructor of `lock`. Whoever stands still when the process exits may own it, or wait
  /// for it.
  void expect_unused(const void* lock, bool unused) const noexcept {
    HEDDLE_CHECK(unused || process_exits(), "%s %p is destroyed while it is locked or waited for",
                 kind_, lock);
    forget_lock(lock);
  }
#else
  void expect_caller(const void*) const noexcept {}
  void expect_not_caller(const void*) const noexcept {}
  void expect_unused(const void*, bool) const noexcept {}
#endif

 private:
  static const void* caller() noexcept {
#if defined(HEDDLE_ASSERTIONS)
    return &this_agent();
#else
    // A stack is one fiber's, or thread's: where it is, is cheaper than who.
    const void* sp;
#if defined(__x86_64__)
    asm("movq %%rsp, %0" : "=r"(sp));
#elif defined(__aarch64__)
    asm("mov %0, sp" : "=r"(sp));
#endif
    return sp;
#endif
  }

  owner_word who_{nullptr};  // written by the owner; others find that it is not them
#if defined(HEDDLE_ASSERTIONS)
  const char* kind_;
#endif
};

}  // namespace heddle::detail
