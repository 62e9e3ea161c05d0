// SPDX-License-Identifier: BSL-1.0
// blocking_pool: OS threads for calls that block. A thread is started when a job finds none idle,
//   up to a limit; beyond it jobs queue. A thread that had nothing to do for ten seconds ends.
//   Any thread may call. Lock order: the pool's lock, then nothing.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/wait.hpp>

#include <cstdint>
#include <list>
#include <thread>

namespace heddle::detail {

class runtime_state;

/// A call to run; lies on the stack of the fiber that waits for it.
struct blocking_job {
  void (*run)(blocking_job&) noexcept = nullptr;
};

class blocking_pool {
 public:
  blocking_pool(runtime_state& rt, unsigned limit) noexcept : rt_(rt), limit_(limit) {}
  ~blocking_pool() { stop(); }

  /// Runs `job` on a thread of the pool while the calling fiber waits. Throws std::system_error
  /// (resource_unavailable_try_again) if no thread is there and none can be started; if it is a
  /// `cancellation_point`, cancelled: then `job` is not run.
  void run(blocking_job& job, bool cancellation_point);
  /// Ends its threads, when they have done what is queued. Returns whether there were any.
  bool stop() noexcept;
  /// How many threads sleep until a job comes; 0 where one has come.
  std::uint32_t idle_threads() noexcept;

 private:
  struct queued_job;

  void ensure_thread();
  void serve(std::list<std::thread>::iterator self) noexcept;
  queued_job* next_job() noexcept;
  std::list<std::thread> take_ended_locked() noexcept;

  runtime_state& rt_;
  const unsigned limit_;
  spin_lock lock_;
  intrusive_list<waiter> jobs_;     // guarded by lock_; each a queued_job
  std::uint32_t queued_ = 0;        // the same; also what is announced but not linked yet
  std::uint32_t idle_ = 0;          // the same
  std::uint32_t threads_ = 0;       // the same
  bool stopping_ = false;           // the same
  std::list<std::thread> running_;  // the same
  std::list<std::thread> ended_;    // the same; to be joined
  atomic<std::uint32_t> word_{0};   // futex: a job came, or the end
};

}  // namespace heddle::detail
