// SPDX-License-Identifier: BSL-1.0
// search: what a worker does on its home stack when its queue is empty, or its budget of switches
//   is spent: timers, pinned and injected fibers, stealing, spinning, sleeping. When to steal:
//   steal.cpp.
#include <heddle/base/assert.hpp>
#include <heddle/base/sticky_lock.hpp>
#include <heddle/fiber/switch.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/overflow.hpp>
#include <heddle/sched/own_stack.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>

#include <algorithm>
#include <cerrno>
#include <mutex>

namespace heddle::detail {

namespace {

constexpr std::int64_t spin_ns = 50'000;  // about what waking an OS thread takes
constexpr std::int64_t look_ns = 20'000;  // of who woke up by itself: longer than any patience
// Where fibers talk, few wakes of theirs wake a worker, and none is to come if one of them begins
// to compute before the others: so one of those who sleep looks from time to time.
constexpr std::int64_t nap_ns = 1'000'000;
constexpr std::uint32_t inject_batch = 32;
constexpr std::uint32_t most_held_back = 4096;
constexpr std::uint32_t ring_every = 16;  // visits of the home stack, also by a busy worker

}  // namespace

void worker::run() noexcept {
  const own_stack home_is_ours;
  const grip_of_thread locks_may_stick;
  tsan_release(this);
  set_current_worker(this);
  thread_id_.store(::gettid(), std::memory_order_relaxed);
  static_cast<thread_words&>(*this) = words_of_this_thread();
  set_rough_now(real_now_ns());
  // A fiber that is pinned here is sent here by whoever wakes it: the runtime must know this
  // worker.
  for (backoff wait; rt.worker_count() <= index;) wait.pause();
  if (spare) join_trace(*this);
  const overflow_guard alternate_stack;
  prepare_home(home_);
  prepare_guise(deputy_);
  prepare_guise(nobody_);
  while (fiber_record* next = find_work()) run_until_home(next);
  {
    // Whoever joins this thread comes after all that its fibers did.
    const tool_guise deputy(deputy_);
    tsan_release(&deputy_);
  }
  tsan_acquire(&deputy_);
  retire_context(deputy_);
  retire_context(nobody_);
  set_current_worker(nullptr);
  static_cast<thread_agent&>(this_thread_agent()).is_over = true;
}

fiber_record* worker::find_work() noexcept {
  refuse_after_fork();
  for (;;) {
    if (rt.stop_workers.load(std::memory_order_relaxed)) return nullptr;
    if (rt.halted.load(std::memory_order_relaxed)) stand_still();
    if (spare && superfluous()) retire();
    if (++visits_home_ % ring_every == 0) rt.bell.ring();
    if (timers.earliest() != no_deadline) fire_timers(timers);
    if (fiber_record* r = take_waiting()) return r;
    in_fibers.store(false, std::memory_order_relaxed);
    if (talks()) seen_.talk.store(false, std::memory_order_relaxed);
    if (fiber_record* r = search()) return r;
  }
}

// The process exits: nothing of a fiber's runs here any more.
void worker::stand_still() noexcept {
  // (wk.6) release: what its fibers did is seen by who exits; pairs with (pr.1).
  in_fibers.store(false, std::memory_order_release);
  for (;;) futex_wait(token_, token_.load(std::memory_order_relaxed));
}

// From this worker's own sources and the injector; each gets its turn, pinned fibers every other
// one.
fiber_record* worker::take_waiting() noexcept {
  fiber_record* r = pinned_last_ ? nullptr : take_pinned();
  pinned_last_ = r != nullptr;
  if (r != nullptr) return r;
  if (rt.starved_count.load(std::memory_order_relaxed) > 0) flush_stacks();
  r = take_injected();
  if (r == nullptr) r = pick();
  return r != nullptr ? r : take_pinned();
}

fiber_record* worker::take_pinned() noexcept {
  if (inbox_size_.load(std::memory_order_relaxed) == 0) return nullptr;
  const std::lock_guard hold(inbox_lock_);
  fiber_record* r = inbox_first_;
  if (r == nullptr) return nullptr;
  inbox_first_ = r->next;
  if (inbox_first_ == nullptr) inbox_last_ = nullptr;
  inbox_size_.store(inbox_size_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return r;
}

void worker::deliver_pinned(fiber_record* r) noexcept {
  r->next = nullptr;
  {
    const std::lock_guard hold(inbox_lock_);
    (inbox_last_ == nullptr ? inbox_first_ : inbox_last_->next) = r;
    inbox_last_ = r;
    inbox_size_.store(inbox_size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  light_fence();
  if (this != current_worker()) rt.wake_worker(*this);
}

fiber_record* worker::take_injected() noexcept {
  const std::uint32_t waiting = rt.injected.size();
  if (waiting == 0) return nullptr;
  // A share of them, so that others get theirs without stealing it back. What overflowed from a
  // ring comes back as a whole only where there is nothing else to do: it would push out what is
  // there.
  std::uint32_t got = 0;
  fiber_record* first =
      rt.injected.pop(std::min(waiting / rt.base_workers + 1, inject_batch), queue.empty(), got);
  light_fence();
  if (rt.injected.size() > 0 && rt.idle.should_wake()) rt.wake_one();
  if (got <= 1) return first;
  fiber_record* rest = first->next;
  queue.lock();
  for (std::uint32_t i = 1; i < got; ++i) {
    fiber_record* next = rest->next;
    if (const fiber_record* later = rest->ahead()) prefetch(later);
    push_locked(rest);
    rest = next;
  }
  queue.unlock();
  return first;
}

fiber_record* worker::search() noexcept {
  rt.idle.begin_search();
  look_gap_ns_ = look_again_ns_ = 0;
  bool woken = false;
  for (std::int64_t give_up = real_now_ns() + spin_ns;;) {
    if (rt.stop_workers.load(std::memory_order_relaxed) || (spare && superfluous())) {
      if (rt.idle.end_search()) rt.wake_one();
      return nullptr;
    }
    if (timers.earliest() != no_deadline) fire_timers(timers);
    fiber_record* found = take_waiting();
    if (found == nullptr && real_now_ns() >= look_again_ns_) {
      fire_overdue_timers();
      found = steal();
      if (found == nullptr && rt.bell.ring()) continue;  // who heard it is found next
    }
    if (found != nullptr) {
      if (woken) rt.held_back.store(0, std::memory_order_relaxed);
      in_fibers.store(true, std::memory_order_relaxed);
      set_rough_now(real_now_ns());
      // Whoever added work meanwhile left the waking to this searcher.
      const bool last = rt.idle.end_search();
      if (last && (queue.size() > 0 || rt.injected.size() > 0 || rt.bell.is_wanted())) {
        rt.wake_one();
      }
      return found;
    }
    if (real_now_ns() < give_up) {
      for (int i = 0; i < 4; ++i) cpu_relax();
      continue;
    }
    if (woken) {
      const auto held = rt.held_back.load(std::memory_order_relaxed);
      rt.held_back.store(std::min(std::max(2 * held, 64u), most_held_back),
                         std::memory_order_relaxed);
    }
    woken = sleep();
    give_up = real_now_ns() + (woken ? spin_ns : look_ns);
  }
}

std::size_t worker::fire_timers(timer_store& from) noexcept {
  const std::int64_t now = now_ns();
  if (from.earliest() > now) return 0;
  constexpr std::size_t room = 64;
  agent* fired[room];
  std::size_t count, sum = 0;
  do {
    count = from.expire(now, fired, room);
    for (std::size_t i = 0; i < count; ++i) ready(*fired[i], place::back);
    sum += count;
  } while (count == room);
  return sum;
}

// Of workers that are inside one fiber for long.
void worker::fire_overdue_timers() noexcept {
  constexpr std::int64_t grace_ns = 500'000;
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i) {
    worker* other = rt.worker_at(i);
    const std::int64_t due = other->timers.earliest();
    if (other == this || due == no_deadline || due >= now_ns() - grace_ns) continue;
    fire_timers(other->timers);
  }
}

// The last look before sleep. A queue whose worker makes progress is left to it: every fiber that
// is added later to that queue wakes somebody, and the watchdog sees a worker that gets stuck. (As
// to talkers, one looks again: nap_ns.)
bool worker::anything_to_do() noexcept {
  if (rt.stop_workers.load(std::memory_order_relaxed) || rt.injected.size() > 0 || has_work() ||
      rt.bell.is_wanted()) {
    return true;
  }
  if (timers.earliest() <= now_ns()) return true;
  if (spare && superfluous()) return true;
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i) {
    worker* other = rt.worker_at(i);
    if (other != this && other->stays_worth_a_steal()) return true;
  }
  return false;
}

// True: somebody woke it. False: there is something to do, or may be.
bool worker::sleep() noexcept {
  const bool naps = !time_is_virtual() && is_beside_talkers() && rt.idle.begin_nap();
  const bool woken = fall_asleep(naps ? now_ns() + nap_ns : no_deadline);
  if (naps) rt.idle.end_nap();
  return woken;
}

bool worker::is_beside_talkers() const noexcept {
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i) {
    const worker* other = rt.worker_at(i);
    if (other != this && other->talks()) return true;
  }
  return false;
}

// Until then at the latest.
bool worker::fall_asleep(std::int64_t until) noexcept {
  rt.idle.begin_sleep(*this);
  if (anything_to_do() && rt.idle.cancel_sleep(*this)) return false;

  until = std::min(until, timers.earliest());
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i) {
    worker* other = rt.worker_at(i);
    if (other->in_fibers.load(std::memory_order_relaxed)) {
      until = std::min(until, other->timers.earliest());
    }
  }
  for (;;) {
    // (wk.3) acquire: sees what the waker did before; pairs with (wk.4).
    if (token_.load(std::memory_order_acquire) != 0) {
      token_.store(0, std::memory_order_relaxed);
      // Usually the waker took it off the list; a token that was left over has not.
      (void)rt.idle.cancel_sleep(*this);
      return true;
    }
    if (until <= now_ns()) {
      if (rt.idle.cancel_sleep(*this)) return false;
      until = no_deadline;  // somebody took it off the list: the token is on its way
    }
    const grip_at_rest asleep;
    futex_wait(token_, 0, time_is_virtual() ? no_deadline : until);
  }
}

