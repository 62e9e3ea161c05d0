// SPDX-License-Identifier: BSL-1.0
// stack: slices of reserved address space, each with a guard below it, and the depot they come
// from.
//   Slabs are reserved whole and committed page by page as they are touched. A slice is made on
//   first use (its guard then) and reused, most recently used first. Slices that nobody wanted for
//   a while give their pages back.
//
//   I1  every slice that was handed out is in exactly one place: in use, in a worker's hot pool
//       (sched/), in warm_ (its pages may be there) or in cold_ (they are not).
//   Slices of one size belong to one class; the depot has a class for each size asked for.
//   Any thread may call. Lock order: the depot's lock, then a class's lock, then nothing.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace heddle::detail {

class stack_class;

struct stack : list_hook {
  std::byte* bottom = nullptr;  // the lowest usable byte; the guard ends here
  std::byte* top = nullptr;     // one past the highest; 64-byte aligned
  stack_class* of = nullptr;
  std::uint32_t idle_since = 0;  // the trim() turn at which it was put back
  bool guarded = false;

  std::size_t bytes() const noexcept { return static_cast<std::size_t>(top - bottom); }
};

inline constexpr std::size_t min_stack_size = 16 * 1024;
inline constexpr std::size_t max_stack_size = std::size_t{1} << 30;

/// How much of a stack, from its top, is never the program's: a context that has not run is saved
/// there, and then whoever enters it leaves as much room.
inline constexpr std::size_t entry_room = 192;

std::size_t page_size() noexcept;

/// The stacks of one size.
class stack_class {
 public:
  stack_class(std::size_t size, bool guards);  // size: a multiple of the page
  ~stack_class();                              // gives everything back
  stack_class(const stack_class&) = delete;
  stack_class& operator=(const stack_class&) = delete;

  std::size_t size() const noexcept { return size_; }
  std::size_t guard_bytes() const noexcept { return guard_; }

  /// Reserves address space for the first stacks, if there is none yet. False: it cannot be had.
  bool stock() noexcept;
  /// Takes up to `wanted` stacks; 0 if none can be had.
  std::size_t take(stack** out, std::size_t wanted) noexcept;
  void put(stack* const* stacks, std::size_t count) noexcept;

  /// Gives back the pages of stacks that lay unused since `turns` calls. Returns whether any
  /// stack still holds pages that a later call may give back.
  bool trim(std::uint32_t turns) noexcept;

  /// Calls `visit(at, bytes)` with each part of their memory, and of what is known of them. (A
  /// std::function: only who looks for leaks calls it, and the lists stay in stack.cpp.)
  void for_each_part(const std::function<void(const void*, std::size_t)>& visit);

  std::size_t made() const noexcept { return made_.load(std::memory_order_relaxed); }
  std::size_t pooled() const noexcept { return pooled_.load(std::memory_order_relaxed); }
  std::size_t reserved_bytes() const noexcept { return reserved_.load(std::memory_order_relaxed); }

 private:
  struct slab {
    std::byte* base;
    std::size_t bytes;
    std::unique_ptr<stack[]> slices;
    std::size_t count;
    std::size_t used;  // slices made so far
  };

  bool grow_locked() noexcept;
  std::size_t pitch() const noexcept { return size_ + guard_; }
  std::size_t make_locked(stack** out, std::size_t wanted) noexcept;
  std::size_t install_guards(std::byte* first, std::size_t count) noexcept;

  const std::size_t size_;
  const std::size_t guard_;  // 0: the user opted out

  spin_lock lock_;
  intrusive_list<stack> warm_;       // guarded by lock_
  intrusive_list<stack> cold_;       // guarded by lock_
  std::vector<slab> slabs_;          // guarded by lock_
  std::uint32_t turn_ = 0;           // guarded by lock_
  atomic<std::size_t> made_{0};      // written under lock_, read by stats
  atomic<std::size_t> pooled_{0};    // written under lock_, read by stats
  atomic<std::size_t> reserved_{0};  // the same
};

/// All classes of one runtime.
class stack_depot {
 public:
  stack_depot(std::size_t default_size, bool guards)
      : guards_(guards), default_(default_size, guards) {}

  stack_class& default_class() noexcept { return default_; }
  /// The class of `size` (rounded up to pages already); made on first use, throws std::bad_alloc.
  stack_class& class_of(std::size_t size);
  /// A stack of a size whose class exists; null if none can be had.
  stack* take_of(std::size_t size) noexcept;
  bool trim(std::uint32_t turns) noexcept;
  std::size_t handed_out() noexcept;
  std::size_t pooled() noexcept;
  /// Of one size; 0: the default one.
  std::size_t pooled_of(std::size_t size) noexcept;
  std::size_t reserved_bytes() noexcept;
  /// As that of each class.
  void for_each_part(const std::function<void(const void*, std::size_t)>& visit);

 private:
  template <class Visit>
  void for_each(Visit&& visit);

  const bool guards_;
  stack_class default_;
  spin_lock lock_;
  std::vector<std::unique_ptr<stack_class>> others_;  // guarded by lock_
};

/// Whether this kernel guards stacks without splitting mappings (Linux 6.13 and later).
bool kernel_has_light_guards() noexcept;

}  // namespace heddle::detail
