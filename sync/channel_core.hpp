// SPDX-License-Identifier: BSL-1.0
// channel_core: a channel without its values: the waiters, the ring's indices, closing.
//   Moving values is the template's (channel.hpp); it does so under lock_ in the ring only, and
//   from hand to hand when lock_ is open, while the other party sleeps.
//
//   I1  a sender waits only while the ring is full; a receiver only while it is empty.
//   I2  nobody waits once closed_ is set.
//   I3  values leave in the order in which they, or their waiting senders, came.
//   Any fiber or thread may call. Lock order: lock_, then nothing.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/wait.hpp>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// When a party came to wait: it keeps its turn over the slices of a wait by a foreign clock.
using turn = std::uint64_t;

/// One who waits at a channel; on its stack.
struct channel_waiter : waiter {
  channel_waiter(agent& a, ticket t, void* v, case_index i = 0) noexcept
      : waiter(a, t, i), value(v) {}
  void* value;          // a sender's source, a receiver's destination
  turn came = 0;        // later ones have higher numbers
  bool closed = false;  // set by close(), before it is made ready
};

/// How a wait at a channel ended.
enum class wait_end : std::uint8_t { done, closed, timeout };

class channel_core {
 public:
  explicit channel_core(std::size_t capacity) noexcept : capacity_(capacity) {}

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }

  // Locked.
  bool closed_locked() const noexcept { return closed_.load(std::memory_order_relaxed); }
  bool full_locked() const noexcept { return size() == capacity_; }
  /// The first waiting party that this caller could claim, taken off the list; or null.
  channel_waiter* claim_receiver_locked() noexcept {
    return receivers_.empty() ? nullptr : claim_from(receivers_);
  }
  channel_waiter* claim_sender_locked() noexcept {
    return senders_.empty() ? nullptr : claim_from(senders_);
  }
  std::size_t push_index_locked() noexcept {
    const std::size_t at = tail_;
    tail_ = at + 1 == capacity_ ? 0 : at + 1;
    count_.store(size() + 1, std::memory_order_relaxed);
    return at;
  }
  std::size_t pop_index_locked() noexcept {
    const std::size_t at = head_;
    head_ = at + 1 == capacity_ ? 0 : at + 1;
    count_.store(size() - 1, std::memory_order_relaxed);
    return at;
  }
  /// Waits at the channel with lock_ held, which is open afterwards. `value` as in channel_waiter;
  /// `mine`, where a wait is made of slices, carries the turn from one to the next. Throws
  /// cancelled, without effect.
  wait_end wait_to_send(void* value, std::int64_t deadline_ns, turn* mine) {
    return wait(senders_, value, deadline_ns, mine);
  }
  wait_end wait_to_receive(void* value, std::int64_t deadline_ns, turn* mine) {
    return wait(receivers_, value, deadline_ns, mine);
  }

  bool close() noexcept;
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  std::size_t size() const noexcept { return count_.load(std::memory_order_relaxed); }
  std::size_t capacity() const noexcept { return capacity_; }

  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  /// True for the last one.
  bool drop_reference() noexcept {
    // (ch.1) acq_rel: what each holder did goes before the end of the channel; pairs with itself,
    // (ch.1).
    return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  /// Waits for ever, or until cancelled or `deadline_ns`: what a nil channel does.
  static void wait_at_nothing(std::int64_t deadline_ns);

 private:
  static channel_waiter* claim_from(intrusive_list<channel_waiter>& list) noexcept;
  wait_end wait(intrusive_list<channel_waiter>& list, void* value, std::int64_t deadline_ns,
                turn* mine);
  void enqueue_locked(intrusive_list<channel_waiter>& list, channel_waiter& w, turn* mine) noexcept;

  spin_lock lock_;
  atomic<bool> closed_{false};  // written under lock_
  atomic<std::uint32_t> references_{1};
  const std::size_t capacity_;
  std::size_t head_ = 0;                      // guarded by lock_
  std::size_t tail_ = 0;                      // guarded by lock_
  atomic<std::size_t> count_{0};              // written under lock_
  turn turns_ = 0;                            // guarded by lock_: the last one given out
  intrusive_list<channel_waiter> receivers_;  // guarded by lock_, as below: in order of `came`
  intrusive_list<channel_waiter> senders_;    // guarded by lock_
};

}  // namespace heddle::detail
