// SPDX-License-Identifier: BSL-1.0
// shared_mutex: waiting, and handing over.
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/shared_mutex.hpp>

#include <mutex>

namespace heddle {

namespace detail {

const char to_lock_shared_mutex[] = "to lock shared_mutex";

/// Who waits for a shared_mutex; on its stack.
struct shared_waiter : waiter {
  shared_waiter(const waiting& wait, std::uint64_t what) noexcept
      : waiter(wait.who(), wait.claim()), share(what) {}
  const std::uint64_t share;  // what it adds to the state word
  turn came = 0;              // guarded by the mutex's lock_, as all below
  bool owns = false;          // the mutex was handed over
};

}  // namespace detail

// With lock_ held. Links `w` in its turn, and returns true; or gets its share, and returns false.
bool shared_mutex::enqueue_locked(detail::shared_waiter& w, detail::turn* mine) noexcept {
  std::uint64_t now = state_.load(std::memory_order_relaxed);
  for (;;) {
    // While the process exits, who waits may stand still: a reader waits for owners only.
    const bool passes = w.share == exclusive ? now == 0
                                             : (now & exclusive) == 0 &&
                                                   ((now & queued) == 0 || detail::process_exits());
    // (sm.6) acquire: as (sm.1); pairs with (sm.3), (sm.4), (sm.5), (sm.7).
    if (state_.compare_exchange_weak(now, passes ? now + w.share : now | queued,
                                     std::memory_order_acquire, std::memory_order_relaxed)) {
      if (!passes) detail::enqueue_in_turn(queue_, w, turns_, mine);
      return !passes;
    }
  }
}

void shared_mutex::lock_slow(std::uint64_t share) noexcept { (void)lock_slow_within(share, {}); }

bool shared_mutex::lock_slow_within(std::uint64_t share,
                                    const detail::wait_limits& limits) noexcept {
  owner_.expect_not_caller(this);
  if (limits.deadline_ns != detail::no_deadline && limits.deadline_ns <= detail::now_ns()) {
    return false;
  }
  for (int i = 0; i < detail::spins_for_a_lock; ++i) {
    if (share == exclusive ? take() : take_shared()) return true;
    if ((state_.load(std::memory_order_relaxed) & queued) != 0) break;
    detail::cpu_relax();
  }
  for (;;) {
    detail::waiting wait(
        false, {share == exclusive ? detail::to_lock_shared_mutex : "to lock_shared shared_mutex",
                this, owner_.word()});
    detail::shared_waiter w(wait, share);
    lock_.lock();
    if (!enqueue_locked(w, limits.mine)) {
      lock_.unlock();
      return true;
    }
    if (wait.sleep(detail::unlocking(lock_), limits.deadline_ns, limits.token) != 0) {
      {
        const std::lock_guard hold(lock_);
        if (w.linked()) w.unlink();
      }
      if (limits.mine == nullptr) make_way();
      return false;
    }
    if (w.owns) return true;
  }
}

void shared_mutex::unlock_slow(std::uint64_t share) noexcept {
  detail::ready_list next;
  for (;;) {
    std::uint64_t now = state_.load(std::memory_order_relaxed);
    // Others share it on, or nobody waits: not under lock_, since whoever gets it may destroy it.
    while (now != (share | queued)) {
      // (sm.5) release: as (sm.3); pairs with (sm.1), (sm.2), (sm.6), (sm.7).
      if (state_.compare_exchange_weak(now, now - share, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return;
      }
    }
    const std::lock_guard hold(lock_);
    if (state_.load(std::memory_order_relaxed) != now) continue;  // all who waited gave up
    hand_over_locked(share, next);
    break;
  }
  next.wake_all();
}

// With lock_ held, and queued set. Takes `share` from the owners, and lets in who is next.
void shared_mutex::hand_over_locked(std::uint64_t share, detail::ready_list& next) noexcept {
  const std::uint64_t staying = (state_.load(std::memory_order_relaxed) & ~queued) - share;
  std::uint64_t coming = 0;
  // While the process exits, who waits may stand still: all try again, and it stays free for who
  // goes on.
  const bool hand_over = !detail::process_exits();
  while (detail::shared_waiter* w = queue_.front()) {
    const std::uint64_t owners = staying + coming;
    if (hand_over && owners != 0 && ((owners | w->share) & exclusive) != 0) break;
    w->unlink();
    if (!w->try_claim()) continue;  // its limits have claimed it, and it goes by itself
    w->owns = hand_over;
    if (hand_over) coming += w->share;
    next.push(*w);
  }
  // (sm.7) acq_rel: sees what the readers did who left before, and passes it on with what this
  // owner did; pairs with (sm.1), (sm.2), (sm.4), (sm.5), (sm.6).
  state_.fetch_add(coming - share - (queue_.empty() ? queued : 0), std::memory_order_acq_rel);
}

// For one who has given up: those behind a writer go on, if readers own it.
void shared_mutex::make_way() noexcept {
  detail::ready_list next;
  {
    const std::lock_guard hold(lock_);
    if ((state_.load(std::memory_order_relaxed) & queued) != 0) hand_over_locked(0, next);
  }
  next.wake_all();
}

}  // namespace heddle
