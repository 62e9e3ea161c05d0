// SPDX-License-Identifier: BSL-1.0
// no_migrate: counting the pins of a fiber.
#include <heddle/base/assert.hpp>
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
  detail::worker* w = detail::current_worker();
  if (w == nullptr) return;
  detail::fiber_record* self = w->current();
  HEDDLE_DCHECK(self->pins > 0, "a no_migrate %p ends in another fiber than it was made in",
                static_cast<void*>(this));
  --self->pins;
}

}  // namespace heddle
