// SPDX-License-Identifier: BSL-1.0
// schedule: making a fiber runnable: the way of each wake, and of each start. In one piece, since
//   three calls cost as much as what they do.
#include <heddle/base/assert.hpp>
#include <heddle/base/chaos.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/stop.hpp>
#include <heddle/sched/worker.hpp>

namespace heddle::detail {

// A worker that is woken for a fiber that its own worker runs at once finds nothing, and sleeps
// again. After such a vain search the next wakes are held back, more each time (search.cpp); what
// is missed so, the watchdog sees. A ring that fills up is worth a wake in any case; where fibers
// talk and wake each other, if there is enough in it to be stolen.
[[gnu::noinline]] void worker::wake_somebody(place where) noexcept {
  const bool looked_after = talks() && rt.idle.somebody_naps();
  const std::uint32_t full = where == place::back ? 2 : looked_after ? enough_of_talkers : 1;
  const bool waits_behind = queue.size() >= full;
  if (!waits_behind && ++unwoken_ < rt.held_back.load(std::memory_order_relaxed)) return;
  unwoken_ = 0;
  rt.wake_one();
}

[[gnu::cold, gnu::noinline]] void worker::make_room_locked() noexcept {
  constexpr auto half = decltype(queue)::capacity / 2;
  fiber_record* first = queue.pop_locked();
  fiber_record* last = first;
  fiber_record* before[prefetch_distance] = {first};
  for (std::uint32_t i = 1; i < half; ++i) {
    fiber_record* r = queue.pop_locked();
    last->next = r;
    last = r;
    fiber_record*& earlier = before[i % prefetch_distance];
    if (earlier != nullptr) earlier->set_ahead(r);
    earlier = r;
  }
  rt.injected.push(first, last, half);
}

inline void worker::schedule(fiber_record* r, place where) noexcept {
  queue.lock();
  if (ring_ != nullptr) [[unlikely]]
    note_wake(*r);
  if (chaos(8)) {
    queue.unlock();
    rt.injected.push(r);
    rt.wake_one();
    return;
  }
  if (where == place::next) r = queue.exchange_next_locked(r);
  if (r != nullptr) push_locked(r);
  queue.unlock();
  light_fence();
  if (rt.idle.should_wake()) [[unlikely]]
    wake_somebody(where);
}

void runtime_state::schedule(fiber_record* r, place where) noexcept {
  tsan_release(r);
  worker* w = current_worker();
  const bool own = w != nullptr && &w->rt == this;
  if (!own || r->pins != 0) [[unlikely]] {
    schedule_elsewhere(r, own);
    return;
  }
  w->count_wake();
  w->schedule(r, where);
}

// From a thread that is no worker of this runtime (unless `own`), or of a fiber that is bound to
// one.
[[gnu::noinline]] void runtime_state::schedule_elsewhere(fiber_record* r, bool own) noexcept {
  if (is_traced()) [[unlikely]]
    trace_wake(*r);
  if (!own) foreign_wakers_.fetch_add(1, std::memory_order_relaxed);
  if (r->pins != 0) {
    worker_at(r->pinned_to)->deliver_pinned(r);
  } else {
    injected.push(r);
    light_fence();
    if (idle.should_wake()) wake_one();
  }
  // (rs.5) release: this thread is through with the runtime; pairs with (rs.6).
  if (!own) foreign_wakers_.fetch_sub(1, std::memory_order_release);
}

void runtime_state::start(fiber_record* r) noexcept {
  r->phase.store(fiber_phase::live, std::memory_order_relaxed);
  // The destructor sets `stopping`, passes a heavy fence, and looks for live fibers.
  light_fence();
  if (stopping.load(std::memory_order_relaxed)) [[unlikely]] {
    HEDDLE_CHECK(
        !stop_workers.load(std::memory_order_relaxed),
        "fiber %llu was started in a runtime whose workers have ended, where thread_locals "
        "are destroyed, and would never run: use another runtime there",
        static_cast<unsigned long long>(r->id.load(std::memory_order_relaxed)));
    // Also if it says that somebody was first: he may have meant the block's last fiber.
    if (!cancel_fiber(*r, cancel_reason::shutdown)) request_stop(*r);
  }
  schedule(r, place::back);
}

}  // namespace heddle::detail
