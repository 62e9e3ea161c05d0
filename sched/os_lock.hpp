// SPDX-License-Identifier: BSL-1.0
// os_lock: in builds with HEDDLE_ASSERTIONS, which locks of the system's the running fiber holds:
//   std::mutex and its kin, pthread_mutex_t, pthread_rwlock_t. One that is held over a switch is
//   told, once for each place where it is locked and left: its fiber may go on on another thread,
//   and whoever wants it meanwhile blocks a worker.
//
//   I1  what is noted belongs to the fiber that runs on the worker: each switch empties the notes.
//   I2  a note is a hint: a lock may be let go where nobody sees it (by another thread, by a
//       library that is bound past us). Before anything is told the lock itself is asked.
//
//   Not seen: a shared or limited attempt at a rwlock, locks that the C library takes by itself
//   (mtx_t, flockfile), more than `room` at once, and all under a sanitizer that stands at these
//   functions itself.
//   Own: only the worker's thread calls.
#pragma once

#include <heddle/base/sanitizer.hpp>

#include <cstddef>
#include <cstdint>

#if defined(HEDDLE_ASSERTIONS) && !defined(HEDDLE_TSAN) && !defined(HEDDLE_ASAN)
#define HEDDLE_OS_LOCKS 1
#endif

namespace heddle::detail {

struct fiber_record;

#if defined(HEDDLE_OS_LOCKS)

/// One that is held, and the return addresses of who locked it, the innermost first.
struct os_lock {
  enum class kind : std::uint8_t { mutex, written, read };
  static constexpr std::size_t most_frames = 8;

  const void* lock;
  kind held_as;
  std::uint8_t frame_count;
  const void* frames[most_frames];
};

/// Tells of one that is held while its fiber leaves. Defined in debug/.
void report_os_lock(fiber_record& who, const os_lock& held, const char* leaves) noexcept;

class os_locks {
 public:
  void locked(const os_lock& lock) noexcept {
    if (count_ < room) all_[count_++] = lock;
  }
  void unlocked(const void* lock) noexcept;
  /// The fiber is about to leave: it "parks", or "yields".
  void leave(fiber_record& who, const char* how) noexcept {
    if (count_ != 0) [[unlikely]]
      tell(who, how);
  }
  void forget() noexcept { count_ = 0; }

 private:
  static constexpr std::size_t room = 8;
  [[gnu::cold, gnu::noinline]] void tell(fiber_record& who, const char* how) noexcept;

  os_lock all_[room];
  std::size_t count_ = 0;
};

#else

class os_locks {
 public:
  void leave(fiber_record&, const char*) noexcept {}
  void forget() noexcept {}
};

#endif

}  // namespace heddle::detail
