// SPDX-License-Identifier: BSL-1.0
// atomic: the one name under which heddle uses atomics, so that a model checker can stand in for
//   it; and the few facts of the machine that belong beside it.
#pragma once

#include <heddle/base/same_build.hpp>

#include <atomic>
#include <cstddef>

namespace heddle::detail {

template <class T>
using atomic = std::atomic<T>;

/// Bytes that two writers must lie apart so as not to slow each other down.
inline constexpr std::size_t cache_line = 64;

/// Tells the processor that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// Fetches the cache line of what will soon be written: in one step, where a load that comes first
/// would make two.
inline void prefetch_to_write(const void* at) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(at)));
#else
  __builtin_prefetch(at, 1);
#endif
}

/// Orders every earlier load and store before every later one, on this processor. Written in
/// assembly since ThreadSanitizer does not model std::atomic_thread_fence.
inline void full_fence() noexcept {
#if defined(__x86_64__)
  asm volatile("lock; orl $0, -8(%%rsp)" ::: "memory", "cc");
#elif defined(__aarch64__)
  asm volatile("dmb ish" ::: "memory");
#else
#error "heddle: this processor is not supported (x86-64 and arm64 are)"
#endif
}

}  // namespace heddle::detail
