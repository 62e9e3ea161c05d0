// SPDX-License-Identifier: BSL-1.0
// spin_lock: what a waiter does while the lock is held.
#include <heddle/base/spin_lock.hpp>

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace heddle::detail {

// Where each wait began anew, 4 senders and 4 receivers on two workers took 44 ns a value, so 37.
void spin_lock::lock_slow() noexcept {
  backoff wait = patience_.begin();
  unsigned looks = 0;
  do {
    do {
      wait.pause();
      ++looks;
    } while (held_.load(std::memory_order_relaxed));
  } while (!try_lock());
  patience_.learn(looks > 1);
}

void backoff::pause() noexcept {
  // Each look takes the cache line from the one who holds the lock, and who mostly wants it again
  // at once: so the looks become rarer. (4 senders and 4 receivers on two workers: 54 ns a value
  // with a look after each pause, 19 with at most 32 between two; where a cache line takes twice as
  // long to come, 88 with at most 32, 64 with 128, 60 with 256.)
  constexpr unsigned longest = 7;
  ++turns_;
  if (turns_ < 20) {
    for (unsigned i = 1u << std::min(turns_, longest); i > 0; --i) cpu_relax();
  } else if (turns_ < 120) {
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
