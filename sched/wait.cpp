// SPDX-License-Identifier: BSL-1.0
// wait: sleeping and being made ready, for fibers and for OS threads.
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>

#include <mutex>

namespace heddle::detail {

namespace {

/// For who looks at one that goes to sleep.
inline void note_sleep(fiber_record& self, worker& w, wait_note& note, bool is_tied) noexcept {
  note.since_ns = w.rough_now_ns();
  self.note_wait(&note, is_tied);
  w.count_park(is_tied);
}

}  // namespace

constinit const owner_word no_owner{nullptr};
constinit const owner_word fiber_itself{nullptr};
constinit const owner_word blocking_call{nullptr};

// Out of line, for the reason that base/thread_word.hpp gives.
[[gnu::noinline]] agent& this_thread_agent() noexcept {
  // thread_local: a plain thread waits as itself, one wait at a time. Wakers touch only its address
  // after its end.
  thread_local thread_agent self;
  asm volatile("");
  return self;
}

bool may_spin() noexcept {
  const worker* w = current_worker();
  return w == nullptr || (w->rt.worker_count() > 1 && w->queue.empty());
}

random_source random_numbers() noexcept {
  worker* w = current_worker();
  atomic<random_source>& choices =
      w != nullptr ? w->choices : static_cast<thread_agent&>(this_thread_agent()).choices;
  random_source from = choices.load(std::memory_order_relaxed);
  const std::uint64_t high = from.next();
  const std::uint64_t seed = high << 32 | from.next();
  choices.store(from, std::memory_order_relaxed);
  return random_source(seed);
}

void await_leavers(const atomic<std::uint32_t>& leaving) noexcept {
  // (wt.6) acquire: they touch the object no more; pairs with (wl.1), (cg.1), (ca.1).
  while (leaving.load(std::memory_order_acquire) != 0 && !process_exits()) this_fiber::yield();
}

std::uint8_t cancel_mark(agent& self) noexcept {
  const bool shielded = self.scope != nullptr && self.scope->shielded;
  return shielded ? 0 : self.cancel.load(std::memory_order_relaxed);
}

void cancellation_point_of(agent& self) {
  const cancel_scope* scope = self.scope;
  if (cancel_mark(self) != 0 || (scope != nullptr && scope->deadline_ns <= now_ns()))
    throw_cancelled();
}

void ready(agent& who, place where) noexcept {
  if (who.is_fiber) {
    auto& r = static_cast<fiber_record&>(who);
    r.end_wait();
    r.home->schedule(&r, where);
    return;
  }
  auto& thread = static_cast<thread_agent&>(who);
  // (wt.2) release: orders what the waker did before; pairs with (wt.5), (ta.1), (ta.2). The thread
  // may be gone after the store; the wake needs only the address.
  thread.notified.store(1, std::memory_order_release);
  futex_wake(&thread.notified);
}

void ready_list::wake_all() noexcept {
  // The first of several goes on first, the others behind what waits already.
  const bool several = !claimed_.empty() && claimed_.front() != claimed_.back();
  while (waiter* w = claimed_.pop_front()) {
    ready(*w->who, several ? place::back : place::next);
  }
}

void sleep_unclaimed(agent& self, wait_note& note, commit publish) noexcept {
  if (self.is_fiber) {
    worker* w = current_worker();
    auto& fiber = static_cast<fiber_record&>(self);
    note_sleep(fiber, *w, note, note.why.owner != nullptr);
    w->park(publish);
    return;
  }
  auto& thread = static_cast<thread_agent&>(self);
  note.since_ns = real_now_ns();
  thread.notified.store(0, std::memory_order_relaxed);
  publish.run(publish.argument);
  sleep_until_notified(thread, note, false, no_deadline);
}

void stop_case::claim::operator()() const noexcept {
#if defined(HEDDLE_TSAN)
  worker* w = current_worker();
  self->stopped_by_.store(w != nullptr ? w->current() : nullptr, std::memory_order_relaxed);
#endif
  agent& who = self->wait_->self_;
  if (who.claim.try_claim(self->wait_->ticket_, self->index_)) ready(who);
}

// Runs when the waiter is off its stack (wait.hpp, step 3). From open() on, anybody who holds the
// ticket may make it ready; it does not leave sleep(), and this frame lives, until announced_.
void waiting::announce(void* self) noexcept {
  auto* wait = static_cast<waiting*>(self);
  agent& who = wait->self_;
  bool claimed = false;
  who.claim.open(wait->ticket_);
  if (who.is_fiber && wait->deadline_ns_ != no_deadline) {
    timer_node& timer = wait->timer_.emplace();
    timer.who = &who;
    timer.claim = wait->ticket_;
    timer.deadline_ns = wait->deadline_ns_;
    current_worker()->timers.add(timer);
  }
  if (wait->stops_ != nullptr) [[unlikely]]
    wait->arm_stops();
  wait->publish_.run(wait->publish_.argument);
  if (who.is_fiber) {
    // A canceller sets the flag, passes a heavy fence, and looks for an open word: one of the two
    // sees the other.
    light_fence();
    if (who.cancel.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      const ticket now = who.claim.cancellable_now();
      claimed = now && who.claim.try_claim(now, case_cancelled);
    }
  }
  // (wt.3) release: the timer and the callback stand; pairs with (wt.4).
  wait->announced_.store(true, std::memory_order_release);
  if (claimed) ready(who);
}

[[gnu::noinline]] void waiting::arm_stops() noexcept {
  for (stop_case* s = stops_; s != nullptr; s = s->next) {
    s->wait_ = this;
    s->callback_.emplace(*s->token_, stop_case::claim{s});
  }
}

[[gnu::noinline]] void waiting::disarm_stops() noexcept {
  for (stop_case* s = stops_; s != nullptr; s = s->next) {
    // On the thread that ran the callback its destructor relies on that thread's order, which two
    // fibers on it do not have to ThreadSanitizer: this one comes after the other left.
    const tsan_unseen_reads of_libstdcxx;
    s->callback_.reset();
#if defined(HEDDLE_TSAN)
    if (context* by = s->stopped_by_.load(std::memory_order_relaxed)) tsan_acquire(by);
#endif
  }
}

case_index waiting::sleep(commit publish, std::int64_t deadline_ns,
                          const std::stop_token* token) noexcept {
  if (token == nullptr || !token->stop_possible()) return sleep(publish, deadline_ns);
  stop_case only(*token);
  return sleep(publish, deadline_ns, &only);
}

case_index waiting::sleep(commit publish, std::int64_t deadline_ns, stop_case* stops) noexcept {
  const bool scope_is_first = scope_ != nullptr && scope_->deadline_ns < deadline_ns;
  publish_ = publish;
  deadline_ns_ = scope_is_first ? scope_->deadline_ns : deadline_ns;
  stops_ = stops;
  const case_index winner = self_.is_fiber ? sleep_as_fiber() : sleep_as_thread();
  if (winner == case_timeout && scope_is_first) return case_cancelled;
  // To cancel a fiber stops its token, first: that is no mere stop.
  if (winner == case_stopped && cancellable_ && cancel_mark(self_) != 0) return case_cancelled;
  return winner;
}

inline case_index waiting::sleep_as_fiber() noexcept {
  worker* w = current_worker();
  auto& fiber = static_cast<fiber_record&>(self_);
  note_sleep(fiber, *w, *this, why.owner != nullptr && !is_limited());
  w->park({&waiting::announce, this});

  // (wt.4) acquire: nobody touches this frame any more but through the timer's and the callback's
  // own locks; pairs with (wt.3).
  for (backoff wait; !announced_.load(std::memory_order_acquire);) wait.pause();
  const case_index winner = self_.claim.winner();
  if (timer_ && winner != case_timeout) timer_->store->cancel(*timer_);
  if (stops_ != nullptr) [[unlikely]]
    disarm_stops();
  return winner;
}

[[gnu::cold, gnu::noinline]] case_index waiting::sleep_as_thread() noexcept {
  auto& thread = static_cast<thread_agent&>(self_);
  since_ns = real_now_ns();
  thread.notified.store(0, std::memory_order_relaxed);
  announce(this);
  const bool has_stops = stops_ != nullptr;
  sleep_until_notified(thread, *this, has_stops, deadline_ns_);
  // (wt.5) acquire: as (ta.1); pairs with (wt.2).
  if (thread.notified.load(std::memory_order_acquire) == 0) {
    // Time is up; but somebody may have claimed the wait, and will notify.
    if (!thread.claim.try_claim(ticket_, case_timeout))
      sleep_until_notified(thread, *this, true, no_deadline);
  }
  disarm_stops();
  return self_.claim.winner();
}

}  // namespace heddle::detail
