// SPDX-License-Identifier: BSL-1.0
// condition_variable: waiting and notifying.
#include <heddle/base/assert.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sync/condition_variable.hpp>

namespace heddle {

condition_variable::~condition_variable() {
  HEDDLE_DCHECK(count_.load(std::memory_order_relaxed) == 0 || detail::process_exits(),
                "condition_variable %p is destroyed while it is waited on",
                static_cast<void*>(this));
  detail::await_leavers(leaving_);
}

void condition_variable::wait(std::unique_lock<mutex>& lock) {
  (void)wait_until_ns(lock, detail::no_deadline);
}

bool condition_variable::wait_until_ns(std::unique_lock<mutex>& lock, std::int64_t deadline_ns) {
  HEDDLE_DCHECK(lock.owns_lock(), "condition_variable %p: the lock handed to wait is not locked",
                static_cast<void*>(this));
  detail::cancellation_point();
  detail::waiting wait(true);
  detail::waiter me(wait.who(), wait.claim());
  struct parties {
    condition_variable* condition;
    mutex* held;
  } both{this, lock.mutex()};

  lock_.lock();
  waiters_.push_back(me);
  count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const detail::commit release_both{[](void* p) noexcept {
                                      const parties it = *static_cast<parties*>(p);
                                      it.condition->lock_.unlock();
                                      it.held->release();
                                    },
                                    &both};
  const detail::case_index winner = wait.sleep(release_both, deadline_ns);
  if (winner == 0) {
    // Notified: the condition variable may be gone.
    lock.mutex()->lock();
    return true;
  }
  bool still_here;
  {
    const std::lock_guard hold(lock_);
    still_here = me.linked();
    if (still_here) {
      me.unlink();
      count_.store(count_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }
  }
  // (cv.1) release: the last that it does here; pairs with (wt.6).
  if (!still_here) leaving_.fetch_sub(1, std::memory_order_release);
  lock.mutex()->lock();
  if (winner == detail::case_cancelled) detail::throw_cancelled();
  return false;
}

void condition_variable::notify_one() noexcept {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  detail::agent* who = nullptr;
  {
    const std::lock_guard hold(lock_);
    while (detail::waiter* w = waiters_.pop_front()) {
      count_.store(count_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
      detail::agent* candidate = w->who;
      if (w->try_claim()) {
        who = candidate;
        break;
      }
      leaving_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (who != nullptr) detail::ready(*who);
}

void condition_variable::notify_all() noexcept {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  detail::ready_list woken;
  {
    const std::lock_guard hold(lock_);
    while (detail::waiter* w = waiters_.pop_front()) {
      if (w->try_claim()) {
        woken.push(*w);
      } else {
        leaving_.fetch_add(1, std::memory_order_relaxed);
      }
    }
    count_.store(0, std::memory_order_relaxed);
  }
  woken.wake_all();
}

}  // namespace heddle
