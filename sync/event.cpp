// SPDX-License-Identifier: BSL-1.0
// event: setting, resetting, waiting.
#include <heddle/sched/cancel.hpp>
#include <heddle/sync/event.hpp>

#include <mutex>

namespace heddle {

event::~event() { waiting_.expect_empty("event", this); }

void event::set() noexcept {
  detail::ready_list released;
  {
    const std::lock_guard hold(waiting_.lock);
    const std::uint64_t now = state_.load(std::memory_order_relaxed);
    // (ev.2) release: what this caller did goes to who sees it set; pairs with (ev.1).
    state_.store((now | flag) + once, std::memory_order_release);
    waiting_.claim_all_locked(released);
  }
  released.wake_all();
}

void event::reset() noexcept {
  const std::lock_guard hold(waiting_.lock);
  const std::uint64_t now = state_.load(std::memory_order_relaxed);
  state_.store(now & ~flag, std::memory_order_relaxed);
}

void event::wait() const { (void)wait_until_ns(detail::no_deadline, nullptr); }

bool event::wait_until_ns(std::int64_t deadline_ns, const std::uint64_t* start) const {
  detail::agent& self = detail::cancellation_point();
  if (is_set()) return true;
  waiting_.lock.lock();
  const std::uint64_t now = state_.load(std::memory_order_relaxed);
  const bool was_set = (now & flag) != 0 || (start != nullptr && now / once != *start / once);
  if (was_set || (deadline_ns != detail::no_deadline && deadline_ns <= detail::now_ns())) {
    waiting_.lock.unlock();
    return was_set;
  }
  detail::waiting wait(self, true, {"for event", this});
  const detail::case_index winner =
      waiting_.sleep(wait, detail::unlocking(waiting_.lock), {.deadline_ns = deadline_ns}, [] {});
  if (winner == detail::case_cancelled) detail::throw_cancelled();
  return winner == 0;
}

}  // namespace heddle
