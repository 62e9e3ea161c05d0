// SPDX-License-Identifier: BSL-1.0
// sanitizer: what the sanitizers must be told.
//   AddressSanitizer: that memory which held stacks is given back. ThreadSanitizer: the scheduler
//   hands fibers on by means that it cannot see: plain fields that belong to whichever context runs
//   on a worker, and fences. The files that do so are compiled without it (sched/CMakeLists.txt),
//   and the edges that they make are told here: whoever makes a fiber ready releases it, the fiber
//   acquires when it goes on. Two fibers that only happen to follow each other on one worker have
//   no such edge, so a race between them is found.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_THREAD__)
#define HEDDLE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(HEDDLE_TSAN)
#define HEDDLE_TSAN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define HEDDLE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEDDLE_ASAN 1
#endif
#endif

#if defined(HEDDLE_ASAN)
extern "C" {
void __asan_unpoison_memory_region(const volatile void* address, std::size_t bytes);
void __lsan_register_root_region(const void* address, std::size_t bytes);
}
#endif
#if defined(HEDDLE_TSAN)
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}
#endif

namespace heddle::detail {

/// What the caller did so far happens before what follows a later tsan_acquire of the same address.
inline void tsan_release([[maybe_unused]] void* address) noexcept {
#if defined(HEDDLE_TSAN)
  __tsan_release(address);
#endif
}
inline void tsan_acquire([[maybe_unused]] void* address) noexcept {
#if defined(HEDDLE_TSAN)
  __tsan_acquire(address);
#endif
}

/// What is mapped here next is another thing: the frames that were here last left their marks.
inline void asan_forget([[maybe_unused]] const void* address,
                        [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(HEDDLE_ASAN)
  __asan_unpoison_memory_region(address, bytes);
#endif
}

/// What these bytes point to is no leak.
inline void lsan_keep([[maybe_unused]] const void* address,
                      [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(HEDDLE_ASAN)
  if (bytes > 0) __lsan_register_root_region(address, bytes);
#endif
}

/// While one is alive, what the caller reads is no race.
class tsan_unseen_reads {
 public:
#if defined(HEDDLE_TSAN)
  tsan_unseen_reads() noexcept { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~tsan_unseen_reads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
  tsan_unseen_reads() noexcept {}
#endif
  tsan_unseen_reads(const tsan_unseen_reads&) = delete;
  tsan_unseen_reads& operator=(const tsan_unseen_reads&) = delete;
};

}  // namespace heddle::detail
