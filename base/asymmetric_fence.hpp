// SPDX-License-Identifier: BSL-1.0
// asymmetric_fence: a store-then-load fence whose price one side pays for both.
//   Two parties that each store their own word and then load the other's (Dekker) need a full fence
//   between the two. The side that runs millions of times a second takes light_fence(), which only
//   holds back the compiler; the side that runs seldom takes heavy_fence(), which makes every other
//   running thread of the process pass a full fence (membarrier(2): 0.25 us alone, 11 us with a
//   busy thread on another core of the virtual machine it was measured on).
//   Where the kernel refuses membarrier, both are full fences.
#pragma once

#include <heddle/base/atomic.hpp>

namespace heddle::detail {

// Written once, by prepare_asymmetric_fences(), before any worker runs; then only read.
extern bool fences_are_asymmetric;

/// Asks the kernel for membarrier. Call before the first light_fence(); any number of times.
void prepare_asymmetric_fences() noexcept;

inline void light_fence() noexcept {
  if (fences_are_asymmetric) [[likely]] {
    asm volatile("" ::: "memory");
  } else {
    full_fence();
  }
}

void heavy_fence() noexcept;

}  // namespace heddle::detail
