// SPDX-License-Identifier: BSL-1.0
// futex: the system calls.
#include <heddle/base/futex.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace heddle::detail {

void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline_ns) noexcept {
  const int saved = errno;
  timespec until{};
  const timespec* timeout = nullptr;
  if (deadline_ns != no_deadline) {
    const std::int64_t ns = deadline_ns < 0 ? 0 : deadline_ns;
    until.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    until.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    timeout = &until;
  }
  // FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, FUTEX_WAIT a relative one.
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, timeout, nullptr,
            FUTEX_BITSET_MATCH_ANY);
  errno = saved;
}

void futex_wake(const atomic<std::uint32_t>* word, int count) noexcept {
  const int saved = errno;
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
  errno = saved;
}

}  // namespace heddle::detail
