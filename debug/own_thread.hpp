// SPDX-License-Identifier: BSL-1.0
// own_thread: threads that the reports need. They handle no signals, and are known as heddle's own
//   to who looks whether the process stands still.
#pragma once

#include <functional>
#include <thread>

namespace heddle::detail {

/// Starts one. Throws std::system_error.
std::thread start_own_thread(std::function<void()> f);
/// Before it is told to end, if it ever is: from then on it counts as anybody's.
void own_thread_ends() noexcept;

/// Calls `f` on such a thread, and waits: for what needs more stack than a fiber may have left.
/// Without a thread, on the caller's. Throws what `f` throws.
void call_aside(const std::function<void()>& f);

}  // namespace heddle::detail
