// SPDX-License-Identifier: BSL-1.0
// process: what heddle does once per process: it knows every runtime, halts the default one at
//   exit, and refuses to work in a forked child.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/fiber/record.hpp>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

class runtime_state;

/// The thread that exits, from the moment when exit() halts the default runtime; null before.
extern atomic<const agent*> exiting_agent;
/// The main thread, once its thread-locals are gone: it exits, and the halt is to come.
extern atomic<const agent*> ending_main;

/// Installs the fork handler and the fiber's name for assertions; any number of times.
void prepare_process() noexcept;

/// Threads of heddle's that belong to no runtime, and do nothing of themselves.
extern atomic<std::uint32_t> own_threads;
/// Linked by next_runtime; for process.cpp, and for debuggers.
extern runtime_state* first_runtime;
void enlist(runtime_state& rt) noexcept;
/// Returns when nobody visits it any more.
void delist(runtime_state& rt) noexcept;
/// Goes through the runtimes. The one that it is at does not end meanwhile; no lock is held.
class runtime_cursor {
 public:
  runtime_cursor() noexcept;  // at the first
  ~runtime_cursor();
  runtime_cursor(const runtime_cursor&) = delete;
  runtime_cursor& operator=(const runtime_cursor&) = delete;

  runtime_state* here() const noexcept { return at_; }  // null: past the last
  void next() noexcept;

 private:
  void go_to_locked(runtime_state* rt) noexcept;
  runtime_state* at_ = nullptr;
};

/// Around a fork(): nobody is at the list of runtimes meanwhile.
void hold_runtimes() noexcept;
void let_go_of_runtimes() noexcept;

/// While one lives no runtime ends. No lock is held.
class runtimes_stay {
 public:
  runtimes_stay() noexcept;
  ~runtimes_stay();
  runtimes_stay(const runtimes_stay&) = delete;
  runtimes_stay& operator=(const runtimes_stay&) = delete;
};

/// Halts the workers of `rt` when the process exits.
void halt_at_exit(runtime_state& rt) noexcept;

inline bool process_exits() noexcept {
  return exiting_agent.load(std::memory_order_relaxed) != nullptr;
}
inline bool is_exiting(const agent& who) noexcept {
  return exiting_agent.load(std::memory_order_relaxed) == &who;
}
/// As far as it can be told also before the halt: on the main thread.
inline bool has_begun_to_exit(const agent& who) noexcept {
  return is_exiting(who) || ending_main.load(std::memory_order_relaxed) == &who;
}

/// How long exit() waits before it says so.
inline constexpr std::int64_t exit_patience_ns = 1'000'000'000;

/// The caller exits, and `r`, which was halted, will never end. Waits while `r` still runs.
bool stands_still(fiber_record& r) noexcept;

/// Ends the process with a message if it is the child of a fork: its workers are not there.
void refuse_after_fork() noexcept;

}  // namespace heddle::detail
