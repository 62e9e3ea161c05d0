// SPDX-License-Identifier: BSL-1.0
// record_pool: slabs of fiber records.
#include <heddle/base/chaos.hpp>
#include <heddle/fiber/record_pool.hpp>

#include <sys/mman.h>

#include <algorithm>
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

std::size_t record_pool::take(fiber_record** into, std::size_t wanted) {
  const std::lock_guard hold(lock_);
  std::size_t got = std::min(wanted, free_.size());
  std::copy(free_.end() - static_cast<std::ptrdiff_t>(got), free_.end(), into);
  free_.resize(free_.size() - got);
  if (got == 0 && (slabs_.empty() || slabs_.back().used == slabs_.back().capacity)) {
    const int saved = errno;
    grow_locked();
    errno = saved;
  }
  for (slab& from = slabs_.back(); got < wanted && from.used < from.capacity; ++got, ++from.used) {
    into[got] = ::new (static_cast<void*>(from.blocks + from.used)) fiber_record;
  }
  return got;
}

void record_pool::put(fiber_record* const* blocks, std::size_t count) noexcept {
  const std::lock_guard hold(lock_);
  free_.insert(free_.end(), blocks, blocks + count);  // has the room: does not throw
}

void record_pool::grow_locked() {
  const std::size_t bytes =
      slabs_.empty() ? first_slab_bytes : std::min(slabs_.back().bytes * 2, huge_page);
  void* at = map(bytes);
  if (at == nullptr) out_of_memory();
  const std::size_t capacity = bytes / sizeof(fiber_record);
  try {
    free_.reserve(free_.capacity() + capacity);
    slabs_.push_back({static_cast<fiber_record*>(at), bytes, capacity, 0});
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
