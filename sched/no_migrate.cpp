// SPDX-License-Identifier: BSL-1.0
// no_migrate: counting the pins of a fiber.
#include <heddle/sched/no_migrate.hpp>
#include <heddle/sched/worker.hpp>

namespace heddle {

no_migrate::no_migrate() noexcept {
  detail::worker* w = detail::current_worker();
  if (w == nullptr) return;
  detail::fiber_record* self = w->current();
  if (self->pins++ == 0) self->pinned_to = static_cast<std::uint16_t>(w->index);
}

no_migrate::~no_migrate() {
  if (detail::worker* w = detail::current_worker()) --w->current()->pins;
}

}  // namespace heddle
