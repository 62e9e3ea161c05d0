// SPDX-License-Identifier: BSL-1.0
// cancel: structured cancellation, as seen by the one who is cancelled. Stop (std::stop_token) is a
//   request that code looks at; cancel implies it, and makes the fiber's cancellation points throw.
#pragma once

#include <heddle/sched/clock.hpp>

#include <chrono>
#include <cstdint>

namespace heddle {

/// Why a fiber's cancellation points throw.
enum class cancel_reason {
  requested,       ///< somebody called fiber::cancel()
  sibling_failed,  ///< another child of the same group ended by an exception
  deadline,        ///< the time that a deadline_scope set ran out
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
/// been cancelled, or a deadline_scope around the call has expired.
void check_cancel();

}  // namespace this_fiber

namespace detail {

struct fiber_record;

/// What one shield or deadline_scope, with all around it, makes of cancellation. They are nested as
/// blocks are, and each fiber (and plain thread) knows its innermost.
struct cancel_scope {
  cancel_scope(std::int64_t deadline, bool holds_off) noexcept;
  ~cancel_scope();
  cancel_scope(const cancel_scope&) = delete;
  cancel_scope& operator=(const cancel_scope&) = delete;

  cancel_scope* const outer;
  const bool shielded;  // there is a shield around: the fiber's cancellation does not count
  const std::int64_t deadline_ns;  // the earliest within that shield
};

/// Marks `r` as cancelled, requests its stop and ends a wait that is a cancellation point. False if
/// it was cancelled before, or has ended. The caller holds a reference.
bool cancel_fiber(fiber_record& r, cancel_reason why) noexcept;

[[noreturn]] void throw_cancelled();

}  // namespace detail

/// Holds off, while it lives, all cancellation that comes from outside it: the calling fiber's own,
/// and deadline_scopes around it. For what must be finished. A deadline_scope made inside it still
/// throws. Must be destroyed by the fiber (or plain thread) that made it, in the order of blocks.
class shield {
 public:
  shield() noexcept : scope_(detail::no_deadline, true) {}

 private:
  detail::cancel_scope scope_;
};

/// A limit in time on all that the calling fiber (or plain thread) awaits while it lives: from the
/// deadline on, cancellation points inside throw heddle::cancelled (cancel_reason::deadline), and
/// waits that are some end then, without effect. Of nested ones the earliest counts. It stops no
/// token and cancels no fiber but the children of a task_group, gather, race or parallel_* that is
/// awaited inside. Must be destroyed by who made it, in the order of blocks.
class deadline_scope {
 public:
  /// From now on for `d`; what is not positive has expired already.
  template <class Rep, class Period>
  explicit deadline_scope(const std::chrono::duration<Rep, Period>& d) noexcept
      : scope_(detail::deadline_after(d), false) {}
  /// Until `at`.
  explicit deadline_scope(clock::time_point at) noexcept : scope_(detail::deadline_at(at), false) {}

 private:
  detail::cancel_scope scope_;
};

}  // namespace heddle
