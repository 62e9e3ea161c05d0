// SPDX-License-Identifier: BSL-1.0
// channel_core: waiting at a channel, and closing it.
#include <heddle/sched/cancel.hpp>
#include <heddle/sync/channel_core.hpp>

#include <mutex>

namespace heddle::detail {

channel_waiter* channel_core::claim_from(intrusive_list<channel_waiter>& list) noexcept {
  while (channel_waiter* w = list.pop_front()) {
    if (w->try_claim()) return w;
    // Somebody else ended its wait; it goes by itself.
  }
  return nullptr;
}

// A party that comes again between two slices of its wait goes to where it was: mostly to the
// front.
void channel_core::enqueue_locked(intrusive_list<channel_waiter>& list, channel_waiter& w,
                                  turn* mine) noexcept {
  if (mine == nullptr || *mine == 0) {
    w.came = ++turns_;
    if (mine != nullptr) *mine = w.came;
    list.push_back(w);
    return;
  }
  w.came = *mine;
  intrusive_list<channel_waiter> earlier;
  while (list.front() != nullptr && list.front()->came < w.came) {
    earlier.push_back(*list.pop_front());
  }
  earlier.push_back(w);
  earlier.splice_back(list);
  list.splice_back(earlier);
}

wait_end channel_core::wait(intrusive_list<channel_waiter>& list, void* value,
                            std::int64_t deadline_ns, turn* mine) {
  waiting wait(true);
  channel_waiter me(wait.who(), wait.claim(), value);
  enqueue_locked(list, me, mine);
  const case_index winner = wait.sleep(unlocking(lock_), deadline_ns);
  if (winner == 0) return me.closed ? wait_end::closed : wait_end::done;
  {
    const std::lock_guard hold(lock_);
    if (me.linked()) me.unlink();
  }
  if (winner == case_cancelled) throw_cancelled();
  return wait_end::timeout;
}

bool channel_core::close() noexcept {
  ready_list woken;
  {
    const std::lock_guard hold(lock_);
    if (closed_locked()) return false;
    closed_.store(true, std::memory_order_relaxed);
    for (auto* list : {&receivers_, &senders_}) {
      while (channel_waiter* w = claim_from(*list)) {
        w->closed = true;
        woken.push(*w);
      }
    }
  }
  woken.wake_all();
  return true;
}

void channel_core::wait_at_nothing(std::int64_t deadline_ns) {
  waiting wait(true);
  const commit nothing{[](void*) noexcept {}, nullptr};
  if (wait.sleep(nothing, deadline_ns) == case_cancelled) throw_cancelled();
}

}  // namespace heddle::detail
