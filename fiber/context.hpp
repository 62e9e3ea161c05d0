// SPDX-License-Identifier: BSL-1.0
// context: a suspended computation, and all that must travel with it when it goes on, perhaps on
//   another OS thread. What a switch does stands in switch.hpp.
//
//   What travels                      how
//   registers, stack pointer          Boost.Context pushes them on the stack that is left
//   MXCSR and x87 control, FPCR       the same (arm64: by us); a fresh stack gets the defaults
//   caught exceptions, uncaught count kept on the stack that is left too, and written back to the
//   errno                             words of the thread where it is resumed; at first: none, 0
//   ASan fake stack, TSan fiber       under #if, where those tools are compiled in
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/base/sanitizer.hpp>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// The C++ runtime's per-thread record of exceptions: the layout of __cxa_eh_globals (Itanium C++
/// ABI, 2.2.2). arm64 and x86-64 agree.
struct exception_state {
  void* caught;
  unsigned uncaught;
};

/// Where an OS thread keeps what a switch changes. Asked for once per worker, on its home stack:
/// both addresses come from functions declared const, so that a compiler may keep them across a
/// switch.
struct thread_words {
  exception_state* exceptions = nullptr;
  int* error = nullptr;        // errno
  std::uint64_t flags_at = 0;  // at which switch the floating-point flags are looked at again
};
thread_words words_of_this_thread() noexcept;

/// Where a suspended context can be resumed: the address of its saved frame, in a word that says
/// also when it must not be.
///     1            there is none: it never ran, or runs
///     address      it can be resumed
///     address | 1  somebody looks at it (sched/look.hpp): it is not resumed now
///
///     1 ──save()──> address ──take()──> 1
///                   address ──mark()──> address | 1 ──unmark()──> address
class saved_frame {
 public:
  saved_frame() noexcept = default;
  saved_frame(const saved_frame& other) noexcept : word_(other.word()) {}
  saved_frame& operator=(const saved_frame& other) noexcept {
    word_.store(other.word(), std::memory_order_relaxed);
    return *this;
  }

  bool exists() const noexcept { return word() != none; }
  bool is_marked_at(const void* sp) const noexcept {
    return word() == (reinterpret_cast<std::uintptr_t>(sp) | 1);
  }
  /// Where it is, or was last; for who marked it, and for tools.
  const void* address() const noexcept {
    return reinterpret_cast<const void*>(word() & ~std::uintptr_t{1});
  }

  // Whoever switches.
  void save(void* sp) noexcept {
    // (sf.1) release: what the stack holds is seen by who looks at it; pairs with (sf.2).
    word_.store(reinterpret_cast<std::uintptr_t>(sp), std::memory_order_release);
  }
  void clear() noexcept { word_.store(none, std::memory_order_relaxed); }
  /// Null: there is none, or it is marked. (A mark that comes later comes too late, and whoever
  /// made it will find that out.)
  void* take() noexcept {
    const std::uintptr_t sp = word();
    if ((sp & 1) != 0) [[unlikely]]
      return nullptr;
    clear();
    if (sp == 0) __builtin_unreachable();  // spares callers the question
    return reinterpret_cast<void*>(sp);
  }

  // Whoever looks; one at a time.
  /// False: there is none. True is a claim that holds only if nobody had resumed it before.
  bool mark() noexcept {
    std::uintptr_t now = word();
    // (sf.2) acquire: sees what lies on the stack; pairs with (sf.1).
    return (now & 1) == 0 && word_.compare_exchange_strong(now, now | 1, std::memory_order_acquire,
                                                           std::memory_order_relaxed);
  }
  /// Takes back mark(); nothing, if it has been resumed in spite of it.
  void unmark(const void* marked) noexcept {
    const auto sp = reinterpret_cast<std::uintptr_t>(marked);
    std::uintptr_t expected = sp | 1;
    word_.compare_exchange_strong(expected, sp, std::memory_order_relaxed,
                                  std::memory_order_relaxed);
  }

 private:
  static constexpr std::uintptr_t none = 1;
  std::uintptr_t word() const noexcept { return word_.load(std::memory_order_relaxed); }

  atomic<std::uintptr_t> word_{none};
};

struct context {
  saved_frame frame;
#if defined(HEDDLE_ASAN)
  void* fake_stack = nullptr;
  const void* stack_bottom = nullptr;
  std::size_t stack_bytes = 0;
#endif
#if defined(HEDDLE_TSAN)
  void* tsan_fiber = nullptr;
#endif
};

}  // namespace heddle::detail
