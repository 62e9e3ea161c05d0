// SPDX-License-Identifier: BSL-1.0
// wait_group: counting and waiting.
#include <heddle/base/assert.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sync/wait_group.hpp>

#include <mutex>

namespace heddle {

wait_group::~wait_group() {
  HEDDLE_DCHECK((state_.load(std::memory_order_relaxed) & waiters) == 0 || detail::process_exits(),
                "wait_group %p is destroyed while it is waited on", static_cast<void*>(this));
  detail::await_leavers(leaving_);
}

void wait_group::add(std::ptrdiff_t n) noexcept {
  std::int64_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t to = sum(now, n);
    if (to != waiters) {
      // (wg.1) acq_rel: what this caller did is seen by who sees zero; pairs with (wg.2).
      if (state_.compare_exchange_weak(now, to, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
        return;
      }
    } else if (release_waiters(n)) {
      return;
    } else {
      now = state_.load(std::memory_order_relaxed);
    }
  }
}

// For an add(n) that comes to zero while somebody waits; false if others changed that meanwhile.
bool wait_group::release_waiters(std::ptrdiff_t n) noexcept {
  detail::ready_list released;
  {
    const std::lock_guard hold(lock_);
    std::int64_t now = state_.load(std::memory_order_relaxed);
    // (wg.3) acq_rel: as (wg.1); pairs with (wg.2).
    if (sum(now, n) != waiters ||
        !state_.compare_exchange_strong(now, waiters, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
      return false;
    }
    while (detail::waiter* w = waiting_.pop_front()) {
      if (w->try_claim()) {
        released.push(*w);
      } else {
        leaving_.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }
  // The last that is done here: whoever sees zero without waiters may destroy the group.
  // (wg.4) release: as (wg.1), for others that were done before; pairs with (wg.2).
  state_.fetch_and(~waiters, std::memory_order_release);
  released.wake_all();
  return true;
}

void wait_group::wait() {
  detail::cancellation_point();
  for (detail::backoff others;; others.pause()) {
    // (wg.2) acquire: sees what was done before the count came to zero; pairs with (wg.1), (wg.3),
    // (wg.4).
    std::int64_t now = state_.load(std::memory_order_acquire);
    if (now == 0) return;
    if (now == waiters) continue;  // who came to zero is about to be through
    lock_.lock();
    now = state_.load(std::memory_order_relaxed);
    while (now / one != 0 &&
           !state_.compare_exchange_weak(now, now | waiters, std::memory_order_relaxed,
                                         std::memory_order_relaxed)) {
    }
    if (now / one != 0) break;
    lock_.unlock();
  }
  detail::waiting wait(true);
  detail::waiter me(wait.who(), wait.claim());
  waiting_.push_back(me);
  if (wait.sleep(detail::unlocking(lock_)) != detail::case_cancelled) return;
  bool still_here;
  {
    const std::lock_guard hold(lock_);
    still_here = me.linked();
    if (still_here) {
      me.unlink();
      if (waiting_.empty()) state_.fetch_and(~waiters, std::memory_order_relaxed);
    }
  }
  // (wg.6) release: the last that it does here; pairs with (wt.6).
  if (!still_here) leaving_.fetch_sub(1, std::memory_order_release);
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
