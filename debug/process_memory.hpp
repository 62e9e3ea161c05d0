// SPDX-License-Identifier: BSL-1.0
// process_memory: reading the memory of this process as the system shows it: what is gone is an
//   error there, not a fault here; and what nobody has touched stays so. One thread uses an object.
#pragma once

#include <sys/types.h>

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

/// Of a mapping, or a part of one.
struct mapped_range : address_range {
  bool is_private = false;  // what is written there does not go into the file, if there is one
};
using mapped_ranges = std::pmr::vector<mapped_range>;

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

  /// Adds all that is mapped, in order, but for devices, which to read may do something. False: the
  /// system does not say.
  bool list(mapped_ranges& into) const;

  /// Calls `visit(word)` with the aligned words of `range`, which is in use. False: the memory
  /// cannot be read.
  template <class Visit>
  bool read(address_range range, Visit&& visit) {
    for (std::uintptr_t at = range.from / word_bytes * word_bytes; at < range.to && !failed_;) {
      const std::size_t words = fetch(at, range.to);
      for (std::size_t i = 0; i < words; ++i) visit(buffer_[i]);
    }
    return !failed_;
  }
  /// The same, but for pages that are nowhere, since nobody has touched them, guards, and those of
  /// a private mapping that are as in its file. False also if some are swapped out, which would
  /// bring them back.
  template <class Visit>
  bool read_touched(mapped_range range, Visit&& visit) {
    for (address_range run{range.from, range.from}; run.to < range.to && !failed_;) {
      run = touched(run.to, range);
      read(run, visit);
    }
    return !failed_;
  }
  /// Copies `bytes` from `at`, which may be gone. False: it is.
  bool copy(void* into, const void* at, std::size_t bytes);
  /// Whether nobody has closed, or replaced, what this reads from.
  bool is_intact() const noexcept { return memory_.is_intact() && pages_map_.is_intact(); }

 private:
  /// A file of /proc, unless somebody closes it who closes all descriptors.
  class file {
   public:
    explicit file(const char* path) noexcept;
    ~file();
    file(const file&) = delete;
    file& operator=(const file&) = delete;
    bool is_intact() const noexcept;
    /// How many bytes it has put `into`; 0: none.
    std::size_t read(void* into, std::size_t bytes, std::uint64_t at) const noexcept;

   private:
    int descriptor_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
  };

  static constexpr std::size_t word_bytes = sizeof(std::uintptr_t);
  static constexpr std::size_t buffer_bytes = 256 * 1024;

  bool goes_on();
  std::size_t fetch(std::uintptr_t& at, std::uintptr_t end);
  address_range touched(std::uintptr_t at, const mapped_range& in);
  void look_at_pages(std::uintptr_t first, std::uintptr_t end, bool are_private);
  bool may_hold_addresses(std::uint64_t page) noexcept;

  const std::function<bool()>& go_on_;
  file memory_;     // /proc/self/mem
  file pages_map_;  // /proc/self/pagemap
  bool failed_ = false;
  std::pmr::vector<std::uintptr_t> buffer_;
  std::pmr::vector<std::uint64_t> pages_;     // as the map tells of them
  std::pmr::vector<unsigned char> resident_;  // or mincore()
  std::uintptr_t first_page_ = 0;             // of these
  std::size_t known_pages_ = 0;
};

}  // namespace heddle::detail
