// SPDX-License-Identifier: BSL-1.0
// wait_group: counting and waiting.
#include <heddle/base/assert.hpp>
#include <heddle/sync/wait_group.hpp>

#include <mutex>

namespace heddle {

wait_group::~wait_group() {
  HEDDLE_DCHECK((state_.load(std::memory_order_relaxed) & waiters) == 0,
                "wait_group %p is destroyed while it is waited on", static_cast<void*>(this));
}

void wait_group::add(std::ptrdiff_t n) noexcept {
  do {
    std::int64_t now = state_.load(std::memory_order_relaxed);
    while ((now & waiters) == 0) {
      const std::int64_t to = sum(now, n);
      // (wg.1) acq_rel: what this caller did is seen by who sees zero; pairs with (wg.5), (wg.2).
      if (state_.compare_exchange_weak(now, to, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
        return;
      }
    }
  } while (!add_slow(n));
}

// False if nobody waits any more: then it must not be done here, since whoever sees zero returns at
// once, and may destroy the group before this one has opened lock_.
bool wait_group::add_slow(std::int64_t n) noexcept {
  detail::ready_list released;
  {
    const std::lock_guard hold(lock_);
    const std::int64_t now = state_.load(std::memory_order_relaxed);
    if ((now & waiters) == 0) return false;
    const std::int64_t to = sum(now, n);
    // (wg.3) acq_rel: as (wg.1); pairs with (wg.5), (wg.2).
    state_.fetch_add(to - now, std::memory_order_acq_rel);
    if (to / one == 0) {
      while (detail::waiter* w = waiting_.pop_front()) {
        if (w->try_claim()) released.push(*w);
      }
      // (wg.4) release: as (wg.1); pairs with (wg.2).
      state_.fetch_and(~waiters, std::memory_order_release);
    }
  }
  released.wake_all();
  return true;
}

void wait_group::wait() {
  detail::cancellation_point();
  // (wg.2) acquire: sees what was done before the count came to zero; pairs with (wg.1), (wg.3),
  // (wg.4).
  if (state_.load(std::memory_order_acquire) == 0) return;
  detail::waiting wait(true);
  detail::waiter me(wait.who(), wait.claim());
  lock_.lock();
  std::int64_t now = state_.load(std::memory_order_relaxed);
  do {
    if (now / one == 0) {
      // (wg.5) acquire: as (wg.2); pairs with (wg.1), (wg.3).
      (void)state_.load(std::memory_order_acquire);
      lock_.unlock();
      return;
    }
  } while (!state_.compare_exchange_weak(now, now | waiters, std::memory_order_relaxed,
                                         std::memory_order_relaxed));
  waiting_.push_back(me);
  if (wait.sleep(detail::unlocking(lock_)) != detail::case_cancelled) return;
  {
    const std::lock_guard hold(lock_);
    if (me.linked()) {
      me.unlink();
      if (waiting_.empty()) state_.fetch_and(~waiters, std::memory_order_relaxed);
    }
  }
  detail::throw_cancelled();
}

// The state after adding `n` to the count.
std::int64_t wait_group::sum(std::int64_t state, std::int64_t n) const noexcept {
  std::int64_t change, to;
  HEDDLE_CHECK(!__builtin_mul_overflow(n, one, &change) &&
                   !__builtin_add_overflow(state, change, &to) && to >= 0,
               "the count of wait_group %p, %lld, went below zero (or beyond all bounds) by %lld: "
               "done() was called more often than add()",
               static_cast<const void*>(this), static_cast<long long>(state / one),
               static_cast<long long>(n));
  return to;
}

}  // namespace heddle
