// SPDX-License-Identifier: BSL-1.0
// wait: the one mechanism behind every blocking operation. A wait has one or more cases, of which
//   exactly one wins; the one who waits is a fiber or an OS thread, and nobody above need know
//   which.
//
//   The one who waits                              whoever completes a case, its object's lock held
//     1 locks the object, looks: not ready           a finds the waiter in the object's list
//     2 links a waiter that holds claim()            b takes it out of the list
//     3 sleep(): off its stack, the claim word is    c try_claim(): false: somebody was first, next
//       opened, timer and stop tokens are armed,     d opens the lock; before or after that hands
//       then `publish` opens the object's lock         the result to the waiter, who still sleeps
//     4 awake: winner(). If it was not the object,   e ready(), once, touching the object no more
//       locks it and unlinks its waiter
//
//   A timer, a stop token and a canceller do c and e. A wait that nothing but its object can end
//   (locking a mutex) needs no claim: b is the claim; it sleeps by sleep_unclaimed().
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/base/futex.hpp>
#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/random.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/fiber/agent.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/timer.hpp>
#include <heddle/sched/worker.hpp>

#include <cstdint>
#include <optional>
#include <stop_token>

namespace heddle::detail {

/// Makes an agent whose wait was claimed (or whose unclaimed wait was unlinked) go on. Once for
/// each wait. Any thread or fiber; no internal lock may be held. What the caller did before happens
/// before the return of the wait.
void ready(agent& who, place where = place::next) noexcept;

/// The calling OS thread, as one who waits (sched/thread_agent.hpp).
agent& this_thread_agent() noexcept;

/// The calling fiber or thread; `w` is current_worker().
inline agent& agent_on(worker* w) noexcept {
  fiber_record* const fiber = w == nullptr ? nullptr : w->current();
  if (fiber != nullptr) [[likely]]
    return *fiber;
  return this_thread_agent();
}
inline agent& this_agent() noexcept { return agent_on(current_worker()); }

/// A number, never 0, that is another one once the calling fiber has switched. Always the same in a
/// plain thread.
inline std::uint64_t switch_stamp() noexcept {
  const worker* const w = current_worker();
  // Two workers' turns may be the same.
  return w == nullptr
             ? 1
             : reinterpret_cast<std::uintptr_t>(w) << 16 ^ w->turns.load(std::memory_order_relaxed);
}

/// Whether the caller would leave its processor idle if it waited now, while others may run.
bool may_spin() noexcept;

/// A source of random numbers for one choice, seeded from that of the calling worker or thread.
random_source random_numbers() noexcept;

/// What is rare of throw_if_cancelled(): there is something to look at.
void cancellation_point_of(agent& self);

/// Throws heddle::cancelled if `self`, who calls, has been cancelled, or a deadline around the call
/// has passed.
inline void throw_if_cancelled(agent& self) {
  if (self.scope != nullptr || self.cancel.load(std::memory_order_relaxed) != 0) [[unlikely]]
    cancellation_point_of(self);
}

/// By who calls what may make it wait: a fiber that does so often talks (sched/steal.cpp).
inline void count_call(worker* w) noexcept {
  if (w != nullptr) w->count_call();
}

/// What every cancellation point that may wait does on entry. Returns who calls. \throws cancelled
inline agent& cancellation_point() {
  worker* const w = current_worker();
  count_call(w);
  agent& self = agent_on(w);
  throw_if_cancelled(self);
  return self;
}

/// Whether `self`, who calls, has been cancelled and no shield holds that off: 1 + its
/// cancel_reason; else 0.
std::uint8_t cancel_mark(agent& self) noexcept;

/// Waits until `leaving` is zero: until those who were taken off a list without being woken, since
/// somebody else had ended their waits, have passed by. For destructors: whoever was released may
/// destroy the object. Ends also when the process exits, where fibers stand still.
void await_leavers(const atomic<std::uint32_t>& leaving) noexcept;

/// Opens a lock as the last step of a wait's publication.
template <class Lock>
commit unlocking(Lock& lock) noexcept {
  return {[](void* l) noexcept { static_cast<Lock*>(l)->unlock(); }, &lock};
}

/// Whose a thing is: an address in the owner's stack, or that of its agent; null: not known, or
/// nobody's. The owner writes it when it has the thing, and takes it back before it lets go.
using owner_word = atomic<const void*>;
/// Of what is nobody's, but ends the wait by the end of those who work for it: the group that they
/// are in, their future; and of a fiber_record whose end is waited for. Always null.
extern constinit const owner_word no_owner;
extern constinit const owner_word fiber_itself;
/// Of a blocking() call, whose wait is claimed when it begins. Always null.
extern constinit const owner_word blocking_call;

/// What a wait is for.
struct wait_reason {
  const char* what;  // as in "waits to lock mutex 0x12345678": before the address. A literal
  const void* object = nullptr;
  // Set, where without a limit in time, and without a stop token, only the object's owner, or all
  // who work for it, could end the wait; cancelling aside.
  const owner_word* owner = nullptr;
};
/// What lies on the stack of one who waits, for who looks at it.
struct wait_note {
  explicit wait_note(wait_reason reason) noexcept : why(reason) {}
  wait_reason why;
  std::int64_t since_ns;  // real time, known to some 10 ms; set when it goes to sleep
};

/// Puts the caller to sleep until ready(); `publish` runs when it is off its stack. `note` lies on
/// that stack.
void sleep_unclaimed(agent& self, wait_note& note, commit publish) noexcept;

class waiting;

/// A stop token as a case of a wait; one of a list, on the stack of the one who waits.
class stop_case {
 public:
  explicit stop_case(const std::stop_token& token, case_index index = case_stopped) noexcept
      : token_(&token), index_(index) {}
  stop_case* next = nullptr;

