// SPDX-License-Identifier: BSL-1.0
// spin_lock: what a waiter does while the lock is held.
#include <heddle/base/spin_lock.hpp>

#include <sched.h>
#include <time.h>

#include <cerrno>

namespace heddle::detail {

void spin_lock::lock_slow() noexcept {
  backoff wait;
  do {
    while (held_.load(std::memory_order_relaxed)) wait.pause();
  } while (!try_lock());
}

void backoff::pause() noexcept {
  ++turns_;
  if (turns_ < 100) {
    cpu_relax();
  } else if (turns_ < 200) {
    ::sched_yield();
  } else {
    // The holder runs at a lower real-time priority, or its processor is gone: yielding is in vain.
    const int saved = errno;
    const timespec nap{0, 50'000};
    ::nanosleep(&nap, nullptr);
    errno = saved;
  }
}

}  // namespace heddle::detail
