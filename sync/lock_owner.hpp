// SPDX-License-Identifier: BSL-1.0
// lock_owner: whose a lock is, for the checks of what std leaves undefined; nothing without them.
//   What a lock promises never depends on it.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>

namespace heddle::detail {

#if defined(HEDDLE_ASSERTIONS)

class lock_owner {
 public:
  /// `kind` is what reports call the lock.
  constexpr explicit lock_owner(const char* kind) noexcept : kind_(kind) {}

  void set() noexcept { who_.store(&this_agent(), std::memory_order_relaxed); }
  void clear() noexcept { who_.store(nullptr, std::memory_order_relaxed); }
  bool is_caller() const noexcept { return who_.load(std::memory_order_relaxed) == &this_agent(); }

  /// For an unlock of `lock`.
  void expect_caller(const void* lock) const noexcept {
    HEDDLE_CHECK(is_caller() || process_exits(), "%s %p is unlocked by %p, who does not own it",
                 kind_, lock, static_cast<void*>(&this_agent()));
  }
  /// For whoever is about to wait for `lock`.
  void expect_not_caller(const void* lock) const noexcept {
    HEDDLE_CHECK(!is_caller(), "%s %p is locked by its owner, who would wait for itself", kind_,
                 lock);
  }
  /// For the destructor of `lock`. Whoever stands still when the process exits may own it, or wait
  /// for it.
  void expect_unused(const void* lock, bool unused) const noexcept {
    HEDDLE_CHECK(unused || process_exits(), "%s %p is destroyed while it is locked or waited for",
                 kind_, lock);
  }
  /// For the end of an ownership that is shared.
  void expect_shared(const void* lock, bool shared) const noexcept {
    HEDDLE_CHECK(shared || process_exits(), "%s %p: unlock_shared(), but no reader owns it", kind_,
                 lock);
  }

 private:
  const char* kind_;
  atomic<agent*> who_{nullptr};  // written by the owner; others find that it is not them
};

#else

class lock_owner {
 public:
  constexpr explicit lock_owner(const char*) noexcept {}
  void set() noexcept {}
  void clear() noexcept {}
  void expect_caller(const void*) const noexcept {}
  void expect_not_caller(const void*) const noexcept {}
  void expect_unused(const void*, bool) const noexcept {}
  void expect_shared(const void*, bool) const noexcept {}
};

#endif

}  // namespace heddle::detail
