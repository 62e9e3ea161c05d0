// SPDX-License-Identifier: BSL-1.0
// standstill: whether anything can still happen in the process, of itself.
//   Nothing can, where there are fibers and at one instant all of these sleep until they are woken:
//   every worker, with nothing to run and no timer; every thread for blocking calls, without a job;
//   every plain thread, in heddle. One that sleeps elsewhere, or that heddle has never seen, may
//   wake somebody: the system counts the process's threads, and they must be no more than those
//   that are known to sleep. So may a signal that the program handles. The watchdogs do nothing
//   while no worker runs anything. Where a timer is set, or there is no fiber, it may be quiet all
//   the same: nobody runs.
//
//   The instant: all are found asleep twice, and no count of turns or sleeps has grown in between.
//   Any thread may call.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

struct forecast {
  bool is_quiet = false;      // else somebody runs, or may without a timer
  bool stands_still = false;  // it is quiet, no timer is set, and there are fibers
  std::uint64_t fibers = 0;   // that are alive
  std::size_t threads = 0;    // of the process, as far as known
  std::uint64_t instant = 0;  // a number that differs once anything has happened
};

/// What `instant` is now.
std::uint64_t instant_now() noexcept;
forecast look_ahead() noexcept;

}  // namespace heddle::detail
