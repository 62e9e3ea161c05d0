// SPDX-License-Identifier: BSL-1.0
// wait_list: those who wait for one thing, first come, first served; and how they leave it.
//   Whoever was released touches the thing no more, and may destroy it at once: the destructor
//   takes the lock, since the one who released him may be about to open it, and waits for leaving_.
//   That counts those whose wait somebody else had ended (a timer, a token, a canceller) when a
//   releaser came to them, and who have yet to pass by.
//
//   What ends in _locked needs the lock; what was claimed is made ready when it is open.
//   Lock order: lock, then nothing.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/sticky_lock.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>

#include <cstdint>
#include <mutex>
#include <stop_token>

namespace heddle::detail {

/// How often a taken lock is looked at before its caller queues up. That helps only while the owner
/// runs on another processor, and its critical section is short.
inline constexpr int spins_for_a_lock = 16;

/// When a party came to wait: it keeps its turn over the slices of a wait by a foreign clock.
using turn = std::uint64_t;

/// Puts `w` to the end of `list`; or, where it comes again between two slices of its wait, to where
/// it was: mostly the front. `last` is the last turn given out, `mine` this party's, 0 at first.
template <class Waiter>
void enqueue_in_turn(intrusive_list<Waiter>& list, Waiter& w, turn& last, turn* mine) noexcept {
  if (mine == nullptr || *mine == 0) {
    w.came = ++last;
    if (mine != nullptr) *mine = w.came;
    list.push_back(w);
    return;
  }
  w.came = *mine;
  intrusive_list<Waiter> earlier;
  while (list.front() != nullptr && list.front()->came < w.came) {
    earlier.push_back(*list.pop_front());
  }
  earlier.push_back(w);
  earlier.splice_back(list);
  list.splice_back(earlier);
}

/// How long a wait lasts at most.
struct wait_limits {
  std::int64_t deadline_ns = no_deadline;
  const std::stop_token* token = nullptr;
  turn* mine = nullptr;  // where the wait is one of several slices
};

class wait_list {
 public:
  constexpr wait_list() noexcept = default;
  ~wait_list();
  wait_list(const wait_list&) = delete;
  wait_list& operator=(const wait_list&) = delete;

  sticky_lock lock;  // guards the list, and what else its owner says

  bool empty_locked() const noexcept { return waiters_.empty(); }

  /// Sleeps, as the last of the list; `publish` opens the lock, which is held. Returns who won; 0:
  /// somebody claimed it here. Else it is off the list, and, unless a releaser had come to it
  /// before, `withdrawn_locked()` was called when it was.
  template <class Withdrawn>
  case_index sleep(waiting& wait, commit publish, const wait_limits& limits,
                   Withdrawn withdrawn_locked) noexcept {
    listed me(wait.who(), wait.claim());
    enqueue_in_turn(waiters_, me, turns_, limits.mine);
    const case_index winner = wait.sleep(publish, limits.deadline_ns, limits.token);
    if (winner == 0) return winner;
    {
      const std::lock_guard hold(lock);
      if (me.linked()) {
        me.unlink();
        withdrawn_locked();
        return winner;
      }
    }
    // (wl.1) release: the last that it does here; pairs with (wt.6).
    leaving_.fetch_sub(1, std::memory_order_release);
    return winner;
  }

  /// The first one whose wait this caller could end, off the list; or null.
  waiter* claim_first_locked() noexcept;
  void claim_all_locked(ready_list& into) noexcept;

  /// For destructors: with assertions, aborts if somebody waits for `object`, a `what`.
  void expect_empty([[maybe_unused]] const char* what,
                    [[maybe_unused]] const void* object) noexcept {
#if defined(HEDDLE_ASSERTIONS)
    const std::lock_guard hold(lock);
    // Whoever stands still when the process exits may wait for it.
    HEDDLE_CHECK(empty_locked() || process_exits(), "%s %p is destroyed while it is waited on",
                 what, object);
#endif
  }

 private:
  struct listed : waiter {
    using waiter::waiter;
    turn came = 0;
  };

  intrusive_list<listed> waiters_;    // guarded by lock: in order of `came`
  turn turns_ = 0;                    // guarded by lock: the last one given out
  atomic<std::uint32_t> leaving_{0};  // goes up under lock
};

}  // namespace heddle::detail
