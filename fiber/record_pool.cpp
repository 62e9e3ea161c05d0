// SPDX-License-Identifier: BSL-1.0
// record_pool: slabs of fiber records.
#include <heddle/base/chaos.hpp>
#include <heddle/fiber/record_pool.hpp>

#include <sys/mman.h>

#include <cerrno>
#include <mutex>
#include <new>
#include <system_error>

namespace heddle::detail {

namespace {

constexpr std::size_t first_slab_bytes = 64 * 1024;
constexpr std::size_t huge_page = 2 * 1024 * 1024;

[[noreturn]] void out_of_memory() {
  throw std::system_error(std::make_error_code(std::errc::not_enough_memory),
                          "heddle: no memory for another fiber's record; fewer fibers at a time, "
                          "or a higher limit on address space (ulimit -v), would help");
}

void* map(std::size_t bytes) {
  if (fails(fault::memory)) return nullptr;
  // Aligned to its own size, so that a slab of 2 MiB can be one huge page: one fault instead of
  // 512.
  const std::size_t alignment = bytes;
  void* at = ::mmap(nullptr, bytes + alignment, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  auto address = reinterpret_cast<std::uintptr_t>(at);
  const std::uintptr_t aligned = (address + alignment - 1) / alignment * alignment;
  if (aligned != address) ::munmap(at, aligned - address);
  const std::uintptr_t end = address + bytes + alignment;
  if (end != aligned + bytes) {
    ::munmap(reinterpret_cast<void*>(aligned + bytes), end - aligned - bytes);
  }
  if (bytes >= huge_page) ::madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
  return reinterpret_cast<void*>(aligned);
}

}  // namespace

record_pool::~record_pool() {
  for (const slab& each : slabs_) ::munmap(each.blocks, each.bytes);
}

void record_pool::take(record_chain& into, std::size_t wanted) {
  const int saved = errno;
  const std::lock_guard hold(lock_);
  for (std::size_t got = 0; got < wanted; ++got) {
    fiber_record* block = free_.pop();
    if (block == nullptr) {
      if (slabs_.empty() || slabs_.back().used == slabs_.back().capacity) {
        if (got > 0) break;
        grow_locked();
      }
      slab& from = slabs_.back();
      block = ::new (static_cast<void*>(from.blocks + from.used)) fiber_record;
      ++from.used;
    }
    into.push(block);
  }
  errno = saved;
}

void record_pool::put(record_chain& from, std::size_t count) noexcept {
  const std::lock_guard hold(lock_);
  for (; count > 0 && from.first != nullptr; --count) free_.push(from.pop());
}

void record_pool::grow_locked() {
  const std::size_t bytes =
      slabs_.empty() ? first_slab_bytes : std::min(slabs_.back().bytes * 2, huge_page);
  void* at = map(bytes);
  if (at == nullptr) out_of_memory();
  try {
    slabs_.push_back({static_cast<fiber_record*>(at), bytes, bytes / sizeof(fiber_record), 0});
  } catch (const std::bad_alloc&) {
    ::munmap(at, bytes);
    out_of_memory();
  }
}

std::size_t record_pool::slab_count() noexcept {
  const std::lock_guard hold(lock_);
  return slabs_.size();
}

record_pool::slab record_pool::slab_at(std::size_t index) noexcept {
  const std::lock_guard hold(lock_);
  return slabs_[index];
}

}  // namespace heddle::detail
