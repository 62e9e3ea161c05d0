// SPDX-License-Identifier: BSL-1.0
// tracing: what workers note while a trace is wanted: whom they switch to, wake, start. Each has a
// ring of its own, in which new events take the place of the oldest.
//
//   Who notes (a worker, for itself)              who ends the trace
//     1 says that its ring is busy                  a takes back `tracing`
//     2 passes a light fence                        b passes a heavy fence
//     3 looks at `tracing` again: not this trace,   c waits until no ring is busy, and reads them
//       so it leaves
//     4 notes; its ring is busy no longer
//
//   Of 2 and b one comes first: either 3 sees a, or c sees 1.
//   To read the processor's clock takes as long as all else here. So only every eighth switch has a
//   time, what comes first after a tick (trace_tick, a tenth of a millisecond), and what leads to
//   the home stack or away from it; the others lie between.
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

enum class trace_kind : std::uint8_t { switched, woke, started, named };

struct trace_event {
  std::uint64_t time;  // by trace_clock(); 0: between its neighbours'
  std::uint64_t word;  // whom, a fiber's id (0: nobody), and the kind
  // switched: what the one who left waits for, or left_*, and the object. started: null, and from
  // where. named: the first bytes of the name.
  const void* what;
  const void* object;

  static std::uint64_t word_of(trace_kind kind, std::uint64_t whom) noexcept {
    return whom << 8 | static_cast<std::uint64_t>(kind);
  }
  std::uint64_t whom() const noexcept { return word >> 8; }
  trace_kind kind() const noexcept { return static_cast<trace_kind>(word & 0xFF); }
};

/// Why the one who left did so, where it does not wait. Told apart by address.
extern const char left_to_others[];
extern const char left_for_good[];

struct trace_ring {
  static constexpr std::size_t room = std::size_t{1} << 16;

  std::array<trace_event, room> events;
  std::uint64_t count = 0;    // ever
  std::uint64_t runtime = 0;  // its number; 0: it is of all who are no workers
  unsigned worker_index = 0;
  trace_ring* next = nullptr;  // of the same trace
};

/// A worker's part in the trace.
struct trace_slot {
  atomic<bool> busy{false};
  // Own.
  std::uint32_t trace = 0;  // of which the ring is
  trace_ring* ring = nullptr;
  std::uint32_t tick = 0;     // at the last event with a time
  std::uint32_t without = 0;  // switches since then
};

/// The number of the trace that is under way; 0: none.
extern atomic<std::uint32_t> tracing;
extern atomic<std::uint32_t> trace_tick;

inline bool is_traced() noexcept { return tracing.load(std::memory_order_relaxed) != 0; }

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

// All for when is_traced(); what notes a switch is worker::note_switch().

void trace_wake(const fiber_record& woken) noexcept;
void trace_start(const fiber_record& started) noexcept;
void trace_name(const fiber_record& named, std::string_view name) noexcept;

/// Begins a trace, where none is under way.
void begin_tracing() noexcept;
/// Ends it, and returns its rings, whose memory give_back_rings() frees; null: there is none.
trace_ring* end_tracing() noexcept;
void give_back_rings(trace_ring* first) noexcept;

/// HEDDLE_TRACE, once; defined in debug/. Throws std::system_error.
void trace_as_environment_says();

}  // namespace heddle::detail
