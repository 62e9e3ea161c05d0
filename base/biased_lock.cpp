// SPDX-License-Identifier: BSL-1.0
// biased_lock: revoking and giving back the bias.
#include <heddle/base/biased_lock.hpp>

namespace heddle::detail {

void biased_lock::lock_shared() noexcept {
  // (bl.5) release: nothing of the owner's is inside any more; pairs with (bl.4).
  owner_in_.store(false, std::memory_order_release);
  // (bl.6) release: as (bl.5), said faster; pairs with (bl.7).
  noticed_.store(true, std::memory_order_release);
  held_.lock();
  if (++undisturbed_ >= rebias_after) bias_.store(true, std::memory_order_relaxed);
}

bool biased_lock::try_lock_foreign() noexcept {
  if (!held_.try_lock()) return false;
  undisturbed_ = 0;
  if (!bias_.load(std::memory_order_relaxed)) return true;

  noticed_.store(false, std::memory_order_relaxed);
  // (bl.2) release: the reset of noticed_ goes first; pairs with (bl.1).
  bias_.store(false, std::memory_order_release);
  for (int i = 0; i < 32; ++i) {
    // (bl.7) acquire: the owner has left, and what it wrote is seen; pairs with (bl.6).
    if (noticed_.load(std::memory_order_acquire)) return true;
    cpu_relax();
  }
  heavy_fence();
  for (int i = 0; i < 1000; ++i) {
    // (bl.4) acquire: the owner has left, and what it wrote is seen; pairs with (bl.3), (bl.5).
    if (!owner_in_.load(std::memory_order_acquire)) return true;
    cpu_relax();
  }
  // The owner was preempted inside. Give up: whether it is still inside is not known, so the bias
  // must be as before.
  bias_.store(true, std::memory_order_relaxed);
  held_.unlock();
  return false;
}

}  // namespace heddle::detail
