// SPDX-License-Identifier: BSL-1.0
// child_group: starting and ending children, cancelling them, waiting for them.
#include <heddle/sched/idle_bell.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sync/child_group.hpp>

#include <mutex>
#include <new>
#include <optional>

namespace heddle::detail {

namespace {

/// Somebody uses the group while this lives: its destructor waits for them.
class visit {
 public:
  explicit visit(atomic<std::uint32_t>& count) noexcept : count_(count) {
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  // (cg.1) release: the last touch of the group; pairs with (wt.6), (cg.2).
  ~visit() { count_.fetch_sub(1, std::memory_order_release); }
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;

 private:
  atomic<std::uint32_t>& count_;
};

/// What opens when a wait for both is published.
struct two_locks {
  sticky_lock& group;
  idle_bell& bell;

  static void open(void* self) noexcept {
    auto& both = *static_cast<two_locks*>(self);
    both.group.unlock();
    both.bell.unlock_and_call();
  }
};

}  // namespace

child_group::~child_group() {
  if (is_over()) return;
  cancel(cancel_reason::requested);
  if (stands_still_at_exit()) return;
  sleep(false, nullptr);
  await_leavers(inside_);
}

void child_group::start(fiber_record* r, child& place) noexcept {
  place.group_ = this;
  place.record_ = r;
  r->set_works_for(&place.group_, fiber_record::may_cancel_it);
  // Before it is in a list, where it may be cancelled; that it is not queued yet makes no
  // difference.
  r->phase.store(fiber_phase::live, std::memory_order_relaxed);
  bool born_cancelled;
  cancel_reason why;
  {
    const std::lock_guard hold(waiting_.lock);
    ++count_;
    born_cancelled = is_cancelled_;
    why = reason_;
    (born_cancelled ? told_ : live_).push_back(place);
  }
  if (born_cancelled) cancel_fiber(*r, why);
  start_fiber(r);
}

void child_group::end(child& c) noexcept {
  waiting_.lock.lock();
  while (in_hand_ == &c) {
    waiting_.lock.unlock();
    this_fiber::yield();
    waiting_.lock.lock();
  }
  c.unlink();
  count_out_and_unlock();
}

void child_group::count_out_and_unlock() noexcept {
  ready_list released;
  if (--count_ == 0) waiting_.claim_all_locked(released);
  waiting_.lock.unlock();
  released.wake_all();
}

void child_group::fail(std::exception_ptr why, const fiber_record& who) noexcept {
  {
    const std::lock_guard hold(waiting_.lock);
    if (!first_) first_ = std::move(why);
  }
  cancel(cancel_reason::sibling_failed, &who);
}

// Who is done, and cancels the others, is not cancelled itself: what it owns is still to be
// destroyed, by destructors that may wait but must not throw.
bool child_group::cancel(cancel_reason why, const fiber_record* but) noexcept {
  std::stop_source stop{std::nostopstate};
  {
    const std::lock_guard hold(waiting_.lock);
    if (is_cancelled_) return false;
    is_cancelled_ = true;
    reason_ = why;
    stop = stop_;
    ++count_;
  }
  stop.request_stop();
  for (;;) {
    waiting_.lock.lock();
    child* c = live_.pop_front();
    in_hand_ = c;
    if (c == nullptr) break;
    told_.push_back(*c);
    waiting_.lock.unlock();
    if (c->record_ != but) cancel_fiber(*c->record_, why);
  }
  count_out_and_unlock();
  return true;
}

bool child_group::is_cancelled() noexcept {
  const std::lock_guard hold(waiting_.lock);
  return is_cancelled_;
}

std::stop_token child_group::get_stop_token() noexcept {
  try {
    {
      const std::lock_guard hold(waiting_.lock);
      if (stop_.stop_possible()) return stop_.get_token();
    }
    std::stop_source made;
    const std::lock_guard hold(waiting_.lock);
    if (!stop_.stop_possible()) {
      // No callback can be registered yet: nothing of the user's runs under the lock.
      if (is_cancelled_) made.request_stop();
      stop_ = std::move(made);
    }
    return stop_.get_token();
  } catch (const std::bad_alloc&) {
    return {};
  }
}

void child_group::wait(sharer* work) {
  const visit here(inside_);
  std::optional<cancelled> ended_by;
  try {
    cancellation_point();
    for (;;) {
      const bool shares = work != nullptr && work->can_share();
      if (sleep(true, shares ? &spawning_runtime().bell : nullptr)) break;
      work->share();
    }
  } catch (const cancelled& c) {
    ended_by = c;
  }
  if (ended_by) {
    cancel(ended_by->reason());
    sleep(false, nullptr);
    throw *ended_by;
  }
  std::exception_ptr first;
  {
    const std::lock_guard hold(waiting_.lock);
    first = first_;
  }
  if (first) std::rethrow_exception(std::move(first));
}

// Until there is no child. False: a worker with nothing to do has rung `bell` before.
bool child_group::sleep(bool is_cancellation_point, idle_bell* bell) {
  constexpr case_index rung = 1;
  waiting_.lock.lock();
  if (count_ == 0) {
    waiting_.lock.unlock();
    return true;
  }
  waiting wait(is_cancellation_point, {"for the children of group", this, &no_owner});
  case_index winner;
  if (bell == nullptr) {
    winner = waiting_.sleep(wait, unlocking(waiting_.lock), {}, [] {});
  } else {
    waiter at_bell(wait.who(), wait.claim(), rung);
    bell->enlist_and_lock(at_bell);
    two_locks both{waiting_.lock, *bell};
    winner = waiting_.sleep(wait, {&two_locks::open, &both}, {}, [] {});
    if (winner != rung) bell->withdraw(at_bell);
  }
  if (winner == case_cancelled) throw_cancelled();
  return winner != rung;
}

// Nobody is to be waited for, or told.
bool child_group::is_over() noexcept {
  const std::lock_guard hold(waiting_.lock);
  // (cg.2) acquire: as (wt.6); pairs with (cg.1).
  return count_ == 0 && !stop_.stop_possible() && inside_.load(std::memory_order_acquire) == 0;
}

// Looks at one child: those of the default runtime stand still, all or none of them.
bool child_group::stands_still_at_exit() noexcept {
  if (!process_exits()) return false;
  fiber_record* r = nullptr;
  {
    const std::lock_guard hold(waiting_.lock);
    if (const child* c = told_.front()) {
      r = c->record_;
      r->references.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (r == nullptr) return false;
  const bool stands = stands_still(*r);
  r->home->release(r);
  return stands;
}

}  // namespace heddle::detail
