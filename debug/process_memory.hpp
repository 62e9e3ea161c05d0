// SPDX-License-Identifier: BSL-1.0
// process_memory: reading the memory of this process as the system shows it: what is gone is an
//   error there, not a fault here. One thread uses an object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory_resource>
#include <vector>

namespace heddle::detail {

/// From one address to before another.
struct address_range {
  static address_range of(const void* from, const void* to) noexcept {
    return {reinterpret_cast<std::uintptr_t>(from), reinterpret_cast<std::uintptr_t>(to)};
  }
  static address_range of(const void* from, std::size_t bytes) noexcept {
    return of(from, static_cast<const std::byte*>(from) + bytes);
  }
  std::uintptr_t from = 0, to = 0;
};
using address_ranges = std::pmr::vector<address_range>;

/// Memory apart from the program's, for who reads that and must not find his own notes.
class memory_apart : public std::pmr::memory_resource {
 public:
  memory_apart() noexcept = default;
  ~memory_apart() override;
  memory_apart(const memory_apart&) = delete;
  memory_apart& operator=(const memory_apart&) = delete;

  /// Calls `visit(range)` with each part of it.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const block* each = last_; each != nullptr; each = each->before)
      visit(address_range::of(each, each->bytes));
  }

 private:
  struct alignas(std::max_align_t) block {
    block* before;
    std::size_t bytes;
    std::size_t used;
  };

  void* do_allocate(std::size_t bytes, std::size_t alignment) override;  // std::bad_alloc
  void do_deallocate(void*, std::size_t, std::size_t) override {}        // all at once, at the end
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  block* last_ = nullptr;
};

class process_memory {
 public:
  /// `go_on` is asked now and then; where it says no, what reads ends as if it could not.
  process_memory(memory_apart& notes, const std::function<bool()>& go_on);
  ~process_memory();
  process_memory(const process_memory&) = delete;
  process_memory& operator=(const process_memory&) = delete;

  /// Adds what can be written to, but for devices, in order. False: the system does not say.
  bool list_writable(address_ranges& into) const;

  /// Calls `visit(word)` with the aligned words of `range`; leaves out pages that nobody has
  /// touched, or that are guards. False: the memory cannot be read.
  template <class Visit>
  bool read(address_range range, Visit&& visit) {
    for (std::uintptr_t at = range.from / word_bytes * word_bytes; at < range.to && !failed_;) {
      const std::size_t words = fetch(at, range.to);
      for (std::size_t i = 0; i < words; ++i) visit(buffer_[i]);
    }
    return !failed_;
  }

 private:
  static constexpr std::size_t word_bytes = sizeof(std::uintptr_t);
  static constexpr std::size_t buffer_bytes = 256 * 1024;

  std::size_t fetch(std::uintptr_t& at, std::uintptr_t end);
  std::uintptr_t first_touched(std::uintptr_t at, std::uintptr_t end);

  const std::function<bool()>& go_on_;
  int memory_;   // /proc/self/mem
  int touched_;  // /proc/self/pagemap; -1: there is none
  bool failed_ = false;
  std::pmr::vector<std::uintptr_t> buffer_;
  std::pmr::vector<std::uint64_t> pages_;  // as the pagemap tells of them
};

}  // namespace heddle::detail
