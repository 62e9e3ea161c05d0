// SPDX-License-Identifier: BSL-1.0
// record_pool: where the blocks of fibers come from: slabs that grow up to huge-page size and live
//   as long as their runtime, so that every block can be looked at at any time (record.hpp, I2).
//   Workers keep free blocks at hand and trade them here in batches, by address alone: a free block
//   is cold, and following links through many would be a cache miss for each.
//   Any thread may call. Lock order: the pool's lock, then nothing.
#pragma once

#include <heddle/fiber/record.hpp>

#include <cstddef>
#include <vector>

namespace heddle::detail {

struct layout;

class record_pool {
 public:
  record_pool() noexcept = default;
  ~record_pool();
  record_pool(const record_pool&) = delete;
  record_pool& operator=(const record_pool&) = delete;

  /// Writes up to `wanted` (at least 1) free blocks to `into`, and returns how many; at least one,
  /// or throws std::system_error (not_enough_memory).
  std::size_t take(fiber_record** into, std::size_t wanted);
  void put(fiber_record* const* blocks, std::size_t count) noexcept;

  /// Calls `visit` with every block that was ever in use. Nothing is locked meanwhile.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::size_t s = 0; s < slab_count(); ++s) {
      const slab each = slab_at(s);
      for (std::size_t i = 0; i < each.used; ++i) visit(each.blocks[i]);
    }
  }

  /// Calls `visit(at, bytes)` with the memory of each slab.
  template <class Visit>
  void for_each_slab(Visit&& visit) {
    for (std::size_t s = 0; s < slab_count(); ++s) {
      const slab each = slab_at(s);
      visit(each.blocks, each.bytes);
    }
  }

 private:
  friend struct layout;
  struct slab {
    fiber_record* blocks;
    std::size_t bytes;
    std::size_t capacity;
    std::size_t used;  // blocks made so far
  };

  void grow_locked();
  std::size_t slab_count() noexcept;
  slab slab_at(std::size_t index) noexcept;

  spin_lock lock_;
  std::vector<fiber_record*> free_;  // guarded by lock_; has room for every block that was made
  std::vector<slab> slabs_;          // guarded by lock_
};

}  // namespace heddle::detail
