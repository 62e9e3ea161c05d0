// SPDX-License-Identifier: BSL-1.0
// condition_variable_any: places in the list, and notifying.
#include <heddle/base/assert.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sync/condition_variable_any.hpp>

#include <mutex>

namespace heddle::detail {

condition_core::~condition_core() {
#if defined(HEDDLE_ASSERTIONS)
  {
    const std::lock_guard hold(lock_);
    // Whoever stands still when the process exits may wait for it.
    HEDDLE_CHECK(places_.empty() || process_exits(),
                 "condition_variable_any %p is destroyed while it is waited on",
                 static_cast<void*>(this));
  }
#endif
  await_leavers(leaving_);
}

condition_core::place::place(condition_core& condition) noexcept
    : waiter(this_agent(), {}), condition_(condition) {
  const std::lock_guard hold(condition_.lock_);
  condition_.places_.push_back(*this);
  condition_.waited_on_.store(true, std::memory_order_relaxed);
}

case_index condition_core::place::sleep(std::int64_t deadline_ns,
                                        const std::stop_token* token) noexcept {
  condition_.lock_.lock();
  if (!linked()) {
    condition_.lock_.unlock();
    leave();
    return 0;
  }
  waiting wait(true, {"at condition_variable_any", &condition_});
  claim = wait.claim();
  asleep_ = true;
  const case_index winner = wait.sleep(unlocking(condition_.lock_), deadline_ns, token);
  if (winner != 0) leave();
  return winner;
}

void condition_core::place::leave() noexcept {
  {
    const std::lock_guard hold(condition_.lock_);
    if (linked()) {
      unlink();
      condition_.note_waiters_locked();
      return;
    }
  }
  // (ca.1) release: the last that it does here; pairs with (wt.6).
  condition_.leaving_.fetch_sub(1, std::memory_order_release);
}

// Whether there was one to notify. Who is asleep is put into `asleep`.
bool condition_core::notify_first_locked(ready_list& asleep) noexcept {
  while (place* first = places_.pop_front()) {
    if (first->asleep_ && first->try_claim()) {
      asleep.push(*first);
      return true;
    }
    leaving_.fetch_add(1, std::memory_order_relaxed);
    if (!first->asleep_) return true;
  }
  return false;
}

void condition_core::notify_one() noexcept {
  if (!waited_on_.load(std::memory_order_relaxed)) return;
  ready_list asleep;
  {
    const std::lock_guard hold(lock_);
    (void)notify_first_locked(asleep);
    note_waiters_locked();
  }
  asleep.wake_all();
}

void condition_core::notify_all() noexcept {
  if (!waited_on_.load(std::memory_order_relaxed)) return;
  ready_list asleep;
  {
    const std::lock_guard hold(lock_);
    while (notify_first_locked(asleep)) {
    }
    note_waiters_locked();
  }
  asleep.wake_all();
}

void condition_core::note_waiters_locked() noexcept {
  waited_on_.store(!places_.empty(), std::memory_order_relaxed);
}

}  // namespace heddle::detail
