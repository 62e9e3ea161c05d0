// SPDX-License-Identifier: BSL-1.0
// injector: the runnable fibers that no worker has yet: what comes from outside, what overflowed
//   from a ring, what waited behind a stuck worker. First in, first out.
//   Any thread may call. Lock order: its lock, then nothing.
#pragma once

#include <heddle/base/spin_lock.hpp>
#include <heddle/fiber/record.hpp>

#include <cstdint>

namespace heddle::detail {

/// Runnable fibers from outside, and what overflows the rings: a queue of batches, each a chain of
/// fibers linked by `next`. First in, first out, but for what is left of a batch. A batch goes in
/// and out as one, so that nobody follows links through cold memory while the lock is held.
class injector {
 public:
  void push(fiber_record* r) noexcept { push(r, r, 1); }
  void push(fiber_record* first, fiber_record* last, std::uint32_t count) noexcept;
  /// Takes up to `wanted` fibers that came one by one, in a row; or of a batch, with `whole` all of
  /// it. Writes their number to `got`. What is left of a batch is out of sight for a moment: look
  /// for whom to wake.
  fiber_record* pop(std::uint32_t wanted, bool whole, std::uint32_t& got) noexcept;
  std::uint32_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  // Few enough that what is older does not push out what a worker is at; many enough that it gets
  // on while that goes on for ever.
  static constexpr std::uint32_t batch_share = 8;

  void push_batch_locked(fiber_record* batch) noexcept;
  fiber_record* pop_batch_locked() noexcept;

  spin_lock lock_;
  fiber_record* first_ = nullptr;  // guarded by lock_
  fiber_record* last_ = nullptr;   // guarded by lock_
  atomic<std::uint32_t> size_{0};  // in fibers; written under lock_
};

}  // namespace heddle::detail