bool worker::signal(int number, const void* value) noexcept {
  sigval with{};
  with.sival_ptr = const_cast<void*>(value);
  return thread_.joinable() && ::pthread_sigqueue(thread_.native_handle(), number, with) == 0;
}

void worker::wake() noexcept {
  // (wk.4) release: what the waker did is seen by who wakes; pairs with (wk.5), (wk.3).
  token_.store(1, std::memory_order_release);
  futex_wake(&token_);
}

bool worker::superfluous() const noexcept {
  return index - rt.base_workers >= rt.spares_wanted.load(std::memory_order_relaxed);
}

// A spare that is not needed gives its fibers to the others and sleeps until the watchdog, or a
// fiber that is bound to it, wants it again. Its timers stay: it wakes for them, and gives away
// whom they woke.
void worker::retire() noexcept {
  in_fibers.store(false, std::memory_order_relaxed);
  flush_stacks();
  retired.store(true, std::memory_order_relaxed);
  // Who wakes it sets what is looked at below, passes a light fence, and looks at `retired`.
  heavy_fence();
  while (superfluous() && !rt.stop_workers.load(std::memory_order_relaxed) &&
         inbox_size_.load(std::memory_order_relaxed) == 0) {
    rt.hands_full.fetch_add(1, std::memory_order_relaxed);
    if (timers.earliest() != no_deadline) fire_timers(timers);
    give_away_queue();
    rt.hands_full.fetch_sub(1, std::memory_order_relaxed);
    const std::int64_t until = time_is_virtual() ? no_deadline : timers.earliest();
    // Nobody wakes it for a fiber that is pinned here and whose timer it has fired just now.
    const bool has_mail = inbox_size_.load(std::memory_order_relaxed) > 0;
    if (token_.load(std::memory_order_relaxed) == 0 && !has_mail) {
      const grip_at_rest asleep;
      futex_wait(token_, 0, until);
    }
    // (wk.5) acquire: as (wk.3); pairs with (wk.4). In one step, or it could undo a wake.
    token_.exchange(0, std::memory_order_acquire);
  }
  retired.store(false, std::memory_order_relaxed);
}

void worker::give_away_queue() noexcept {
  bool any = false;
  for (;; any = true) {
    queue.lock();
    fiber_record* r = queue.exchange_next_locked(nullptr);
    if (r == nullptr) r = queue.pop_locked();
    queue.unlock();
    if (r == nullptr) break;
    rt.injected.push(r);
  }
  // What this worker has put off (begin_or_put_off()) is for others too.
  if (any || rt.injected.size() > 0) rt.wake_one();
}

void worker::flush_stacks() noexcept {
  const auto count = stack_count.load(std::memory_order_relaxed);
  if (count == 0) return;
  rt.stacks.default_class().put(stacks_, count);
  stack_count.store(0, std::memory_order_relaxed);
  if (rt.starved_count.load(std::memory_order_relaxed) > 0) rt.stack_came_free();
}

void worker::start() {
  thread_ = std::thread([this] { run(); });
}

void worker::join() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace heddle::detail
