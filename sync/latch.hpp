// SPDX-License-Identifier: BSL-1.0
// latch: waiting, once, until a number of parties have arrived.
//   The count comes to zero under the list's lock only, so that who sees it there, and destroys the
//   latch, waits for the one who brought it there. Lock order: that lock, then nothing.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sync/wait_list.hpp>

#include <cstddef>
#include <limits>

namespace heddle {

/// std::latch for fibers and threads ([thread.latch]): a count that goes down, once. What is done
/// before count_down() happens before the return of the waits that it releases. May be destroyed by
/// whom it has just released. wait and arrive_and_wait are cancellation points.
class latch {
 public:
  static constexpr std::ptrdiff_t max() noexcept {
    return std::numeric_limits<std::ptrdiff_t>::max();
  }

  /// With a count of `expected`, 0 or more (builds with HEDDLE_ASSERTIONS check that).
  constexpr explicit latch(std::ptrdiff_t expected) noexcept : count_(expected) {
    HEDDLE_DCHECK(expected >= 0, "latch %p is made with a count of %td, below zero",
                  static_cast<void*>(this), expected);
  }
  ~latch();
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  /// Takes `update`, 0 or more, from the count, which must not go below zero: that aborts with a
  /// message. No cancellation point.
  void count_down(std::ptrdiff_t update = 1) noexcept;
  /// Whether the count is zero; does not fail without cause.
  [[nodiscard]] bool try_wait() const noexcept {
    // (la.1) acquire: sees what was done before the count came to zero; pairs with (la.2), (la.3).
    return count_.load(std::memory_order_acquire) == 0;
  }
  /// Blocks until the count is zero. \throws cancelled
  void wait() const;
  /// count_down(update), then wait(). \throws cancelled: on entry, and has then not counted; or
  /// while it waits, and has then counted
  void arrive_and_wait(std::ptrdiff_t update = 1);

 private:
  void open(std::ptrdiff_t update) noexcept;
  void expect_in_range(std::ptrdiff_t update, std::ptrdiff_t now) const noexcept;
  void wait_counted() const;

  detail::atomic<std::ptrdiff_t> count_;
  mutable detail::wait_list waiting_;
};

}  // namespace heddle
