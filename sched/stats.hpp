// SPDX-License-Identifier: BSL-1.0
// stats: what a runtime counts.
#pragma once

#include <cstdint>

namespace heddle {

/// A runtime's counters, read while it runs: each is right for some instant during the call, not
/// all for the same one.
struct runtime_stats {
  std::uint64_t fibers_alive = 0;    // started and not ended
  std::uint64_t fibers_spawned = 0;  // ever
  std::uint64_t switches = 0;        // times a fiber was given a worker
  std::uint64_t steals = 0;          // times a worker took fibers from another
  std::uint64_t parks = 0;           // times a fiber went to sleep
  std::uint64_t wakes = 0;           // times one was made runnable again
  std::uint64_t timers_pending = 0;  // waits of fibers that time will end
  std::uint64_t long_runs = 0;       // fibers that ran too long while others waited
  std::uint64_t spare_workers = 0;   // at work now
  std::uint64_t stacks_in_use = 0;   // bound to fibers that have started
  std::uint64_t stacks_pooled = 0;   // free, at the workers or in the shared overflow
  std::uint64_t stack_bytes = 0;     // address space reserved for stacks
};

}  // namespace heddle
