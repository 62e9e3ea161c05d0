// SPDX-License-Identifier: BSL-1.0
// agent: one who can wait, a fiber or an OS thread, as those see it who end its waits; and the
//   claim word, by which exactly one of them does.
//
//   The claim word, one per agent:
//     bits  0..15  the case that won (closed words only)
//     bit   16     open: the wait can be claimed
//     bit   17     a canceller may claim it (open words only)
//     bits 32..63  the number of the wait, so that a claim meant for an earlier one fails
//
//        close ──open()──> open ──try_claim(ticket, case)──> closed, with its winner ──open()──> …
//
//   Only the agent's own side opens it, when it is off its stack; whoever holds the ticket of this
//   very wait may claim it. An agent outlives the tickets: it takes its cases out of the lists of
//   what it waits for before it leaves the wait.
#pragma once

#include <heddle/base/atomic.hpp>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

struct cancel_scope;
struct fiber_record;

using case_index = std::uint16_t;

/// The cases that have no number of their own.
inline constexpr case_index case_timeout = 0xFFFF;
inline constexpr case_index case_cancelled = 0xFFFE;
inline constexpr case_index case_stopped = 0xFFFD;

/// What a claimer must hold: the open word of one wait.
class ticket {
 public:
  constexpr ticket() noexcept = default;
  constexpr explicit operator bool() const noexcept { return word_ != 0; }

 private:
  friend class claim_word;
  constexpr explicit ticket(std::uint64_t word) noexcept : word_(word) {}
  std::uint64_t word_ = 0;
};

class claim_word {
 public:
  /// The ticket that the next open() will honour. Owner only.
  ticket next(bool cancellable) const noexcept {
    const std::uint64_t number = (word_.load(std::memory_order_relaxed) >> 32) + 1;
    return ticket{number << 32 | open_bit | (cancellable ? cancel_bit : 0)};
  }
  /// Owner's side only, off the owner's stack.
  void open(ticket t) noexcept {
    // (cw.1) release: the cases on the waiter's stack are seen by who claims; pairs with (cw.2).
    word_.store(t.word_, std::memory_order_release);
  }
  /// Whoever gets true decides the wait: it must make the agent ready, once.
  bool try_claim(ticket t, case_index winner) noexcept {
    std::uint64_t expected = t.word_;
    // (cw.2) acq_rel: sees the waiter's cases, and orders claims; pairs with (cw.1).
    return word_.compare_exchange_strong(expected, (t.word_ >> 32) << 32 | winner,
                                         std::memory_order_acq_rel, std::memory_order_relaxed);
  }
  /// The ticket of the wait that is open now, if a canceller may claim it; else none.
  ticket cancellable_now() const noexcept {
    const auto word = word_.load(std::memory_order_relaxed);
    return (word & open_bit) != 0 && (word & cancel_bit) != 0 ? ticket{word} : ticket{};
  }
  /// Whether a wait is open that nobody has claimed. A hint, but for who holds its owner still.
  bool is_open() const noexcept { return (word_.load(std::memory_order_relaxed) & open_bit) != 0; }
  /// Who won the last wait. Owner only, after it was made ready.
  case_index winner() const noexcept {
    return static_cast<case_index>(word_.load(std::memory_order_relaxed));
  }

 private:
  static constexpr std::uint64_t open_bit = std::uint64_t{1} << 16;
  static constexpr std::uint64_t cancel_bit = std::uint64_t{1} << 17;

  atomic<std::uint64_t> word_{0};
};

#if defined(HEDDLE_ASSERTIONS)
/// The locks that an agent owns, in the order in which it took them (sync/lock_order.hpp).
struct held_locks {
  static constexpr std::size_t room = 8;  // more are not known
  struct one {
    const void* lock;
    const char* kind;
    bool is_shared;
  };
  bool shares(const void* lock) const noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      if (all[i].lock == lock && all[i].is_shared) return true;
    }
    return false;
  }
  one all[room];
  std::size_t count = 0;
  std::size_t unknown = 0;  // for which there was no room
};
#endif

struct agent {
  explicit agent(bool fiber) noexcept : is_fiber(fiber) {}
  agent(const agent&) = delete;
  agent& operator=(const agent&) = delete;

  /// Whose code started the fiber: an address in the 48 bits that it has on x86-64 and arm64,
  /// unless the process asks for more. Constant while live.
  void set_started_from(const void* code) noexcept {
    const auto bits = reinterpret_cast<std::uintptr_t>(code);
    started_low_.store(static_cast<std::uint32_t>(bits), std::memory_order_relaxed);
    started_high_.store(static_cast<std::uint16_t>(bits >> 32), std::memory_order_relaxed);
  }
  const void* started_from() const noexcept {
    const std::uintptr_t high = started_high_.load(std::memory_order_relaxed);
    return reinterpret_cast<const void*>(high << 32 | started_low_.load(std::memory_order_relaxed));
  }

  claim_word claim;
  const bool is_fiber;
  atomic<std::uint8_t> cancel{0};  // of a fiber 0, or 1 + cancel_reason; written once while live
  atomic<std::uint16_t> started_high_{0};
  atomic<std::uint32_t> started_low_{0};
#if defined(HEDDLE_ASSERTIONS)
  held_locks held;  // own
#endif
  union {
    cancel_scope* scope = nullptr;  // own: the innermost one, or null
    void (*entry)(fiber_record&);   // of a fiber, until it first runs: runs the callable and
                                    // destroys it
  };
};

}  // namespace heddle::detail
