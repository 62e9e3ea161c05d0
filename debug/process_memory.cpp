// SPDX-License-Identifier: BSL-1.0
// process_memory: what lies where, and what has been touched.
#include <heddle/debug/process_memory.hpp>
#include <heddle/fiber/stack.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <new>

namespace heddle::detail {

namespace {

// What /proc/self/pagemap says of a page.
constexpr std::uint64_t is_present = std::uint64_t{1} << 63, is_swapped = std::uint64_t{1} << 62,
                        is_files = std::uint64_t{1} << 61, is_guard = std::uint64_t{1} << 58;
constexpr std::size_t pages_at_once = 4096;

/// One line of /proc/self/maps.
struct mapping {
  explicit mapping(char* line) noexcept {
    char permissions[8] = {};
    int path_at = 0;
    is_known = std::sscanf(line, "%zx-%zx %7s %*s %*s %*s %n", &range.from, &range.to, permissions,
                           &path_at) == 3;
    range.is_private = permissions[3] == 'p';
    path = line + path_at;
    path[std::strcspn(path, "\n")] = '\0';
  }
  bool is_readable() const noexcept {
    const auto begins_with = [this](const char* name) {
      return std::strncmp(path, name, std::strlen(name)) == 0;
    };
    if (begins_with("[v")) return false;  // the system's own, for clocks
    if (path[0] != '/' || begins_with("/dev/zero")) return true;
    struct stat there {};
    const bool is_device =
        ::stat(path, &there) == 0 && (S_ISCHR(there.st_mode) || S_ISBLK(there.st_mode));
    return !is_device && !begins_with("/sys/");
  }

  mapped_range range;
  bool is_known;
  char* path;
};

}  // namespace

memory_apart::~memory_apart() {
  while (last_ != nullptr) {
    block* const before = last_->before;
    ::munmap(last_, last_->bytes);
    last_ = before;
  }
}

void* memory_apart::do_allocate(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t least = 1 << 20;
  const auto fits = [&]() -> void* {
    if (last_ == nullptr) return nullptr;
    const std::size_t at = (last_->used + alignment - 1) / alignment * alignment;
    if (at > last_->bytes || last_->bytes - at < bytes) return nullptr;
    last_->used = at + bytes;
    return reinterpret_cast<std::byte*>(last_) + at;
  };
  if (void* at = fits()) return at;
  const std::size_t wanted =
      (std::max(bytes + alignment + sizeof(block), least) + page_size() - 1) / page_size() *
      page_size();
  void* at = ::mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  last_ = ::new (at) block{last_, wanted, sizeof(block)};
  return fits();
}

process_memory::file::file(const char* path) noexcept
    : descriptor_(::open(path, O_RDONLY | O_CLOEXEC)) {
  struct stat is {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &is) != 0) return;
  device_ = is.st_dev;
  inode_ = is.st_ino;
}

process_memory::file::~file() {
  if (is_intact()) ::close(descriptor_);
}

bool process_memory::file::is_intact() const noexcept {
  struct stat is {};
  return descriptor_ >= 0 && ::fstat(descriptor_, &is) == 0 && is.st_dev == device_ &&
         is.st_ino == inode_;
}

std::size_t process_memory::file::read(void* into, std::size_t bytes,
                                       std::uint64_t at) const noexcept {
  ssize_t got;
  do {
    got = ::pread(descriptor_, into, bytes, static_cast<off_t>(at));
  } while (got < 0 && errno == EINTR);
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

process_memory::process_memory(memory_apart& notes, const std::function<bool()>& go_on)
    : go_on_(go_on),
      memory_("/proc/self/mem"),
      pages_map_("/proc/self/pagemap"),
      buffer_(buffer_bytes / word_bytes, &notes),
      pages_(pages_at_once, &notes),
      resident_(pages_at_once, &notes) {}

bool process_memory::list(mapped_ranges& into) const {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return false;
  char line[PATH_MAX + 128];
  bool all_known = true;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    const bool is_whole = std::strchr(line, '\n') != nullptr;
    const mapping m(line);
    all_known = all_known && is_whole && m.is_known;
    if (m.is_known && m.is_readable()) into.push_back(m.range);
  }
  std::fclose(maps);
  return all_known;
}

bool process_memory::copy(void* into, const void* at, std::size_t bytes) {
  return memory_.read(into, bytes, reinterpret_cast<std::uintptr_t>(at)) == bytes;
}

bool process_memory::goes_on() {
  failed_ = failed_ || !go_on_();
  return !failed_;
}

bool process_memory::may_hold_addresses(std::uint64_t page) noexcept {
  if ((page & is_guard) != 0) return false;
  if ((page & is_swapped) != 0) failed_ = true;
  return (page & is_present) != 0 && (page & is_files) == 0;
}

void process_memory::look_at_pages(std::uintptr_t first, std::uintptr_t end, bool are_private) {
  first_page_ = first;
  known_pages_ = 0;
  if (!goes_on()) return;
  const std::size_t count = std::min<std::size_t>(end - first, pages_at_once);
  if (are_private) {
    known_pages_ =
        pages_map_.read(pages_.data(), count * sizeof pages_[0], first * sizeof pages_[0]) /
        sizeof pages_[0];
  } else if (::mincore(reinterpret_cast<void*>(first * page_size()), count * page_size(),
                       resident_.data()) == 0) {
    // Others may have put something there, or this process by another address.
    for (std::size_t i = 0; i < count; ++i) pages_[i] = (resident_[i] & 1) != 0 ? is_present : 0;
    known_pages_ = count;
  }
  failed_ = known_pages_ == 0;
}

// The next pages that may hold addresses, from `at` on; an empty range: there are none up to its
// end.
address_range process_memory::touched(std::uintptr_t at, const mapped_range& in) {
  const std::uintptr_t size = page_size(), end = (in.to + size - 1) / size;
  std::uintptr_t page = at / size, first = end;
  for (; page < end; ++page) {
    if (page - first_page_ >= known_pages_) {
      if (first != end) break;
      look_at_pages(page, end, in.is_private);
      if (failed_) break;
    }
    const bool counts = may_hold_addresses(pages_[page - first_page_]);
    if (!counts && first != end) break;
    if (counts && first == end) first = page;
  }
  return {std::clamp(first * size, at, in.to), std::clamp(page * size, at, in.to)};
}

// Reads on from `at`, which it moves, into the buffer; returns how many words.
std::size_t process_memory::fetch(std::uintptr_t& at, std::uintptr_t end) {
  const std::size_t wanted = std::min(end - at, buffer_bytes);
  if (!goes_on()) return 0;
  const std::size_t words = memory_.read(buffer_.data(), wanted, at) / word_bytes;
  at += words * word_bytes;
  if (words == 0 && wanted >= word_bytes) failed_ = true;
  if (words == 0) at = end;
  return words;
}

}  // namespace heddle::detail
