// SPDX-License-Identifier: BSL-1.0
// latch: counting down, and waiting.
#include <heddle/base/assert.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sync/latch.hpp>

#include <mutex>

namespace heddle {

latch::~latch() { waiting_.expect_empty("latch", this); }

void latch::count_down(std::ptrdiff_t update) noexcept {
  std::ptrdiff_t now = count_.load(std::memory_order_relaxed);
  do {
    expect_in_range(update, now);
    if (now == update && now != 0) return open(update);
    // (la.2) acq_rel: what this caller did goes on to who sees zero; pairs with (la.1).
  } while (!count_.compare_exchange_weak(now, now - update, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
}

void latch::open(std::ptrdiff_t update) noexcept {
  detail::ready_list released;
  {
    const std::lock_guard hold(waiting_.lock);
    // (la.3) acq_rel: as (la.2); pairs with (la.1).
    expect_in_range(update, count_.fetch_sub(update, std::memory_order_acq_rel));
    waiting_.claim_all_locked(released);
  }
  released.wake_all();
}

void latch::expect_in_range(std::ptrdiff_t update, std::ptrdiff_t now) const noexcept {
  HEDDLE_CHECK(update >= 0 && update <= now,
               "latch %p: its count of %td is taken down by %td; it may not go below zero",
               static_cast<const void*>(this), now, update);
}

void latch::wait() const {
  detail::cancellation_point();
  wait_counted();
}

void latch::arrive_and_wait(std::ptrdiff_t update) {
  detail::cancellation_point();
  count_down(update);
  wait_counted();
}

void latch::wait_counted() const {
  if (try_wait()) return;
  waiting_.lock.lock();
  if (try_wait()) {
    waiting_.lock.unlock();
    return;
  }
  detail::waiting wait(true, {"at latch", this});
  const detail::case_index winner =
      waiting_.sleep(wait, detail::unlocking(waiting_.lock), {}, [] {});
  if (winner == detail::case_cancelled) detail::throw_cancelled();
}

}  // namespace heddle
