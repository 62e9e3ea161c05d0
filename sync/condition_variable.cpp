// SPDX-License-Identifier: BSL-1.0
// condition_variable: waiting and notifying.
#include <heddle/base/assert.hpp>
#include <heddle/sched/at_end.hpp>
#include <heddle/sync/condition_variable.hpp>

#include <memory>
#include <utility>

namespace heddle {

condition_variable::~condition_variable() { waiters_.expect_empty("condition_variable", this); }

void condition_variable::wait(std::unique_lock<mutex>& lock) {
  (void)wait_until_ns(lock, detail::no_deadline);
}

bool condition_variable::wait_until_ns(std::unique_lock<mutex>& lock, std::int64_t deadline_ns) {
  HEDDLE_DCHECK(lock.owns_lock(), "condition_variable %p: the lock handed to wait is not locked",
                static_cast<void*>(this));
  detail::waiting wait(detail::cancellation_point(), true, {"at condition_variable", this});
  struct parties {
    condition_variable* condition;
    mutex* held;
  } both{this, lock.mutex()};
  const detail::commit release_both{[](void* p) noexcept {
                                      const parties it = *static_cast<parties*>(p);
                                      it.condition->waiters_.lock.unlock();
                                      it.held->release();
                                    },
                                    &both};
  waiters_.lock.lock();
#if defined(HEDDLE_ASSERTIONS)
  HEDDLE_CHECK(waiters_.empty_locked() || used_with_ == both.held,
               "condition_variable %p: a wait with mutex %p, while others wait with mutex %p",
               static_cast<void*>(this), static_cast<void*>(both.held),
               static_cast<const void*>(used_with_));
  used_with_ = both.held;
#endif
  waited_on_.store(true, std::memory_order_relaxed);
  const detail::case_index winner = waiters_.sleep(wait, release_both, {.deadline_ns = deadline_ns},
                                                   [this] { note_waiters_locked(); });
  // Notified: the condition variable may be gone.
  lock.mutex()->lock();
  if (winner == detail::case_cancelled) detail::throw_cancelled();
  return winner == 0;
}

void condition_variable::notify_one() noexcept {
  if (!waited_on_.load(std::memory_order_relaxed)) return;
  detail::waiter* first;
  {
    const std::lock_guard hold(waiters_.lock);
    first = waiters_.claim_first_locked();
    note_waiters_locked();
  }
  if (first != nullptr) detail::ready(*first->who);
}

void condition_variable::notify_all() noexcept {
  if (!waited_on_.load(std::memory_order_relaxed)) return;
  detail::ready_list woken;
  {
    const std::lock_guard hold(waiters_.lock);
    waiters_.claim_all_locked(woken);
    note_waiters_locked();
  }
  woken.wake_all();
}

void condition_variable::note_waiters_locked() noexcept {
  waited_on_.store(!waiters_.empty_locked(), std::memory_order_relaxed);
}

void notify_all_at_thread_exit(condition_variable& c, std::unique_lock<mutex> lock) {
  HEDDLE_DCHECK(lock.owns_lock(),
                "condition_variable %p: the lock handed to notify_all_at_thread_exit is not locked",
                static_cast<void*>(&c));
  struct farewell : detail::at_end_node {
    farewell(condition_variable& c, std::unique_lock<mutex>&& l) noexcept
        : at_end_node([](at_end_node& node) noexcept {
            const std::unique_ptr<farewell> self(static_cast<farewell*>(&node));
            self->condition.notify_all();
          }),
          condition(c),
          lock(std::move(l)) {}
    condition_variable& condition;
    std::unique_lock<mutex> lock;
  };
  detail::reserve_at_end();
  detail::add_at_end(*new farewell(c, std::move(lock)));
}

}  // namespace heddle
