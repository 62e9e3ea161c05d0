// SPDX-License-Identifier: BSL-1.0
// channel_core: a channel without its values: the waiters, the ring's indices, closing.
//   Moving values is the template's (channel.hpp); it does so under a lock in the ring only, and
//   from hand to hand when the locks are open, while the other party sleeps.
//
//   A buffered channel has two ends, each with a lock and a cache line of its own, so that a sender
//   and a receiver on two processors work side by side: each looks at the other's index only when
//   the ring seems full, or empty. Where a party must wait it takes both locks. An unbuffered
//   channel is nothing but a meeting place: there in_'s lock is the only one.
//
//   in_.lock guards the rest of in_ and the receivers that wait; out_.lock the rest of out_ and the
//   senders that wait (unbuffered: in_.lock both).
//   I1  a sender waits only while the ring is full; a receiver only while it is empty: they are
//       linked with both locks held. While senders wait, a receiver refills with both held.
//   I2  nobody waits once closed_ is set, which takes both.
//   I3  values leave in the order in which they, or their waiting senders, came.
//   I4  opening a lock is the last that an operation touches, and the destructor takes both:
//       whoever is let go on may destroy the channel.
//   Any fiber or thread may call. Lock order: out_.lock, then in_.lock, then nothing.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/sticky_lock.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sync/wait_list.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// One who waits at a channel; on its stack.
struct channel_waiter : waiter {
  channel_waiter(agent& a, ticket t, void* v, case_index i = 0) noexcept
      : waiter(a, t, i), value(v) {}
  void* value;          // a sender's source, a receiver's destination
  turn came = 0;        // later ones have higher numbers
  bool closed = false;  // set by close(), before it is made ready
};

/// What waits at a channel are for (wait_reason::what), told apart by address.
extern const char to_receive_from_channel[];
extern const char to_send_to_channel[];

/// How a wait at a channel ended.
enum class wait_end : std::uint8_t { done, closed, timeout };

/// Which locks a party holds: those of its own end, or those that it needs to wait.
enum class ends : std::uint8_t { own, both };

class channel_core {
 public:
  explicit channel_core(std::size_t capacity) noexcept : capacity_(capacity) {}

  bool buffered() const noexcept { return capacity_ != 0; }

