// SPDX-License-Identifier: BSL-1.0
// cancel: structured cancellation, as seen by the one who is cancelled. Stop (std::stop_token) is a
//   request that code looks at; cancel implies it, and makes the fiber's cancellation points throw.
#pragma once

#include <cstdint>

namespace heddle {

/// Why a fiber's cancellation points throw. Nothing gives sibling_failed or deadline yet.
enum class cancel_reason {
  requested,       ///< somebody called fiber::cancel()
  sibling_failed,  ///< another child of the same group ended by an exception
  deadline,        ///< the time that was set for it ran out
  shutdown         ///< its runtime is ending
};

/// Thrown by cancellation points of a cancelled fiber, again at each one. Not a std::exception, so
/// that `catch (std::exception&)` does not swallow it. A fiber that it leaves ends quietly where
/// nobody takes its result.
class cancelled {
 public:
  explicit cancelled(cancel_reason reason) noexcept : reason_(reason) {}
  cancel_reason reason() const noexcept { return reason_; }
  /// A sentence that names the reason; static storage.
  const char* what() const noexcept;

 private:
  cancel_reason reason_;
};

namespace this_fiber {

/// A cancellation point that does nothing else: throws heddle::cancelled if the calling fiber has
/// been cancelled. On a plain thread it does nothing.
void check_cancel();

}  // namespace this_fiber

namespace detail {

struct fiber_record;

/// Marks `r` as cancelled, requests its stop and ends a wait that is a cancellation point. False if
/// it was cancelled before, or has ended. The caller holds a reference.
bool cancel_fiber(fiber_record& r, cancel_reason why) noexcept;

[[noreturn]] void throw_cancelled();

}  // namespace detail
}  // namespace heddle
