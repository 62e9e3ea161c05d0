// SPDX-License-Identifier: BSL-1.0
// record: a fiber's state, in a block of three cache lines from a pool: context, stack, id, the
//   claim word of its waits, cancellation, and the callable.
//
//        make ──> live ──(its function returns)──> ended ──(last reference)──> free
//
//   I1  bound_stack is bound when the fiber first runs, and unbound when it ends.
//   I2  a block's memory stays a fiber_record as long as its runtime lives: a stale pointer reads a
//       block that is free or somebody else's, never foreign memory.
//   I3  an id is never given out twice.
//   Guards: what says "own" is touched by the fiber itself, or by whoever made it ready or runs it.
#pragma once

#include <heddle/base/sticky_lock.hpp>
#include <heddle/fiber/agent.hpp>
#include <heddle/fiber/context.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle {
enum class cancel_reason;
}

namespace heddle::detail {

class runtime_state;
struct at_end_node;
struct fiber_record;
struct join_wait;
struct stack;
struct wait_note;

/// One fiber_local's value in one fiber or thread.
struct local_value {
  std::uint64_t key = 0;  // which fiber_local; keys are never used twice
  void* value = nullptr;
  void (*destroy)(void*) = nullptr;
};

/// What few fibers have; made on first use.
struct fiber_extras {
  std::string name;
  std::stop_source stop{std::nostopstate};
  std::vector<local_value> locals;  // own
  at_end_node* at_end = nullptr;    // own: what it does when its locals are gone, newest first
};

//   free ──> live ──(its function returned)──> ended ──> free
enum class fiber_phase : std::uint8_t { free, ended, live };
inline bool is_alive(fiber_phase p) noexcept { return p == fiber_phase::live; }

struct alignas(cache_line) fiber_record final : context, agent {
  static constexpr std::size_t inline_bytes = 80;

  fiber_record() noexcept : agent(true) {}

  // Up to `home` what most switches and wakes touch: one cache line, but for builds that add to it.
  fiber_record* next = nullptr;   // guarded by the queue that it is in
  std::uint32_t stack_pages = 0;  // 0: the runtime's default
  std::uint16_t pins = 0;         // own: how many no_migrate are alive
  union {
    std::uint16_t pinned_to = 0;  // the worker, while pins > 0
    std::uint16_t batch_size;     // of the first of a batch, guarded by the injector
  };
  // Of one that sleeps its wait_note, with `sleeps`, and `tied`, for who looks at it. In the
  // injector, which guards it then: of the first of a batch the next batch, of others a hint whom
  // to prefetch.
  atomic<std::uintptr_t> aside{0};
  runtime_state* home = nullptr;          // constant while live
  stack* bound_stack = nullptr;           // own
  atomic<std::uint64_t> id{0};            // constant while live; 0: free
  atomic<fiber_extras*> extras{nullptr};  // made and freed under lock
  join_wait* joiner = nullptr;            // guarded by lock
  atomic<std::uint32_t> references{0};
  atomic<fiber_phase> phase{fiber_phase::free};
  atomic<bool> stop_requested{false};  // set before the extras exist; guarded by lock
  bool callable_on_heap = false;
  atomic<bool> named{false};               // the watchdog has named it
  [[no_unique_address]] sticky_lock lock;  // for what says so above
  std::uint8_t works_for_at = 0;  // 1 + where in the callable the address of what is told of its
                                  // end stands, a group or a future; 0: it has none. With
                                  // may_cancel_it, where that is a group that may do so

  fiber_record* ahead() const noexcept {
    return reinterpret_cast<fiber_record*>(aside.load(std::memory_order_relaxed));
  }
  void set_ahead(fiber_record* r) noexcept {
    aside.store(reinterpret_cast<std::uintptr_t>(r), std::memory_order_relaxed);
  }

  static constexpr std::uintptr_t sleeps = 1;
  static constexpr std::uintptr_t tied = 2;  // and only the owner of what it waits for ends that
  /// Own: it goes to sleep. One store, which counts in each switch.
  void note_wait(const wait_note* note, bool is_tied) noexcept {
    aside.store(reinterpret_cast<std::uintptr_t>(note) | sleeps | (is_tied ? tied : 0),
                std::memory_order_relaxed);
  }
  /// By whoever makes it ready.
  void end_wait() noexcept { aside.store(0, std::memory_order_relaxed); }
  bool is_tied() const noexcept {
    constexpr std::uintptr_t both = sleeps | tied;
    return (aside.load(std::memory_order_relaxed) & both) == both;
  }
  /// What it waits for, or null: for who holds it where it is (sched/look.hpp).
  const wait_note* waits_for() const noexcept {
    const std::uintptr_t now = aside.load(std::memory_order_relaxed);
    return (now & sleeps) != 0 ? reinterpret_cast<const wait_note*>(now & ~(sleeps | tied))
                               : nullptr;
  }

  /// A callable that is not in `storage`: this is.
  struct callable_elsewhere {
    void* at;
    std::size_t bytes;
  };
  void put_callable_at(callable_elsewhere place) noexcept {
    callable_on_heap = true;
    ::new (static_cast<void*>(storage)) callable_elsewhere(place);
  }
  void* callable() noexcept {
    return callable_on_heap ? reinterpret_cast<callable_elsewhere*>(storage)->at : storage;
  }
  std::size_t callable_bytes() noexcept {
    return callable_on_heap ? reinterpret_cast<callable_elsewhere*>(storage)->bytes : inline_bytes;
  }

  static constexpr std::uint8_t may_cancel_it = 0x80;
  /// Before it starts: its end is told to the thing whose address stands at `place`, near the start
  /// of its callable.
  void set_works_for(const void* place, std::uint8_t with = 0) noexcept {
    const auto at = static_cast<const std::byte*>(place) - static_cast<std::byte*>(callable());
    works_for_at = static_cast<std::uint8_t>((at + 1) | with);
  }
  /// What is told of its end, or null. While its callable lives.
  const void* works_for() noexcept {
    const int at = works_for_at & ~may_cancel_it;
    if (at == 0) return nullptr;
    const void* what;
    __builtin_memcpy(&what, static_cast<std::byte*>(callable()) + at - 1, sizeof what);
    return what;
  }
  /// Whether one may cancel it who has no handle of it.
  bool is_in_cancellable_group() const noexcept { return (works_for_at & may_cancel_it) != 0; }

  alignas(std::max_align_t) std::byte storage[inline_bytes];
};

/// Brings a record, which will be written, into the cache.
inline void prefetch(const fiber_record* r) noexcept {
  const auto* line = reinterpret_cast<const std::byte*>(r);
  for (std::size_t at = 0; at < sizeof *r; at += cache_line) __builtin_prefetch(line + at, 1);
}

/// The extras of `r`, made if need be; throws std::bad_alloc. Any thread that holds a reference.
fiber_extras& extras_of(fiber_record& r);

/// How reports call a fiber, in one line: fiber 7 'its name', or fiber 7.
struct fiber_label {
  explicit fiber_label(fiber_record& r) noexcept;
  char text[300];
};

}  // namespace heddle::detail
