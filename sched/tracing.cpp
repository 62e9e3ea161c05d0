// SPDX-License-Identifier: BSL-1.0
// tracing: noting, and the rings' lives.
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/tracing.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sched/worker.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

namespace heddle::detail {

constinit atomic<bool> traced{false};
constinit atomic<std::uint32_t> trace_tick{0};
const char left_to_others[] = "is ready";
const char left_for_good[] = "has ended";

namespace {

// Lock order: rings_lock, then a worker's queue.
constinit spin_lock rings_lock;
constinit trace_ring* rings = nullptr;  // guarded by rings_lock
constinit spin_lock outside_lock;
constinit trace_ring* outside = nullptr;  // guarded by outside_lock: of all who are no workers

// Its pages come when they are written to. Null: there is no memory; nothing is noted then.
trace_ring* make_ring_locked() noexcept {
  void* at = ::mmap(nullptr, sizeof(trace_ring), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  auto* ring = ::new (at) trace_ring;
  ring->next = rings;
  rings = ring;
  return ring;
}

trace_event& note(trace_ring& in, trace_kind kind, const fiber_record& whom,
                  bool is_timed) noexcept {
  if (is_timed || in.is_after_a_tick()) in.note_instant(trace_clock());
  trace_event& e = in.next_event();
  e.word = trace_event::word_of(kind, whom.id.load(std::memory_order_relaxed));
  return e;
}

/// Calls `add(ring, is_timed)` for what the caller notes in, if there is such a thing.
template <class Add>
void note_by_caller(Add add) noexcept {
  if (worker* w = current_worker()) {
    w->with_ring([&](trace_ring* ring) {
      if (ring != nullptr) add(*ring, false);
    });
  } else {
    const std::lock_guard hold(outside_lock);
    if (outside != nullptr) add(*outside, true);
  }
}

void note_wake_in(trace_ring& ring, const fiber_record& woken, bool is_timed) noexcept {
  // It is made ready, but has not run: it starts.
  if (!woken.frame.exists())
    note(ring, trace_kind::started, woken, is_timed).from = woken.started_from();
  note(ring, trace_kind::woke, woken, is_timed);
}

}  // namespace

void worker::note_switch() noexcept {
  trace_ring& ring = *ring_;
  const fiber_record* const next = current();
  const std::uint64_t whom = next != nullptr ? next->id.load(std::memory_order_relaxed) : 0;
  trace_event::departure left{};
  bool is_home_there = next == nullptr;
  if (left_ == &ended_) {
    left.what = left_for_good;
  } else if (left_ == &home_) {
    is_home_there = true;
  } else if (const wait_note* note = static_cast<const fiber_record*>(left_)->waits_for()) {
    left = {note->why.what, note->why.object};
  } else {
    left.what = left_to_others;
  }
  if (is_home_there || ring.count >= ring.time_at || ring.is_after_a_tick())
    ring.note_instant(trace_clock());
  trace_event& e = ring.next_event();
  e.word = trace_event::word_of(trace_kind::switched, whom);
  e.left = left;
}

void worker::note_wake(const fiber_record& woken) noexcept { note_wake_in(*ring_, woken, false); }

void trace_wake(const fiber_record& woken) noexcept {
  note_by_caller([&](trace_ring& ring, bool is_timed) { note_wake_in(ring, woken, is_timed); });
}

void trace_name(const fiber_record& named, std::string_view name) noexcept {
  note_by_caller([&](trace_ring& ring, bool is_timed) {
    trace_event& e = note(ring, trace_kind::named, named, is_timed);
    std::memset(e.name, 0, sizeof e.name);
    std::memcpy(e.name, name.data(), std::min(name.size(), sizeof e.name));
  });
}

void worker::set_ring(trace_ring* ring) noexcept {
  const auto set = [&]() noexcept {
    ring_ = ring;
    const fiber_record* const runs = current();
    if (ring == nullptr || runs == nullptr) return;
    note(*ring, trace_kind::switched, *runs, true).left = {};
    ring->expect_a_tick();
  };
  for (backoff wait; !decltype(queue)::thief(queue).with_lock(set);) wait.pause();
}

void join_trace(worker& w) noexcept {
  const std::lock_guard hold(rings_lock);
  if (!is_traced() || w.has_ring()) return;
  trace_ring* const ring = make_ring_locked();
  if (ring == nullptr) return;
  ring->runtime = w.rt.number;
  ring->worker_index = w.index;
  ring->expect_a_tick();
  w.set_ring(ring);
}

void begin_tracing() noexcept {
  {
    const std::lock_guard hold(rings_lock);
    traced.store(true, std::memory_order_relaxed);
    const std::lock_guard others_wait(outside_lock);
    outside = make_ring_locked();
  }
  for (runtime_cursor at; at.here() != nullptr; at.next()) {
    for (unsigned i = 0, count = at.here()->worker_count(); i < count; ++i)
      join_trace(*at.here()->worker_at(i));
  }
}

trace_ring* end_tracing() noexcept {
  const runtimes_stay no_worker_ends;
  const std::lock_guard hold(rings_lock);
  traced.store(false, std::memory_order_relaxed);
  for (runtime_cursor at; at.here() != nullptr; at.next()) {
    for (unsigned i = 0, count = at.here()->worker_count(); i < count; ++i)
      at.here()->worker_at(i)->set_ring(nullptr);
  }
  const std::lock_guard others_are_out(outside_lock);
  outside = nullptr;
  return std::exchange(rings, nullptr);
}

void give_back_rings(trace_ring* first) noexcept {
  while (first != nullptr) {
    trace_ring* const next = first->next;
    ::munmap(first, sizeof *first);
    first = next;
  }
}

}  // namespace heddle::detail
