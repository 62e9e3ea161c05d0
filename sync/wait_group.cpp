// SPDX-License-Identifier: BSL-1.0
// wait_group: counting and waiting.
#include <heddle/base/assert.hpp>
#include <heddle/sync/wait_group.hpp>

#include <mutex>

namespace heddle {

wait_group::~wait_group() { waiting_.expect_empty("wait_group", this); }

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
    const std::lock_guard hold(waiting_.lock);
    std::int64_t now = state_.load(std::memory_order_relaxed);
    // (wg.3) acq_rel: as (wg.1); pairs with (wg.2).
    if (sum(now, n) != waiters || !state_.compare_exchange_strong(now, 0, std::memory_order_acq_rel,
                                                                  std::memory_order_relaxed)) {
      return false;
    }
    waiting_.claim_all_locked(released);
  }
  released.wake_all();
  return true;
}

void wait_group::wait() {
  detail::agent& self = detail::cancellation_point();
  // (wg.2) acquire: sees what was done before the count came to zero; pairs with (wg.1), (wg.3).
  if (state_.load(std::memory_order_acquire) == 0) return;
  waiting_.lock.lock();
  std::int64_t now = state_.load(std::memory_order_acquire);  // as (wg.2)
  while (now / one != 0 &&
         !state_.compare_exchange_weak(now, now | waiters, std::memory_order_acquire,  // as (wg.2)
                                       std::memory_order_acquire)) {
  }
  if (now / one == 0) {
    waiting_.lock.unlock();
    return;
  }
  detail::waiting wait(self, true, {"at wait_group", this, &detail::no_owner});
  const auto winner = waiting_.sleep(wait, detail::unlocking(waiting_.lock), {}, [this] {
    if (waiting_.empty_locked()) state_.fetch_and(~waiters, std::memory_order_relaxed);
  });
  if (winner == detail::case_cancelled) detail::throw_cancelled();
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
