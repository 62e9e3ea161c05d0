// SPDX-License-Identifier: BSL-1.0
// tracing: what workers note while a trace is wanted: whom they switch to, wake, start. Each has a
// ring of its own, in which new events take the place of the oldest.
//
//   A worker notes with its queue locked; whoever begins or ends the trace locks that to give it
//   its ring, or to take it away. All others share a ring, under a lock. Who makes a worker known
//   looks after that whether a trace is on; who begins one says so, and then looks for workers.
//
//   To read the processor's clock takes as long as all else here, and each store counts. So a time
//   is an event of its own, before the one that it belongs to: every 32nd (at a switch), what
//   comes first after a tick (trace_tick, a tenth of a millisecond), and what leads to the home
//   stack or away from it have one; the others lie between.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/base/spin_lock.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::detail {

class worker;
struct fiber_record;

enum class trace_kind : std::uint8_t { instant, switched, woke, started, named };

struct trace_event {
  /// What the one who left waits for: its wait_reason; or left_*.
  struct departure {
    const char* what;
    const void* object;
  };

  std::uint64_t word;  // the kind, and whom: a fiber's id (0: nobody)
  union {
    departure left;       // switched
    const void* from;     // started
    char name[16];        // named: the first bytes
    std::uint64_t ticks;  // instant: when that was which follows, by trace_clock()
  };

  static std::uint64_t word_of(trace_kind kind, std::uint64_t whom) noexcept {
    return whom << 8 | static_cast<std::uint64_t>(kind);
  }
  std::uint64_t whom() const noexcept { return word >> 8; }
  trace_kind kind() const noexcept { return static_cast<trace_kind>(word & 0xFF); }
};

/// Why the one who left did so, where it does not wait. Told apart by address.
extern const char left_to_others[];
extern const char left_for_good[];

extern atomic<bool> traced;
extern atomic<std::uint32_t> trace_tick;

/// Any unit.
inline std::uint64_t trace_clock() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t now;
  asm volatile("mrs %0, cntvct_el0" : "=r"(now));
  return now;
#endif
}

struct trace_ring {
  static constexpr std::size_t room = std::size_t{1} << 16;
  static constexpr std::uint64_t without_time = 32;

  trace_event& next_event() noexcept { return events[count++ % room]; }
  bool is_after_a_tick() const noexcept {
    return trace_tick.load(std::memory_order_relaxed) != tick;
  }
  /// The next event has a time.
  void expect_a_tick() noexcept { tick = trace_tick.load(std::memory_order_relaxed) - 1; }
  void note_instant(std::uint64_t ticks) noexcept {
    trace_event& e = next_event();
    e.word = trace_event::word_of(trace_kind::instant, 0);
    e.ticks = ticks;
    time_at = count + without_time;
    tick = trace_tick.load(std::memory_order_relaxed);
  }

  std::uint64_t count = 0;    // ever
  std::uint64_t time_at = 0;  // at which count a switch has a time
  std::uint32_t tick = 0;     // at the last event with a time
  unsigned worker_index = 0;
  std::uint64_t runtime = 0;   // its number; 0: it is of all who are no workers
  trace_ring* next = nullptr;  // of the same trace
  std::array<trace_event, room> events;
};

/// Whether one is under way.
inline bool is_traced() noexcept { return traced.load(std::memory_order_relaxed); }

// What a worker notes is in worker: note_switch(), and note_wake(), in schedule().

/// By who is no worker, or wakes one that another worker is to run.
void trace_wake(const fiber_record& woken) noexcept;
void trace_name(const fiber_record& named, std::string_view name) noexcept;

/// Begins a trace, where none is under way.
void begin_tracing() noexcept;
/// Gives `w`, which a walk through the runtimes' workers finds from now on, its part in it.
void join_trace(worker& w) noexcept;
/// Ends it, and returns its rings, whose memory give_back_rings() frees; null: there is none.
trace_ring* end_tracing() noexcept;
void give_back_rings(trace_ring* first) noexcept;

/// HEDDLE_TRACE, once; defined in debug/. Throws std::system_error.
void trace_as_environment_says();

}  // namespace heddle::detail
