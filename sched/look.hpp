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
//   stays suspended, but may be made ready meanwhile. Any thread or fiber may look, one at a time;
//   never with an internal lock held.
#pragma once

#include <heddle/sched/runtime_state.hpp>

#include <cstddef>

namespace heddle::detail {

/// Whose current fiber `r` is; null: nobody's.
worker* worker_of(const runtime_state& rt, const fiber_record& r) noexcept;

/// How many visit_held() does.
inline constexpr std::size_t held_at_once = 64;

/// Holds fibers where they are while it lives, those of them that are suspended. Others that look
/// wait meanwhile.
class held_fibers {
 public:
  /// Records of any runtimes, which do not end meanwhile; `frames` has room for as many.
  held_fibers(fiber_record* const* records, const void** frames, std::size_t count) noexcept;
  ~held_fibers();
  held_fibers(const held_fibers&) = delete;
  held_fibers& operator=(const held_fibers&) = delete;

  /// Its saved frame; null: it is not suspended, and not held.
  const void* frame_of(std::size_t i) const noexcept { return frames_[i]; }

 private:
  fiber_record* const* const records_;
  const void** const frames_;
  const std::size_t count_;
};

/// Calls `visit(record, frame)` with those fibers of `rt` of which `is_wanted(record)` is true;
/// some at a time are held where they are, the others have a null frame. In between `after()` is
/// called, and at the end, with none held.
template <class Wanted, class Visit, class After>
void visit_held(runtime_state& rt, Wanted is_wanted, Visit visit, After after) {
  fiber_record* records[held_at_once];
  const void* frames[held_at_once];
  std::size_t count = 0;
  const auto visit_them = [&] {
    {
      const held_fibers held(records, frames, count);
      for (std::size_t i = 0; i < count; ++i) visit(*records[i], frames[i]);
    }
    count = 0;
    after();
  };
  rt.records.for_each([&](fiber_record& r) {
    if (!is_wanted(r)) return;
    __builtin_prefetch(r.waits_for());
    records[count] = &r;
    if (++count == held_at_once) visit_them();
  });
  if (count > 0) visit_them();
}

}  // namespace heddle::detail
