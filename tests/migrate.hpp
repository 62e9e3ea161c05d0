// SPDX-License-Identifier: BSL-1.0
// migrate: makes a fiber go on on another OS thread. While it sleeps or yields, its worker's thread
//   is held up in another fiber, so that whoever is to go on must be taken over by another worker.
//   What comes out is asserted by gettid(), never assumed. Needs two workers.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/sched/fiber.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sync/mutex.hpp>

#include <gtest/gtest.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>

namespace heddle_test {

/// The calling OS thread, asked of the kernel: glibc may remember nothing in a register.
inline pid_t thread_id() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

/// Calls `op()`, in which the calling fiber yields or sleeps, while another fiber holds up its
/// thread. Returns whether the caller is on another thread now: not if that other fiber was itself
/// taken over first, and went away again.
template <class Op>
bool moved_by(Op&& op) {
  const pid_t home = thread_id();
  const auto over = std::make_shared<std::atomic<bool>>(false);
  heddle::go([over, home] {
    while (thread_id() == home && !over->load(std::memory_order_acquire)) {
      heddle::detail::cpu_relax();
    }
  });
  op();
  const bool moved = thread_id() != home;
  over->store(true, std::memory_order_release);
  return moved;
}

/// One at a time, or all workers would be held up at once.
inline heddle::mutex one_migration;

/// As moved_by(), again and again until the caller was on another thread after an `op()`. Fails the
/// test if that does not come to pass.
template <class Op>
void migrate_by(Op&& op) {
  const std::lock_guard alone(one_migration);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!moved_by(op)) {
    if (std::chrono::steady_clock::now() >= give_up) {
      ADD_FAILURE() << "the fiber always went on on its own thread";
      return;
    }
  }
}

/// The shortest way to another thread.
inline void migrate() {
  migrate_by([] { heddle::this_fiber::yield(); });
}

}  // namespace heddle_test