  // Senders.
  void lock_in(ends which) noexcept {
    if (which == ends::both && buffered()) out_.lock.lock();
    in_.lock.lock();
  }
  void unlock_in(ends which) noexcept {
    const bool two = which == ends::both && buffered();
    in_.lock.unlock();
    if (two) out_.lock.unlock();
  }
  /// in_ locked: whether there is room in the ring.
  bool has_room_locked() noexcept {
    const auto tail = in_.tail.load(std::memory_order_relaxed);
    if (tail - in_.head_seen < capacity_) return true;
    // (cc.1) acquire: the slot has been left; pairs with (cc.2).
    in_.head_seen = out_.head.load(std::memory_order_acquire);
    return tail - in_.head_seen < capacity_;
  }
  std::size_t push_index_locked() const noexcept { return in_.slot; }
  /// After the value was put there.
  void pushed_locked() noexcept {
    in_.slot = in_.slot + 1 == capacity_ ? 0 : in_.slot + 1;
    // (cc.3) release: the value is in its slot; pairs with (cc.4).
    in_.tail.store(in_.tail.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  /// in_ locked: the first waiting receiver that this caller could claim, off the list; or null.
  channel_waiter* claim_receiver_locked() noexcept {
    return in_.receivers.list.empty() ? nullptr : claim_from(in_.receivers);
  }

  // Receivers. Those of an unbuffered channel hold in_.lock.
  void lock_out(ends which) noexcept {
    if (buffered()) out_.lock.lock();
    if (which == ends::both || !buffered()) in_.lock.lock();
  }
  void unlock_out(ends which) noexcept {
    const bool two = buffered();
    if (which == ends::both || !two) in_.lock.unlock();
    if (two) out_.lock.unlock();
  }
  /// out_ locked: whether a value is in the ring.
  bool has_value_locked() noexcept {
    const auto head = out_.head.load(std::memory_order_relaxed);
    if (head != out_.tail_seen) return true;
    // (cc.4) acquire: sees the value; pairs with (cc.3).
    out_.tail_seen = in_.tail.load(std::memory_order_acquire);
    return head != out_.tail_seen;
  }
  std::size_t pop_index_locked() const noexcept { return out_.slot; }
  /// After the value was taken from there.
  void popped_locked() noexcept {
    out_.slot = out_.slot + 1 == capacity_ ? 0 : out_.slot + 1;
    // (cc.2) release: the slot has been left; pairs with (cc.1).
    out_.head.store(out_.head.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  bool senders_wait_locked() const noexcept { return !out_.senders.list.empty(); }
  /// The first waiting sender that this caller could claim, off the list; or null. With both locks,
  /// unless unbuffered.
  channel_waiter* claim_sender_locked() noexcept {
    return out_.senders.list.empty() ? nullptr : claim_from(out_.senders);
  }

  /// Any of the locks held.
  bool closed_locked() const noexcept { return closed_.load(std::memory_order_relaxed); }

  /// Makes `self`, who calls, wait with both ends locked, which are open afterwards. `value` as in
  /// channel_waiter; `mine`, where a wait is made of slices, carries the turn from one to the next.
  /// Throws cancelled, without effect.
  wait_end wait_to_send(agent& self, void* value, std::int64_t deadline_ns, turn* mine);
  wait_end wait_to_receive(agent& self, void* value, std::int64_t deadline_ns, turn* mine);

  /// What a select does instead: with both ends locked it puts its waiter into the list, and later,
  /// unless that has won, takes it out again, under the lock that guards the list.
  void enqueue_sender_locked(channel_waiter& w, turn* mine) noexcept {
    enqueue(out_.senders, w, mine);
  }
  void enqueue_receiver_locked(channel_waiter& w, turn* mine) noexcept {
    enqueue(in_.receivers, w, mine);
  }
  void withdraw_sender(channel_waiter& w) noexcept {
    withdraw(out_.senders, w, buffered() ? out_.lock : in_.lock);
  }
  void withdraw_receiver(channel_waiter& w) noexcept { withdraw(in_.receivers, w, in_.lock); }
  /// Whether an attempt is worth taking the lock: hints, for those who will look again.
  bool may_send() const noexcept {
    return in_.receivers.any.load(std::memory_order_relaxed) || (buffered() && size() < capacity_);
  }
  bool may_receive() const noexcept {
    return out_.senders.any.load(std::memory_order_relaxed) || (buffered() && size() != 0);
  }

  bool close() noexcept;
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  std::size_t size() const noexcept {
    const auto head = out_.head.load(std::memory_order_relaxed);
    const auto tail = in_.tail.load(std::memory_order_relaxed);
    return tail < head ? 0 : std::min(static_cast<std::size_t>(tail - head), capacity_);
  }
  std::size_t capacity() const noexcept { return capacity_; }

  /// Where the number of its handles is kept: of one that may be gone.
  static const atomic<std::uint32_t>* references_of(const channel_core* core) noexcept {
    return &core->references_;
  }
  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  /// True for the last one.
  bool drop_reference() noexcept {
    // (ch.1) acq_rel: what each holder did goes before the end of the channel; pairs with itself,
    // (ch.1).
    return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  /// For the destructor, both ends locked: with assertions, aborts if somebody waits.
  void expect_unused_locked() noexcept {
    // Whoever stands still when the process exits may wait for it.
    HEDDLE_DCHECK((in_.receivers.list.empty() && out_.senders.list.empty()) || process_exits(),
                  "channel %p is destroyed while it is waited on: its last handle is gone",
                  static_cast<void*>(this));
  }

  /// Waits for ever, or until cancelled or `deadline_ns`: what a nil channel does.
  static void wait_at_nothing(std::int64_t deadline_ns);

 private:
  /// Those who wait at one end; all guarded by its lock.
  struct line {
    intrusive_list<channel_waiter> list;  // in order of `came`
    turn turns = 0;                       // the last one given out
    atomic<bool> any{false};              // for those without the lock: there are some, or it is
                                          // closed, and whoever comes need not wait
  };
  static void enqueue(line& at, channel_waiter& w, turn* mine) noexcept {
    enqueue_in_turn(at.list, w, at.turns, mine);
    at.any.store(true, std::memory_order_relaxed);
  }
  void has_left(line& at) noexcept {
    if (at.list.empty()) at.any.store(closed_locked(), std::memory_order_relaxed);
  }
  channel_waiter* claim_from(line& at) noexcept;
  void withdraw(line& at, channel_waiter& w, sticky_lock& guard) noexcept;
  wait_end wait(agent& self, wait_reason why, line& at, sticky_lock& guard, sticky_lock* other,
                void* value, std::int64_t deadline_ns, turn* mine);

  const std::size_t capacity_;
  atomic<bool> closed_{false};  // written with both locks held
  atomic<std::uint32_t> references_{1};
  struct alignas(cache_line) {
    sticky_lock lock;
    std::size_t slot = 0;           // tail modulo capacity; guarded by lock, as head_seen
    std::uint64_t head_seen = 0;    // not beyond out_.head
    atomic<std::uint64_t> tail{0};  // values ever put; written under lock
    line receivers;                 // guarded by lock
  } in_;
  struct alignas(cache_line) {
    sticky_lock lock;
    std::size_t slot = 0;           // head modulo capacity; guarded by lock, as tail_seen
    std::uint64_t tail_seen = 0;    // not beyond in_.tail
    atomic<std::uint64_t> head{0};  // values ever taken; written under lock
    line senders;                   // guarded by lock; unbuffered: by in_.lock
  } out_;
};

}  // namespace heddle::detail
