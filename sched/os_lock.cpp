// SPDX-License-Identifier: BSL-1.0
// os_lock: the C library's functions that lock and unlock, defined once more. They go on to those
//   that would have been called without them, and note what a fiber has got.
//
//   Defined weakly: a program may define its own, which then come first. They come before those of
//   shared libraries, so that a lock is seen whoever takes it. Nothing here allocates, locks or
//   walks the stack by its unwinder: an allocator, the dynamic linker or the unwinder may be the
//   one who calls. In a static program there is no next function to be asked for, only the C
//   library's own under another name, if it is there; so of the functions that lock those alone
//   stand here that always are. (What is locked unseen is only not told.) Rejected: the linker's
//   --wrap, which needs no search, but a flag at the link of every user, and sees no library's.
#include <heddle/base/assert.hpp>
#include <heddle/sched/os_lock.hpp>
#include <heddle/sched/worker.hpp>

#if defined(HEDDLE_OS_LOCKS)

#include <dlfcn.h>
#include <pthread.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(address, bytes) static_cast<void>(0)
#endif

namespace heddle::detail {
// os-lock: not one of ours, but what is looked at.
using os_mutex = pthread_mutex_t;
using os_shared_mutex = pthread_rwlock_t;
}  // namespace heddle::detail

using heddle::detail::os_mutex;
using heddle::detail::os_shared_mutex;

extern "C" {
// As glibc has them in a static program.
[[gnu::weak]] int __pthread_mutex_lock(os_mutex*) noexcept;
[[gnu::weak]] int __pthread_mutex_trylock(os_mutex*) noexcept;
[[gnu::weak]] int __pthread_mutex_timedlock(os_mutex*, const timespec*) noexcept;
[[gnu::weak]] int __pthread_mutex_clocklock(os_mutex*, clockid_t, const timespec*) noexcept;
[[gnu::weak]] int __pthread_mutex_unlock(os_mutex*) noexcept;
[[gnu::weak]] int __pthread_rwlock_rdlock(os_shared_mutex*) noexcept;
[[gnu::weak]] int __pthread_rwlock_wrlock(os_shared_mutex*) noexcept;
[[gnu::weak]] int __pthread_rwlock_unlock(os_shared_mutex*) noexcept;
// Brings the timed ones into a static program; what the library uses brings the others.
int mtx_timedlock(void*, const timespec*);
}

namespace heddle::detail {

namespace {

/// A function that one of ours stands before.
template <class... Arguments>
class next_function {
 public:
  using type = int(Arguments...) noexcept;
  constexpr next_function(const char* name, type* in_static_program) noexcept
      : name_(name), in_static_program_(in_static_program) {}

  int operator()(Arguments... arguments) noexcept {
    type* known = known_.load(std::memory_order_relaxed);
    if (known == nullptr) known = find();
    HEDDLE_CHECK(known != nullptr, "%s is not found", name_);
    return known(arguments...);
  }
  type* find() noexcept {
    void* const found = ::dlsym(RTLD_NEXT, name_);
    type* const next = found != nullptr ? reinterpret_cast<type*>(found) : in_static_program_;
    known_.store(next, std::memory_order_relaxed);
    return next;
  }

