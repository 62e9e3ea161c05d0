// SPDX-License-Identifier: BSL-1.0
// ending: how a fiber's life closes once its function has returned: its locals are destroyed, who
//   joins it is woken, its record is let go.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/fiber/record.hpp>

namespace heddle::detail {

/// The one who joins a fiber; lies on that one's stack.
struct join_wait {
  agent* who;
  ticket claim;
};

/// Destroys the fiber's locals, newest first. Runs on the fiber, user code included.
void destroy_locals(fiber_record& self) noexcept;

/// Marks it ended, drops its own reference and wakes the joiner. `self` is gone afterwards.
void announce_end(fiber_record& self) noexcept;

/// An exception left a fiber that nobody takes it from: says so, with its name and message, and
/// ends the process by std::terminate. Call inside the handler.
[[noreturn]] void die_of_exception(fiber_record& self) noexcept;

}  // namespace heddle::detail
