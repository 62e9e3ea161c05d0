// SPDX-License-Identifier: BSL-1.0
// semaphore: waiting for a permit, and handing it over.
#include <heddle/sched/cancel.hpp>
#include <heddle/sync/semaphore.hpp>

#include <mutex>

namespace heddle::detail {

semaphore_core::~semaphore_core() { waiting_.expect_empty("semaphore", this); }

bool semaphore_core::acquire_slow(const wait_limits& limits) {
  if (limits.deadline_ns != no_deadline && limits.deadline_ns <= now_ns()) return false;
  waiting_.lock.lock();
  std::uint64_t now = state_.load(std::memory_order_relaxed);
  // (se.4) acquire: as (se.1); pairs with (se.2), (se.3).
  while (!state_.compare_exchange_weak(now, (now & ~waiters) != 0 ? now - 1 : waiters,
                                       std::memory_order_acquire, std::memory_order_relaxed)) {
  }
  if ((now & ~waiters) != 0) {
    waiting_.lock.unlock();
    return true;
  }
  waiting wait(true, {"to acquire semaphore", this});
  const case_index winner = waiting_.sleep(wait, unlocking(waiting_.lock), limits, [] {});
  if (winner == case_cancelled) throw_cancelled();
  return winner == 0;
}

void semaphore_core::release(std::ptrdiff_t n, [[maybe_unused]] std::ptrdiff_t most) noexcept {
  HEDDLE_DCHECK(n >= 0, "semaphore %p: release(%td), which is below zero", static_cast<void*>(this),
                n);
  auto left = static_cast<std::uint64_t>(n);
  ready_list released;
  std::uint64_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    while ((now & waiters) == 0) {
      HEDDLE_DCHECK(left <= static_cast<std::uint64_t>(most) - now,
                    "semaphore %p: release(%td) with %llu permits free; it can hold %td",
                    static_cast<void*>(this), n, static_cast<unsigned long long>(now), most);
      // (se.2) release: what the caller did goes to who takes the permits; pairs with (se.1),
      // (se.4).
      if (state_.compare_exchange_weak(now, now + left, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return;
      }
    }
    const std::lock_guard hold(waiting_.lock);
    now = state_.load(std::memory_order_relaxed);
    if ((now & waiters) == 0) continue;  // another release has served them
    HEDDLE_DCHECK(n <= most, "semaphore %p: release(%td) with none free; it can hold %td",
                  static_cast<void*>(this), n, most);
    while (left > 0) {
      waiter* first = waiting_.claim_first_locked();
      if (first == nullptr) break;
      released.push(*first);
      --left;
    }
    // (se.3) release: as (se.2); pairs with (se.1), (se.4).
    if (waiting_.empty_locked()) state_.store(left, std::memory_order_release);
    break;
  }
  released.wake_all();
}

}  // namespace heddle::detail
