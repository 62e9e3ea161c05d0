// SPDX-License-Identifier: BSL-1.0
// biased_lock: a lock that one thread, its owner, takes all the time and others seldom.
//   While biased, the owner takes and opens it with two plain stores and a load: no atomic
//   read-modify-write (5.7 ns), which alone would double the cost of a yield. A foreign thread
//   first revokes the bias; then it is a plain spin lock for both, until the owner has taken it
//   rebias_after times undisturbed.
//
//   I1  whoever is inside holds held_, or is the owner, inside by bias: owner_in_ is true.
//   I2  bias_ changes only under held_.
//
//   The owner                                The foreign thread
//     1 owner_in_ := true                      1 takes held_
//     2 light fence                            2 noticed_ := false; bias_ := false
//     3 bias_? inside.                         3 waits a little for noticed_; else heavy fence
//     4 else owner_in_ := false,               4 waits while owner_in_; inside.
//       noticed_ := true, takes held_
//   Between the fences one of the two sees the other's store. An owner that comes by soon answers
//   (noticed_), which is cheaper than the heavy fence that interrupts its processor.
#pragma once

#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/spin_lock.hpp>

#include <cstdint>

namespace heddle::detail {

class biased_lock {
 public:
  /// Owner only.
  void lock() noexcept {
    owner_in_.store(true, std::memory_order_relaxed);
    light_fence();
    // (bl.1) acquire: sees a revocation that precedes it; pairs with (bl.2).
    if (bias_.load(std::memory_order_acquire)) [[likely]]
      return;
    lock_shared();
  }
  /// Owner only; also by another context on the owner's OS thread than the one that locked.
  void unlock() noexcept {
    if (owner_in_.load(std::memory_order_relaxed)) [[likely]] {
      // (bl.3) release: what the owner wrote is seen by who revoked; pairs with (bl.4).
      owner_in_.store(false, std::memory_order_release);
    } else {
      held_.unlock();
    }
  }

  /// Any other thread. False if somebody else is at it, or the owner does not leave soon.
  [[nodiscard]] bool try_lock_foreign() noexcept;
  void unlock_foreign() noexcept { held_.unlock(); }

 private:
  static constexpr std::uint32_t rebias_after = 256;

  [[gnu::cold, gnu::noinline]] void lock_shared() noexcept;

  atomic<bool> owner_in_{false};  // written by the owner
  atomic<bool> bias_{true};       // guarded by held_; read by the owner
  atomic<bool> noticed_{false};   // set by the owner, reset under held_
  spin_lock held_;
  std::uint32_t undisturbed_ = 0;  // guarded by held_
};

}  // namespace heddle::detail
