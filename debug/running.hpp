// SPDX-License-Identifier: BSL-1.0
// running: the stack of a fiber that runs: its worker's thread is sent SIGURG, whose handler walks
//   the stack that it has interrupted, on the thread's alternate stack. The handler is installed
//   when it is first wanted; a signal that is not ours goes on to the handler that was there.
//   A thread that sleeps in the system gets none: the call would end early (poll, nanosleep and
//   their like do, whatever SA_RESTART says), and programs do not expect that.
//   Any thread may call; one request at a time.
#pragma once

#include <heddle/sched/worker.hpp>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// Writes up to `room` return addresses of the fiber with this id, which ran on `w`, the innermost
/// first; returns their number. 0: it runs there no more, or the thread does not take the signal.
std::size_t addresses_of_running(worker& w, std::uint64_t id, const void** into,
                                 std::size_t room) noexcept;

/// Whether the thread of `w` sleeps in the system; as far as that says.
bool sleeps_in_system(const worker& w) noexcept;

}  // namespace heddle::detail
