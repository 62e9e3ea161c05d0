// SPDX-License-Identifier: BSL-1.0
// trace: who ran when, where, and who woke whom.
#pragma once

#include <string>

namespace heddle::trace {

/// Begins to note what all runtimes do: each switch, with what the one who leaves waits for, each
/// wake, each start, and times; the last 65,536 of all these of each worker (1.5 MiB each). stop()
/// writes them to the file `path`, which is made, or emptied, now: in Chrome's trace format (JSON),
/// which Perfetto (ui.perfetto.dev) and chrome://tracing open. There fibers and workers are tracks;
/// a fiber's shows when it ran, what it waited for, and when it was ready; arrows go from who woke
/// to who was woken.
///
/// Where a worker switches quickly, one event in 32 or so has a time of its own, and the first
/// after each tenth of a millisecond; the others lie between, in their order. A thread ticks while
/// a trace is on.
///
/// With the environment variable HEDDLE_TRACE set to a file (`%p` in it: the process's id), a trace
/// begins with the first runtime, and is written when the process exits.
///
/// Any thread or fiber may call; no cancellation point.
/// \throws std::system_error: what opening the file says; device_or_resource_busy where a trace is
///   on already; resource_unavailable_try_again: no thread
void start(const std::string& path);

/// Ends the trace and writes it; nothing, if none is on. Those who run are not held up. The caller
/// is, until the file is written.
/// \throws std::system_error: the file could not be written; std::bad_alloc. The trace is over then
///   all the same.
void stop();

}  // namespace heddle::trace
