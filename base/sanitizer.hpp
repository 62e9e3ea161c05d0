// SPDX-License-Identifier: BSL-1.0
// sanitizer: what ThreadSanitizer must be told.
//   The scheduler hands fibers on by means that it cannot see: plain fields that belong to
//   whichever context runs on a worker, and fences. The files that do so are compiled without it
//   (sched/CMakeLists.txt), and the edges that they make are told here: whoever makes a fiber ready
//   releases it, the fiber acquires when it goes on. Two fibers that only happen to follow each
//   other on one worker have no such edge, so a race between them is found.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define HEDDLE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(HEDDLE_TSAN)
#define HEDDLE_TSAN 1
#endif
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
