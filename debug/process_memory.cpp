// SPDX-License-Identifier: BSL-1.0
// process_memory: what lies where, and what has been touched.
#include <heddle/debug/process_memory.hpp>
#include <heddle/fiber/stack.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

namespace heddle::detail {

namespace {

// Of a page whose contents are somewhere: in memory, or swapped out.
constexpr std::uint64_t is_somewhere = std::uint64_t{3} << 62;
constexpr std::size_t pages_at_once = 4096;

/// One line of /proc/self/maps.
struct mapping {
  explicit mapping(const char* line) noexcept {
    char permissions[8] = {};
    int path_at = 0;
    known = std::sscanf(line, "%zx-%zx %7s %*s %*s %*s %n", &range.from, &range.to, permissions,
                        &path_at) == 3;
    is_writable = permissions[1] == 'w';
    const char* const path = line + path_at;
    const auto begins_with = [path](const char* name) {
      return std::strncmp(path, name, std::strlen(name)) == 0;
    };
    // To read a device may do something.
    is_device = begins_with("/dev/") && !begins_with("/dev/shm/") && !begins_with("/dev/zero");
  }

  address_range range;
  bool known, is_writable, is_device;
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

process_memory::process_memory(memory_apart& notes, const std::function<bool()>& go_on)
    : go_on_(go_on),
      memory_(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC)),
      touched_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)),
      buffer_(buffer_bytes / word_bytes, &notes),
      pages_(pages_at_once, &notes) {}

process_memory::~process_memory() {
  if (memory_ >= 0) ::close(memory_);
  if (touched_ >= 0) ::close(touched_);
}

bool process_memory::list_writable(address_ranges& into) const {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return false;
  char line[512];
  bool all_known = true;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    const mapping m(line);
    all_known = all_known && m.known;
    if (m.known && m.is_writable && !m.is_device) into.push_back(m.range);
    // The rest of a long path.
    while (std::strchr(line, '\n') == nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    }
  }
  std::fclose(maps);
  return all_known;
}

// Where the first page from `at` on lies whose contents are somewhere; at most `end`.
std::uintptr_t process_memory::first_touched(std::uintptr_t at, std::uintptr_t end) {
  const std::size_t page = page_size();
  while (at < end && touched_ >= 0) {
    const std::uintptr_t first = at / page;
    const std::size_t wanted = std::min((end - 1) / page - first + 1, pages_at_once);
    const ssize_t got = ::pread(touched_, pages_.data(), wanted * sizeof pages_[0],
                                static_cast<off_t>(first * sizeof pages_[0]));
    if (got <= 0) return at;
    const std::size_t count = static_cast<std::size_t>(got) / sizeof pages_[0];
    for (std::size_t i = 0; i < count; ++i) {
      if ((pages_[i] & is_somewhere) != 0) return std::max(at, (first + i) * page);
    }
    at = (first + count) * page;
  }
  return std::min(at, end);
}

// Reads on from `at`, which it moves, into the buffer; returns how many words.
std::size_t process_memory::fetch(std::uintptr_t& at, std::uintptr_t end) {
  if (end - at > buffer_bytes) at = first_touched(at, end);
  const std::size_t wanted = std::min(end - at, buffer_bytes);
  if (wanted == 0) return 0;
  if (!go_on_()) {
    failed_ = true;
    return 0;
  }
  ssize_t got;
  do {
    got = ::pread(memory_, buffer_.data(), wanted, static_cast<off_t>(at));
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    // A guard in it, or gone.
    failed_ = errno != EIO && errno != EFAULT;
    at = std::min((at / page_size() + 1) * page_size(), end);
    return 0;
  }
  const std::size_t words = static_cast<std::size_t>(got) / word_bytes;
  at += words == 0 ? static_cast<std::size_t>(got) : words * word_bytes;
  return words;
}

}  // namespace heddle::detail
