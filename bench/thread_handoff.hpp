// SPDX-License-Identifier: BSL-1.0
// thread_handoff: four ways for two threads to take turns. Each has pass(to): it is `to`'s turn
// now; and await(me): returns when it is my turn. Party 0 has the first turn.
//
// The protocol, for the two that share a bare word:
//   1. the party whose turn it is works, then stores the other's number (release) and wakes it;
//   2. the other reads its own number (acquire), and so sees all that was done before.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <semaphore>
#include <thread>

namespace bench {

class sched_yield_handoff {
 public:
  void pass(std::uint32_t to) {
    // (hy.1) release: hands over what the passer wrote; pairs with (hy.2).
    turn_.store(to, std::memory_order_release);
  }
  void await(std::uint32_t me) {
    // (hy.2) acquire: reads the turn stored by (hy.1).
    while (turn_.load(std::memory_order_acquire) != me) std::this_thread::yield();
  }

 private:
  std::atomic<std::uint32_t> turn_{0};  // both parties write and read it, in turns
};

class futex_handoff {
 public:
  void pass(std::uint32_t to) {
    // (hf.1) release: hands over what the passer wrote; pairs with (hf.2).
    turn_.store(to, std::memory_order_release);
    ::syscall(SYS_futex, &turn_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void await(std::uint32_t me) {
    // (hf.2) acquire: reads the turn stored by (hf.1).
    while (turn_.load(std::memory_order_acquire) != me)
      ::syscall(SYS_futex, &turn_, FUTEX_WAIT_PRIVATE, 1 - me, nullptr, nullptr, 0);
  }

 private:
  std::atomic<std::uint32_t> turn_{0};  // both parties write and read it, in turns
};

class condvar_handoff {
 public:
  void pass(std::uint32_t to) {
    {
      const std::scoped_lock lock(mutex_);
      turn_ = to;
    }
    changed_.notify_one();
  }
  void await(std::uint32_t me) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return turn_ == me; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t turn_ = 0;  // guarded by mutex_
};

class semaphore_handoff {
 public:
  void pass(std::uint32_t to) { turn_[to].release(); }
  void await(std::uint32_t me) { turn_[me].acquire(); }

 private:
  std::binary_semaphore turn_[2] = {std::binary_semaphore(1), std::binary_semaphore(0)};
};

}  // namespace bench
