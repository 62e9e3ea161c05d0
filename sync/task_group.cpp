// SPDX-License-Identifier: BSL-1.0
// task_group: its limit, and what counts as a failure.
#include <heddle/sync/task_group.hpp>

#include <exception>
#include <limits>

namespace heddle {

namespace {
constexpr std::ptrdiff_t most = std::numeric_limits<std::ptrdiff_t>::max();
}

task_group::task_group(std::size_t limit) noexcept
    : is_limited_(limit != 0 && limit <= static_cast<std::size_t>(most)),
      room_(is_limited_ ? static_cast<std::ptrdiff_t>(limit) : 0) {}

void task_group::give_room() noexcept {
  if (is_limited_) room_.release(1, most);
}

// Call inside the handler.
void task_group::note_exception(detail::child_group& group, detail::fiber_record& self) noexcept {
  try {
    throw;
  } catch (const cancelled&) {
    if (self.cancel.load(std::memory_order_relaxed) == 0 && !group.is_cancelled()) {
      group.fail(std::current_exception(), self);
    }
  } catch (...) {
    group.fail(std::current_exception(), self);
  }
}

}  // namespace heddle
