// SPDX-License-Identifier: BSL-1.0
// own_stack: heddle's own threads, as those see them who look for what the program's memory refers
//   to (debug/leak.cpp): what lies on their stacks while they sleep is nobody's.
//   Lock order: the list's lock, then nothing.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/base/intrusive_list.hpp>

#include <cstddef>
#include <functional>

namespace heddle::detail {

/// The calling thread's stack; null: not known.
struct stack_extent {
  const std::byte* bottom = nullptr;
  const std::byte* top = nullptr;
};
stack_extent extent_of_this_stack() noexcept;

/// While one lives, the calling thread's stack below it is heddle's own.
class own_stack : public list_hook {
 public:
  own_stack() noexcept;
  ~own_stack();
  /// Whether it is somebody else's for the moment, who is called by the caller.
  void lend(bool lent) noexcept { lent_.store(lent, std::memory_order_relaxed); }
  own_stack(const own_stack&) = delete;
  own_stack& operator=(const own_stack&) = delete;

  /// Calls `visit` with the bottom and the top of each such part that is not lent. It must not
  /// start or end threads.
  static void for_each(const std::function<void(const void* bottom, const void* top)>& visit);

 private:
  const std::byte* bottom_;
  atomic<bool> lent_{false};
};

}  // namespace heddle::detail
