// SPDX-License-Identifier: BSL-1.0
// tracing: noting, and the rings' lives.
#include <heddle/base/asymmetric_fence.hpp>
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

namespace heddle::detail {

constinit atomic<std::uint32_t> tracing{0};
constinit atomic<std::uint32_t> trace_tick{0};
const char left_to_others[] = "is ready";
const char left_for_good[] = "has ended";

namespace {

constexpr std::uint32_t most_without = 7;

constinit spin_lock rings_lock;
constinit trace_ring* rings = nullptr;  // guarded by rings_lock
constinit std::uint32_t traces = 0;     // the same: how many there were
constinit std::uint64_t begun_at = 0;   // written while no trace is on
constinit spin_lock outside_lock;
constinit trace_slot outside;  // guarded by outside_lock: of threads that are no workers

// Its pages come when they are written to. Null: there is no memory; nothing is noted then.
trace_ring* make_ring(const worker* of) noexcept {
  void* at = ::mmap(nullptr, sizeof(trace_ring), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  auto* ring = ::new (at) trace_ring;
  if (of != nullptr) {
    ring->runtime = of->rt.number;
    ring->worker_index = of->index;
  }
  const std::lock_guard hold(rings_lock);
  ring->next = rings;
  rings = ring;
  return ring;
}

/// With whom ran already when the trace began, as far as the worker knows.
[[gnu::noinline, gnu::cold]] void open_ring(trace_slot& slot, std::uint32_t trace, const worker* of,
                                            const fiber_record* runs) noexcept {
  slot.trace = trace;
  slot.ring = make_ring(of);
  slot.tick = trace_tick.load(std::memory_order_relaxed) - 1;  // the first has a time
  if (slot.ring == nullptr || runs == nullptr) return;
  const std::uint64_t id = runs->id.load(std::memory_order_relaxed);
  slot.ring->events[slot.ring->count++] = {begun_at, trace_event::word_of(trace_kind::switched, id),
                                           nullptr, nullptr};
}

/// When an event gets a time of its own. Where the worker comes from its home stack, or goes there,
/// always: it may sleep there.
enum class timing : std::uint8_t { after_a_tick, now_and_then, always };

/// While one lives its ring is busy, if the trace is still under way.
class noting {
 public:
  noting(trace_slot& slot, const worker* of, const fiber_record* runs) noexcept : slot_(slot) {
    slot.busy.store(true, std::memory_order_relaxed);
    light_fence();
    const std::uint32_t now = tracing.load(std::memory_order_relaxed);
    if (now == 0) return;
    if (slot.trace != now) [[unlikely]]
      open_ring(slot, now, of, runs);
    ring_ = slot.ring;
  }
  ~noting() {
    // (tr.1) release: what was noted is seen; pairs with (tr.2).
    slot_.busy.store(false, std::memory_order_release);
  }
  noting(const noting&) = delete;
  noting& operator=(const noting&) = delete;

  // Field by field, from registers: a copied event would wait for its own stores.
  void add(std::uint64_t word, const void* what, const void* object, timing t) noexcept {
    if (ring_ == nullptr) return;
    trace_event& e = ring_->events[ring_->count++ % trace_ring::room];
    e.time = time(t);
    e.word = word;
    e.what = what;
    e.object = object;
  }

 private:
  std::uint64_t time(timing t) noexcept {
    const std::uint32_t tick = trace_tick.load(std::memory_order_relaxed);
    if (tick == slot_.tick && t != timing::always) {
      if (t == timing::after_a_tick || ++slot_.without <= most_without) return 0;
    }
    slot_.tick = tick;
    slot_.without = 0;
    return trace_clock();
  }

  trace_slot& slot_;
  trace_ring* ring_ = nullptr;
};

void note_by(worker* w, trace_kind kind, const fiber_record& whom, const void* what,
             const void* object) noexcept {
  const auto word = trace_event::word_of(kind, whom.id.load(std::memory_order_relaxed));
  if (w != nullptr) {
    noting(w->traced, w, w->current()).add(word, what, object, timing::after_a_tick);
  } else {
    const std::lock_guard hold(outside_lock);
    noting(outside, nullptr, nullptr).add(word, what, object, timing::always);
  }
}

}  // namespace

void worker::note_switch() noexcept {
  const fiber_record* const next = current();
  const std::uint64_t whom = next != nullptr ? next->id.load(std::memory_order_relaxed) : 0;
  const fiber_record* from = nullptr;
  const void* what = nullptr;
  const void* object = nullptr;
  if (left_ == &ended_) {
    what = left_for_good;
  } else if (left_ != &home_) {
    from = static_cast<const fiber_record*>(left_);
    what = left_to_others;
    if (const wait_note* why = from->waits_for()) {
      what = why->why.what;
      object = why->why.object;
    }
  }
  noting n(traced, this, from);
  n.add(trace_event::word_of(trace_kind::switched, whom), what, object,
        next == nullptr || left_ == &home_ ? timing::always : timing::now_and_then);
}

void trace_wake(const fiber_record& woken) noexcept {
  note_by(current_worker(), trace_kind::woke, woken, nullptr, nullptr);
}

void trace_start(const fiber_record& started) noexcept {
  note_by(current_worker(), trace_kind::started, started, nullptr, started.started_from());
  trace_wake(started);
}

void trace_name(const fiber_record& named, std::string_view name) noexcept {
  const void* parts[2] = {};
  std::memcpy(parts, name.data(), std::min(name.size(), sizeof parts));
  note_by(current_worker(), trace_kind::named, named, parts[0], parts[1]);
}

void begin_tracing() noexcept {
  prepare_asymmetric_fences();
  const std::lock_guard hold(rings_lock);
  if (++traces == 0) ++traces;
  begun_at = trace_clock();
  tracing.store(traces, std::memory_order_relaxed);
}

trace_ring* end_tracing() noexcept {
  const runtimes_stay no_worker_ends;
  tracing.store(0, std::memory_order_relaxed);
  heavy_fence();
  for (runtime_cursor at; at.here() != nullptr; at.next()) {
    for (unsigned i = 0, count = at.here()->worker_count(); i < count; ++i) {
      // (tr.2) acquire: sees what was noted; pairs with (tr.1).
      const atomic<bool>& busy = at.here()->worker_at(i)->traced.busy;
      for (backoff wait; busy.load(std::memory_order_acquire);) wait.pause();
    }
  }
  { const std::lock_guard others_are_out(outside_lock); }
  const std::lock_guard hold(rings_lock);
  trace_ring* const all = rings;
  rings = nullptr;
  return all;
}

void give_back_rings(trace_ring* first) noexcept {
  while (first != nullptr) {
    trace_ring* const next = first->next;
    ::munmap(first, sizeof *first);
    first = next;
  }
}

}  // namespace heddle::detail
