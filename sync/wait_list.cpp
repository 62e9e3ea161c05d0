// SPDX-License-Identifier: BSL-1.0
// wait_list: claiming, and the end.
#include <heddle/sync/wait_list.hpp>

namespace heddle::detail {

wait_list::~wait_list() {
  lock.lock();
  lock.unlock();
  await_leavers(leaving_);
}

waiter* wait_list::claim_first_locked() noexcept {
  while (waiter* w = waiters_.pop_front()) {
    if (w->try_claim()) return w;
    leaving_.fetch_add(1, std::memory_order_relaxed);
  }
  return nullptr;
}

void wait_list::claim_all_locked(ready_list& into) noexcept {
  while (waiter* w = claim_first_locked()) into.push(*w);
}

}  // namespace heddle::detail
