// SPDX-License-Identifier: BSL-1.0
// future_state: becoming ready, and waiting for it.
#include <heddle/sched/cancel.hpp>
#include <heddle/sync/future_state.hpp>

namespace heddle::detail {

void throw_future_error(std::future_errc why) { throw std::future_error(why); }

// At the end of who has set the outcome; with a reference that was kept for that.
future_core::future_core() noexcept
    : at_end_node([](at_end_node& node) noexcept {
        auto& self = static_cast<future_core&>(node);
        self.publish_now();
        self.drop();
      }) {}

future_core::~future_core() = default;

void future_core::expect_unsatisfied_locked() const {
  if (satisfied_) throw_future_error(std::future_errc::promise_already_satisfied);
}

bool future_core::abandoned() noexcept {
  const std::lock_guard hold(setting_);
  if (satisfied_) return false;
  satisfied_ = true;
  // The one who asks holds the only reference: nobody can get another any more.
  return references_.load(std::memory_order_relaxed) != 1;
}

void future_core::publish(when at) noexcept {
  if (at == when::now) return publish_now();
  share();
  add_at_end(*this);
}

void future_core::publish_now() noexcept {
  std::uint32_t nobody_waits = 0;
  // (fu.3) release: the outcome is seen by who sees it ready; pairs with (fu.2), (fu.5).
  if (word_.compare_exchange_strong(nobody_waits, is_ready, std::memory_order_release,
                                    std::memory_order_relaxed)) {
    return;
  }
  ready_list released;
  {
    const std::lock_guard hold(waiting_.lock);
    // (fu.4) release: as (fu.3); pairs with (fu.2), (fu.5).
    word_.store(is_ready, std::memory_order_release);
    waiting_.claim_all_locked(released);
  }
  released.wake_all();
}

void future_core::wait_slow() {
  // Of several who come the one who clears the bit computes; the others wait for it.
  if ((word_.load(std::memory_order_relaxed) & is_deferred) != 0 &&
      (word_.fetch_and(~is_deferred, std::memory_order_relaxed) & is_deferred) != 0) {
    return run_deferred();
  }
  (void)sleep(no_deadline);
}

std::future_status future_core::wait_until_ns(std::int64_t deadline_ns) {
  cancellation_point();
  if (ready()) return std::future_status::ready;
  if ((word_.load(std::memory_order_relaxed) & is_deferred) != 0)
    return std::future_status::deferred;
  if (deadline_ns != no_deadline && deadline_ns <= now_ns()) return std::future_status::timeout;
  return sleep(deadline_ns) ? std::future_status::ready : std::future_status::timeout;
}

// Whether it became ready.
bool future_core::sleep(std::int64_t deadline_ns) {
  waiting_.lock.lock();
  // (fu.5) acquire: as (fu.2); pairs with (fu.3), (fu.4).
  if ((word_.fetch_or(is_waited, std::memory_order_acquire) & is_ready) != 0) {
    waiting_.lock.unlock();
    return true;
  }
  waiting wait(true, {"for the result of future", this, &no_owner});
  const case_index winner =
      waiting_.sleep(wait, unlocking(waiting_.lock), {.deadline_ns = deadline_ns}, [] {});
  if (winner == case_cancelled) throw_cancelled();
  return winner == 0;
}

}  // namespace heddle::detail
