// SPDX-License-Identifier: BSL-1.0
// look: the one who looks, and whom not to look at.
#include <heddle/sched/look.hpp>

namespace heddle::detail {

constinit spin_lock looking;

bool is_current(const runtime_state& rt, const fiber_record& r) noexcept {
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i) {
    if (rt.worker_at(i)->current_now() == &r) return true;
  }
  return false;
}

}  // namespace heddle::detail
