// SPDX-License-Identifier: BSL-1.0
// process: what heddle does once per process: it knows every runtime, halts the default one at
//   exit, and refuses to work in a forked child.
#pragma once

#include <cstddef>

namespace heddle::detail {

class runtime_state;

/// Installs the fork handler and the fiber's name for assertions; any number of times.
void prepare_process() noexcept;

void enlist(runtime_state& rt) noexcept;
void delist(runtime_state& rt) noexcept;

/// Halts the workers of `rt` when the process exits.
void halt_at_exit(runtime_state& rt) noexcept;

/// From the moment when exit() halts them.
bool process_exits() noexcept;

/// Ends the process with a message if it is the child of a fork: its workers are not there.
void refuse_after_fork() noexcept;

}  // namespace heddle::detail
