// SPDX-License-Identifier: BSL-1.0
// lock_order: in builds with HEDDLE_ASSERTIONS, in which order locks are taken. Where one fiber
//   waits for B while it owns A, and another for A while it owns B (or so in a larger circle), the
//   two may come to wait for each other, though they have not done so yet: that is told, once.
//
//   Not told, since it ends in no deadlock: a circle of which two parts were always gone under one
//   more lock, or by one and the same fiber; a lock that is taken by a try, or with a limit in time
//   (once it is taken it is a lock like others). Shared owners are not followed. That one part
//   comes only after the other has ended, by a join say, is not seen: such a circle is told.
//   Without memory less is known.
#pragma once

#include <heddle/sched/wait.hpp>

#include <cstddef>

namespace heddle::detail {

/// Where one lock was waited for under another one, the first time.
struct lock_step {
  const char* under_kind;
  const void* under;
  const char* taken_kind;
  const void* taken;
  const char* by;
  const void* const* frames;
  std::size_t frame_count;
};
/// Tells of a circle: each is waited for under the one before it. Defined in debug/.
void report_lock_order(const lock_step* steps, std::size_t count) noexcept;

/// `who` has come to own `lock`, a `kind`; with `would_wait` it would have waited for it for ever.
void note_locked(agent& who, const void* lock, const char* kind, bool would_wait) noexcept;
/// It has come to share it.
void note_shared(agent& who, const void* lock, const char* kind) noexcept;
/// It does not own it any more.
void note_unlocked(agent& who, const void* lock) noexcept;
/// The lock is gone.
void forget_lock(const void* lock) noexcept;

}  // namespace heddle::detail
