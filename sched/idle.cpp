// SPDX-License-Identifier: BSL-1.0
// idle: the counts and the list.
#include <heddle/sched/idle.hpp>
#include <heddle/sched/worker.hpp>

#include <mutex>

namespace heddle::detail {

worker* idle_set::pop_locked() noexcept {
  worker* w = sleepers_;
  if (w == nullptr) return nullptr;
  sleepers_ = w->next_sleeper;
  w->next_sleeper = nullptr;
  state_.fetch_add(1 - one_sleeping, std::memory_order_relaxed);
  return w;
}

worker* idle_set::take_sleeper() noexcept {
  const std::lock_guard hold(lock_);
  return should_wake() ? pop_locked() : nullptr;
}

worker* idle_set::take_any() noexcept {
  const std::lock_guard hold(lock_);
  return pop_locked();
}

void idle_set::begin_search() noexcept { state_.fetch_add(1, std::memory_order_relaxed); }

bool idle_set::end_search() noexcept {
  // The searcher looks for more work after this; full_fence() orders the two (a wake that its
  // count held back must not be missed).
  const bool last = (state_.fetch_sub(1, std::memory_order_relaxed) & searching_mask) == 1;
  full_fence();
  return last;
}

void idle_set::begin_sleep(worker& w) noexcept {
  {
    const std::lock_guard hold(lock_);
    w.next_sleeper = sleepers_;
    sleepers_ = &w;
    state_.fetch_add(one_sleeping - 1, std::memory_order_relaxed);
  }
  heavy_fence();
}

bool idle_set::cancel_sleep(worker& w) noexcept {
  const std::lock_guard hold(lock_);
  for (worker** link = &sleepers_; *link != nullptr; link = &(*link)->next_sleeper) {
    if (*link == &w) {
      *link = w.next_sleeper;
      w.next_sleeper = nullptr;
      state_.fetch_add(1 - one_sleeping, std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

}  // namespace heddle::detail
