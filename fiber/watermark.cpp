// SPDX-License-Identifier: BSL-1.0
// watermark: reading stacks word by word. Not under AddressSanitizer, which has poisoned parts of
//   them (debug/watermark.cpp); unseen by ThreadSanitizer (sched/CMakeLists.txt).
#include <heddle/fiber/watermark.hpp>

#include <cstdint>
#include <cstring>

namespace heddle::detail {

constinit atomic<bool> stacks_are_measured{false};

namespace {

const std::byte* lowest_used(const stack& s) noexcept {
  const std::byte* at = s.bottom;
  for (; at < s.top; at += sizeof(std::uint64_t)) {
    if (*reinterpret_cast<const volatile std::uint64_t*>(at) != 0) break;
  }
  return at;
}

}  // namespace

std::size_t used_bytes(const stack& s) noexcept {
  return static_cast<std::size_t>(s.top - lowest_used(s));
}

[[gnu::noinline]] std::size_t used_bytes_here(const stack& s) noexcept {
  const std::byte* const lowest = lowest_used(s);
  // Down to what memset itself, and a signal handler, may use now.
  constexpr std::ptrdiff_t spared = 1024;
  auto* const here = static_cast<std::byte*>(__builtin_frame_address(0));
  if (here - lowest > spared) {
    std::memset(const_cast<std::byte*>(lowest), 0,
                static_cast<std::size_t>(here - spared - lowest));
  }
  return static_cast<std::size_t>(s.top - lowest);
}

}  // namespace heddle::detail
