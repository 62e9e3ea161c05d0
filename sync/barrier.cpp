// SPDX-License-Identifier: BSL-1.0
// barrier: arriving, waiting, and the next phase.
#include <heddle/sched/process.hpp>
#include <heddle/sync/barrier.hpp>

#include <mutex>

namespace heddle::detail {

barrier_core::~barrier_core() {
#if defined(HEDDLE_ASSERTIONS)
  const std::lock_guard hold(lock_);
  // Whoever stands still when the process exits may wait for it.
  HEDDLE_CHECK(waiting_.empty() || process_exits(), "barrier %p is destroyed while it is waited on",
               static_cast<void*>(this));
#endif
}

void barrier_core::count_locked(std::ptrdiff_t update) noexcept {
  HEDDLE_DCHECK(update > 0 && update <= missing_,
                "barrier %p: %td arrive where %td are still missing; at least 1, and no more than "
                "that, may",
                static_cast<void*>(this), update, missing_);
  missing_ -= update;
}

barrier_core::arrival_token barrier_core::arrive(std::ptrdiff_t update, bool for_good,
                                                 bool& last) noexcept {
  const std::lock_guard hold(lock_);
  count_locked(update);
  if (for_good) expected_ -= update;
  last = missing_ == 0;
  return {this, phase_};
}

bool barrier_core::arrive_and_wait() noexcept {
  lock_.lock();
  count_locked(1);
  if (missing_ == 0) {
    lock_.unlock();
    return false;
  }
  sleep_locked();
  return true;
}

void barrier_core::wait(const arrival_token& arrival) noexcept {
  lock_.lock();
#if defined(HEDDLE_ASSERTIONS)
  HEDDLE_CHECK(arrival.barrier_ == this, "barrier %p: wait() with a token of barrier %p",
               static_cast<void*>(this), static_cast<const void*>(arrival.barrier_));
  HEDDLE_CHECK(arrival.phase_ == phase_ || arrival.phase_ + 1 == phase_,
               "barrier %p: wait() with a token of phase %llu in phase %llu; the current one and "
               "the one before can be waited for",
               static_cast<void*>(this), static_cast<unsigned long long>(arrival.phase_),
               static_cast<unsigned long long>(phase_));
#endif
  if (arrival.phase_ != phase_) return lock_.unlock();
  sleep_locked();
}

void barrier_core::sleep_locked() noexcept {
  agent& self = this_agent();
  waiter me(self, {});
  waiting_.push_back(me);
  wait_note note({"at barrier", this});
  sleep_unclaimed(self, note, unlocking(lock_));
}

void barrier_core::begin_phase() noexcept {
  ready_list released;
  {
    const std::lock_guard hold(lock_);
    ++phase_;
    missing_ = expected_;
    while (waiter* w = waiting_.pop_front()) released.push(*w);
  }
  released.wake_all();
}

}  // namespace heddle::detail
