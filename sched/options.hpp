// SPDX-License-Identifier: BSL-1.0
// options: what a runtime can be told. What is left at its default is filled in from the
//   environment and the machine.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace heddle {

/// What is done when fibers will wait for ever: `report` tells on stderr who waits for what, once;
/// `abort` does that, and std::abort(); `ignore` does not look.
enum class on_deadlock { report, abort, ignore };

/// How a runtime is set up. An aggregate for designated initialisers: `run({.workers = 2}, f)`.
struct options {
  /// OS threads that run fibers. 0: $HEDDLE_WORKERS if set, else what the process may use (affinity
  /// mask and cgroup CPU quota, whichever is smaller). At most 4,096.
  unsigned workers = 0;
  /// OS threads that may be added, one for each worker that is stuck in one fiber for longer than
  /// `long_run` while others wait. More than 4,096 counts as 4,096.
  unsigned max_spare_workers = 64;
  /// OS threads for blocking(), at least 1; further calls queue.
  unsigned max_blocking = 512;
  /// Bytes of address space for each fiber's stack, rounded up to pages, committed on first touch.
  /// 16 KiB to 1 GiB; where it is this default: $HEDDLE_STACK_SIZE if set.
  std::size_t stack_size = 256 * 1024;
  /// Whether an unmapped guard lies below each stack.
  bool guard_pages = true;
  /// A fiber that runs longer while others wait is counted (runtime_stats::long_runs), and a spare
  /// worker takes over its queue. At least 1 ms; a year or more: never.
  std::chrono::milliseconds long_run{10};
  /// What is done when fibers of this runtime wait for each other (for locks, joins, groups,
  /// futures) in a circle, or when all of the process waits and nothing can wake one: no timer, no
  /// blocking() call, no thread but heddle's own and those that wait in heddle.
  on_deadlock deadlock = on_deadlock::report;
  /// A signal on which heddle::dump() is written to stderr, SIGUSR1 say; 0: none. It stays so as
  /// long as the process lives. A handler that was there before is called too.
  int dump_signal = 0;
};

namespace detail {

/// Fills in and checks; throws std::invalid_argument that names what is wrong.
options complete(options wanted);

/// How many processors this process may really use: affinity mask and cgroup quota (v1 and v2).
/// `root` goes before each path that is read; only tests name one.
unsigned usable_processors(const char* root = "") noexcept;

/// The smallest CPU quota of the process's group and all above it, in processors; infinity if none.
double cgroup_quota(const std::string& root);

/// Rounded up to pages; throws std::invalid_argument below 16 KiB or above 1 GiB.
std::size_t checked_stack_size(std::size_t bytes);

}  // namespace detail
}  // namespace heddle
