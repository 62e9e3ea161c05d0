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

void channel_core::withdraw(channel_waiter& w, spin_lock& guard) noexcept {
  const std::lock_guard hold(guard);
  if (w.linked()) w.unlink();
}

// `guard`, which guards the list, and `other` are held; both are open afterwards. `other` may be
// opened as soon as the waiter is linked: who finds it needs `guard`.
wait_end channel_core::wait(waiters& list, spin_lock& guard, turn& turns, spin_lock* other,
                            void* value, std::int64_t deadline_ns, turn* mine) {
  waiting wait(true);
  channel_waiter me(wait.who(), wait.claim(), value);
  enqueue_in_turn(list, me, turns, mine);
  if (other != nullptr) other->unlock();
  const case_index winner = wait.sleep(unlocking(guard), deadline_ns);
  if (winner == 0) return me.closed ? wait_end::closed : wait_end::done;
  withdraw(me, guard);
  if (winner == case_cancelled) throw_cancelled();
  return wait_end::timeout;
}

wait_end channel_core::wait_to_send(void* value, std::int64_t deadline_ns, turn* mine) {
  return buffered() ? wait(out_.senders, out_.lock, out_.turns, &in_.lock, value, deadline_ns, mine)
                    : wait(out_.senders, in_.lock, out_.turns, nullptr, value, deadline_ns, mine);
}

wait_end channel_core::wait_to_receive(void* value, std::int64_t deadline_ns, turn* mine) {
  return wait(in_.receivers, in_.lock, in_.turns, buffered() ? &out_.lock : nullptr, value,
              deadline_ns, mine);
}

bool channel_core::close() noexcept {
  ready_list woken;
  {
    lock_out(ends::both);
    const bool first = !closed_locked();
    closed_.store(true, std::memory_order_relaxed);
    for (auto* list : {&in_.receivers, &out_.senders}) {
      while (channel_waiter* w = claim_from(*list)) {
        w->closed = true;
        woken.push(*w);
      }
    }
    unlock_out(ends::both);
    if (!first) return false;
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