 private:
  const char* name_;
  type* in_static_program_;
  atomic<type*> known_{nullptr};  // written by whoever calls first, always the same
};

constinit next_function<os_mutex*> mutex_lock("pthread_mutex_lock", &__pthread_mutex_lock);
constinit next_function<os_mutex*> mutex_trylock("pthread_mutex_trylock", &__pthread_mutex_trylock);
constinit next_function<os_mutex*, const timespec*> mutex_timedlock("pthread_mutex_timedlock",
                                                                    &__pthread_mutex_timedlock);
constinit next_function<os_mutex*, clockid_t, const timespec*> mutex_clocklock(
    "pthread_mutex_clocklock", &__pthread_mutex_clocklock);
constinit next_function<os_mutex*> mutex_unlock("pthread_mutex_unlock", &__pthread_mutex_unlock);
constinit next_function<os_shared_mutex*> rwlock_rdlock("pthread_rwlock_rdlock",
                                                        &__pthread_rwlock_rdlock);
constinit next_function<os_shared_mutex*> rwlock_wrlock("pthread_rwlock_wrlock",
                                                        &__pthread_rwlock_wrlock);
constinit next_function<os_shared_mutex*> rwlock_unlock("pthread_rwlock_unlock",
                                                        &__pthread_rwlock_unlock);

// As early as can be: the dynamic linker looks names up under a lock, which may be held for long
// later on (while a library is loaded), by one who waits for us.
[[gnu::constructor]] void find_all() noexcept {
  mutex_lock.find();
  mutex_trylock.find();
  mutex_timedlock.find();
  mutex_clocklock.find();
  mutex_unlock.find();
  rwlock_rdlock.find();
  rwlock_wrlock.find();
  rwlock_unlock.find();
}

[[gnu::used]] int (*const brings_timed_ones)(void*, const timespec*) = &mtx_timedlock;

struct frame {
  const frame* caller;
  const void* return_address;
};

const void* without_signature(const void* return_address) noexcept {
#if defined(__aarch64__)
  constexpr auto bits = (std::uintptr_t{1} << 48) - 1;
  return reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(return_address) & bits);
#else
  return return_address;
#endif
}

// By the frame pointers. Code that has none may lead astray, but not off the stack; there std's
// functions are inlined, and the first address, which is certain, tells the place.
void note_frames(os_lock& lock, const frame* at, const stack& on) noexcept {
  const auto is_on_stack = [&](const void* address) {
    return address >= on.bottom && address <= on.top - sizeof(frame) &&
           reinterpret_cast<std::uintptr_t>(address) % alignof(frame) == 0;
  };
  lock.frame_count = 0;
  for (;;) {
    frame here = *at;
    VALGRIND_MAKE_MEM_DEFINED(&here, sizeof here);  // where it led astray
    lock.frames[lock.frame_count++] = without_signature(here.return_address);
    if (lock.frame_count == os_lock::most_frames || here.caller <= at || !is_on_stack(here.caller))
      return;
    at = here.caller;
  }
}

void note_locked(int error, const void* lock, os_lock::kind as, const void* at) noexcept {
  if (error != 0 && error != EOWNERDEAD) return;
  worker* const w = current_worker();
  const fiber_record* const r = w != nullptr ? w->current() : nullptr;
  if (r == nullptr || r->bound_stack == nullptr) return;  // or one that has just ended
  os_lock held;
  held.lock = lock;
  held.held_as = as;
  note_frames(held, static_cast<const frame*>(at), *r->bound_stack);
  w->held_os.locked(held);
}

void note_unlocked(const void* lock) noexcept {
  if (worker* const w = current_worker()) w->held_os.unlocked(lock);
}

/// Whether this thread holds it, as the lock itself says. Its memory may be gone.
bool is_still_held(const os_lock& lock) noexcept {
  union {
    os_mutex mutex;
    os_shared_mutex rwlock;
  } copy;
  const std::size_t size =
      lock.held_as == os_lock::kind::mutex ? sizeof copy.mutex : sizeof copy.rwlock;
  const iovec from{const_cast<void*>(lock.lock), size}, into{&copy, size};
  if (::process_vm_readv(::getpid(), &into, 1, &from, 1, 0) != static_cast<ssize_t>(size)) {
    return errno != EFAULT;  // it may be forbidden
  }
  constexpr unsigned one_reader = 8;
  switch (lock.held_as) {
    case os_lock::kind::mutex:
      return copy.mutex.__data.__owner == ::gettid();
    case os_lock::kind::written:
      return copy.rwlock.__data.__cur_writer == ::gettid();
    case os_lock::kind::read:
      return copy.rwlock.__data.__readers >= one_reader;
  }
  return true;
}

}  // namespace

void os_locks::unlocked(const void* lock) noexcept {
  for (std::size_t i = count_; i-- > 0;) {
    if (all_[i].lock != lock) continue;
    std::copy(all_ + i + 1, all_ + count_, all_ + i);
    --count_;
    return;
  }
}

// The lock of what the fiber will wait for may be held: who wants it waits for the report. After
// the switch it might be too late, this thread may be about to block on the very mutex.
void os_locks::tell(fiber_record& who, const char* how) noexcept {
  const int error = errno;
  os_lock held[room];
  const std::size_t count = count_;
  std::copy_n(all_, count, held);
  count_ = 0;  // to report takes locks too
  for (std::size_t i = 0; i < count; ++i) {
    if (is_still_held(held[i])) report_os_lock(who, held[i], how);
  }
  errno = error;
}

}  // namespace heddle::detail

extern "C" {

using heddle::detail::note_locked;
using heddle::detail::note_unlocked;
using heddle::detail::os_lock;

[[gnu::weak]] int pthread_mutex_lock(os_mutex* mutex) noexcept {
  const int error = heddle::detail::mutex_lock(mutex);
  note_locked(error, mutex, os_lock::kind::mutex, __builtin_frame_address(0));
  return error;
}

[[gnu::weak]] int pthread_mutex_trylock(os_mutex* mutex) noexcept {
  const int error = heddle::detail::mutex_trylock(mutex);
  note_locked(error, mutex, os_lock::kind::mutex, __builtin_frame_address(0));
  return error;
}

[[gnu::weak]] int pthread_mutex_timedlock(os_mutex* mutex, const timespec* until) noexcept {
  const int error = heddle::detail::mutex_timedlock(mutex, until);
  note_locked(error, mutex, os_lock::kind::mutex, __builtin_frame_address(0));
  return error;
}

[[gnu::weak]] int pthread_mutex_clocklock(os_mutex* mutex, clockid_t clock,
                                          const timespec* until) noexcept {
  const int error = heddle::detail::mutex_clocklock(mutex, clock, until);
  note_locked(error, mutex, os_lock::kind::mutex, __builtin_frame_address(0));
  return error;
}

[[gnu::weak]] int pthread_mutex_unlock(os_mutex* mutex) noexcept {
  note_unlocked(mutex);
  return heddle::detail::mutex_unlock(mutex);
}

[[gnu::weak]] int pthread_rwlock_rdlock(os_shared_mutex* lock) noexcept {
  const int error = heddle::detail::rwlock_rdlock(lock);
  note_locked(error, lock, os_lock::kind::read, __builtin_frame_address(0));
  return error;
}

[[gnu::weak]] int pthread_rwlock_wrlock(os_shared_mutex* lock) noexcept {
  const int error = heddle::detail::rwlock_wrlock(lock);
  note_locked(error, lock, os_lock::kind::written, __builtin_frame_address(0));
  return error;
}

[[gnu::weak]] int pthread_rwlock_unlock(os_shared_mutex* lock) noexcept {
  note_unlocked(lock);
  return heddle::detail::rwlock_unlock(lock);
}

}  // extern "C"

#endif
