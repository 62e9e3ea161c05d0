// SPDX-License-Identifier: BSL-1.0
// channel_core: waiting at a channel, and closing it.
#include <heddle/sched/cancel.hpp>
#include <heddle/sync/channel_core.hpp>

#include <mutex>

namespace heddle::detail {

const char to_receive_from_channel[] = "to receive from channel";
const char to_send_to_channel[] = "to send to channel";

channel_waiter* channel_core::claim_from(line& at) noexcept {
  channel_waiter* w;
  do {
    w = at.list.pop_front();
    // Else somebody else ended its wait; it goes by itself.
  } while (w != nullptr && !w->try_claim());
  has_left(at);
  return w;
}

void channel_core::withdraw(line& at, channel_waiter& w, sticky_lock& guard) noexcept {
  const std::lock_guard hold(guard);
  if (w.linked()) w.unlink();
  has_left(at);
}

// `guard`, which guards the list, and `other` are held; both are open afterwards. `other` may be
// opened as soon as the waiter is linked: who finds it needs `guard`.
[[gnu::always_inline]] inline wait_end channel_core::wait(agent& self, wait_reason why, line& at,
                                                          sticky_lock& guard, sticky_lock* other,
                                                          void* value, std::int64_t deadline_ns,
                                                          turn* mine) {
  waiting wait(self, true, why);
  channel_waiter me(self, wait.claim(), value);
  enqueue(at, me, mine);
  if (other != nullptr) other->unlock();
  const case_index winner = wait.sleep(unlocking(guard), deadline_ns);
  if (winner == 0) return me.closed ? wait_end::closed : wait_end::done;
  withdraw(at, me, guard);
  if (winner == case_cancelled) throw_cancelled();
  return wait_end::timeout;
}

wait_end channel_core::wait_to_send(agent& self, void* value, std::int64_t deadline_ns,
                                    turn* mine) {
  return wait(self, {to_send_to_channel, this}, out_.senders, buffered() ? out_.lock : in_.lock,
              buffered() ? &in_.lock : nullptr, value, deadline_ns, mine);
}

wait_end channel_core::wait_to_receive(agent& self, void* value, std::int64_t deadline_ns,
                                       turn* mine) {
  return wait(self, {to_receive_from_channel, this}, in_.receivers, in_.lock,
              buffered() ? &out_.lock : nullptr, value, deadline_ns, mine);
}

bool channel_core::close() noexcept {
  ready_list woken;
  {
    lock_out(ends::both);
    const bool first = !closed_locked();
    closed_.store(true, std::memory_order_relaxed);
    for (line* at : {&in_.receivers, &out_.senders}) {
      while (channel_waiter* w = claim_from(*at)) {
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
  waiting wait(true, {"at a nil channel, which is never ready"});
  const commit nothing{[](void*) noexcept {}, nullptr};
  if (wait.sleep(nothing, deadline_ns) == case_cancelled) throw_cancelled();
}

}  // namespace heddle::detail