 private:
  friend class waiting;
  struct claim {
    const stop_case* self;
    void operator()() const noexcept;
  };

  const std::stop_token* token_;
  case_index index_;
  waiting* wait_ = nullptr;
#if defined(HEDDLE_TSAN)
  mutable atomic<context*> stopped_by_{nullptr};  // the fiber that ran the callback
#endif
  std::optional<std::stop_callback<claim>> callback_;
};

/// One wait of the calling fiber or thread. Lives on its stack, like the waiters that refer to it.
class waiting : wait_note {
 public:
  /// What `note` is of: of those held where they are, and whose reason is of a kind that waits so.
  static const waiting& of(const wait_note& note) noexcept {
    return static_cast<const waiting&>(note);
  }
  /// Whether time, or a stop token, may end it; of one that sleeps.
  bool is_limited() const noexcept { return deadline_ns_ != no_deadline || stops_ != nullptr; }

  /// With `cancellable`, a cancellation of the fiber or a deadline_scope may win.
  waiting(bool cancellable, wait_reason reason) noexcept
      : waiting(this_agent(), cancellable, reason) {}
  /// `self` is who calls.
  waiting(agent& self, bool cancellable, wait_reason reason) noexcept
      : wait_note(reason),
        self_(self),
        scope_(cancellable ? self_.scope : nullptr),
        ticket_(self_.claim.next(cancellable && self_.is_fiber &&
                                 (scope_ == nullptr || !scope_->shielded))),
        cancellable_(cancellable) {
    HEDDLE_DCHECK(&self == &this_agent(), "one waits in the name of another");
  }
  waiting(const waiting&) = delete;
  waiting& operator=(const waiting&) = delete;

  agent& who() const noexcept { return self_; }
  ticket claim() const noexcept { return ticket_; }

  /// Sleeps; returns who won: the index that a completer, or one of `stops`, claimed with,
  /// case_timeout or case_cancelled.
  case_index sleep(commit publish, std::int64_t deadline_ns = no_deadline,
                   stop_case* stops = nullptr) noexcept;
  /// With one token or none, which wins as case_stopped.
  case_index sleep(commit publish, std::int64_t deadline_ns, const std::stop_token* token) noexcept;

 private:
  friend class stop_case;

  static void announce(void* self) noexcept;
  void arm_stops() noexcept;
  void disarm_stops() noexcept;
  case_index sleep_as_fiber() noexcept;
  case_index sleep_as_thread() noexcept;

  agent& self_;
  const cancel_scope* const scope_;  // null: none counts
  const ticket ticket_;
  const bool cancellable_;
  // Not set before it sleeps: each store counts.
  commit publish_;
  std::int64_t deadline_ns_;
  stop_case* stops_;
  std::optional<timer_node> timer_;
  atomic<bool> announced_{false};  // the one who ran announce() is through with this frame
};

/// A case of a wait: links its waiter into the list of what is waited for.
struct waiter : list_hook {
  waiter(agent& a, ticket t, case_index i = 0) noexcept : who(&a), claim(t), index(i) {}
  bool try_claim() noexcept { return who->claim.try_claim(claim, index); }

  agent* who;
  ticket claim;
  case_index index;
};

/// Agents that were claimed under a lock, to be made ready once it is open: "collect under the
/// lock, wake after it". Linked through the waiters, whose owners sleep until they are made ready.
class ready_list {
 public:
  void push(waiter& w) noexcept { claimed_.push_back(w); }
  bool empty() const noexcept { return claimed_.empty(); }
  void wake_all() noexcept;

 private:
  intrusive_list<waiter> claimed_;
};

}  // namespace heddle::detail
