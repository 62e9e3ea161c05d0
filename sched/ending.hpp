// SPDX-License-Identifier: BSL-1.0
// ending: how a fiber's life closes once its function has returned: its locals are destroyed, what
//   was put off to its end is done (sched/at_end.hpp), who joins it is woken, its record is let go.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/fiber/record.hpp>

#include <vector>

namespace heddle::detail {

/// The one who joins a fiber; lies on that one's stack.
struct join_wait {
  agent* who;
  ticket claim;
};

/// Destroys the values of a fiber's or thread's locals, newest first; user code included.
void destroy_locals(std::vector<local_value>& values) noexcept;

/// Destroys the fiber's locals, then does what it put off to its end. Runs on the fiber: before
/// anybody is told that it has ended, since what these refer to may end then.
void settle_extras(fiber_record& self) noexcept;
inline void settle(fiber_record& self) noexcept {
  // Without the lock: only others' first use of a name or a stop source could make them meanwhile,
  // and then there is nothing to do.
  if (self.extras.load(std::memory_order_relaxed) != nullptr) settle_extras(self);
}

/// Marks it ended, drops its own reference and wakes the joiner. `self` is gone afterwards.
void announce_end(fiber_record& self) noexcept;

/// An exception left a fiber that nobody takes it from: says so, with its name and message, and
/// ends the process by std::terminate. Call inside the handler.
[[noreturn]] void die_of_exception(fiber_record& self) noexcept;

}  // namespace heddle::detail
