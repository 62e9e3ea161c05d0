// SPDX-License-Identifier: BSL-1.0
// idle_bell: waiting for a worker that has nothing to do.
#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/sched/idle_bell.hpp>
#include <heddle/sched/runtime_state.hpp>

#include <mutex>

namespace heddle::detail {

bool idle_bell::ring() noexcept {
  if (!is_wanted()) return false;
  agent* who = nullptr;
  {
    const std::lock_guard hold(lock_);
    while (waiter* w = waiters_.pop_front()) {
      wanted_.fetch_sub(1, std::memory_order_relaxed);
      if (!w->try_claim()) continue;
      who = w->who;
      break;
    }
  }
  if (who == nullptr) return false;
  ready(*who, place::back);
  return true;
}

void idle_bell::unlock_and_call() noexcept {
  lock_.unlock();
  light_fence();
  if (rt_.idle.should_wake()) rt_.wake_one();
}

void idle_bell::withdraw(waiter& w) noexcept {
  const std::lock_guard hold(lock_);
  if (!w.linked()) return;
  w.unlink();
  wanted_.fetch_sub(1, std::memory_order_relaxed);
}

bool somebody_is_idle(runtime_state& rt) noexcept {
  const worker* w = current_worker();
  return (w != nullptr && &w->rt == &rt && !w->has_work()) || rt.idle.sleeping() > 0 ||
         rt.idle.searching() > 0;
}

bool runs_now(const fiber_record& r) noexcept {
  const runtime_state& rt = *r.home;
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i) {
    if (rt.worker_at(i)->current() == &r) return true;
  }
  return false;
}

}  // namespace heddle::detail
