// SPDX-License-Identifier: BSL-1.0
// look: looking at suspended fibers while everything runs.
//
//   Who looks                                     a worker that would resume one of them
//     1 marks the fiber's frame                     a makes the fiber its current one
//     2 passes a heavy fence                        b passes a light fence
//     3 it is some worker's current one, or the     c the frame is marked: puts the fiber off, to
//       mark is gone: it runs, or did; next one       the end of the injector
//     4 looks, and takes the mark off               d else takes the frame, and jumps
//
//   Of 2 and b one comes first: either c sees the mark, or 3 sees the fiber. What is looked at
//   stays suspended, but may be made ready meanwhile. Any thread or fiber may look, one at a time.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/runtime_state.hpp>

#include <cstddef>
#include <mutex>

namespace heddle::detail {

extern constinit spin_lock looking;  // the one who looks

/// Whether `r` is some worker's current fiber.
bool is_current(const runtime_state& rt, const fiber_record& r) noexcept;

/// Calls `visit(index, frame)` for those of `count` records of `rt` that are suspended, each
/// while it is held where it is. At most look_batch at a time.
inline constexpr std::size_t look_batch = 16;

template <class Visit>
void look_at_suspended(const runtime_state& rt, fiber_record* const* records, std::size_t count,
                       Visit&& visit) noexcept {
  HEDDLE_CHECK(count <= look_batch, "looks at %zu fibers at a time", count);
  const void* frames[look_batch];
  const std::lock_guard one_at_a_time(looking);
  for (std::size_t i = 0; i < count; ++i) {
    frames[i] = records[i]->frame.mark() ? records[i]->frame.address() : nullptr;
  }
  heavy_fence();
  for (std::size_t i = 0; i < count; ++i) {
    if (frames[i] == nullptr) continue;
    fiber_record& r = *records[i];
    if (!is_current(rt, r) && r.frame.is_marked_at(frames[i])) {
      tsan_acquire(&r);  // released when it left
      visit(i, frames[i]);
      tsan_release(&r);  // acquired when it goes on
    }
    r.frame.unmark(frames[i]);
  }
}

}  // namespace heddle::detail
