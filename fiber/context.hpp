// SPDX-License-Identifier: BSL-1.0
// context: a suspended computation, and all that must travel with it when it goes on, perhaps on
//   another OS thread. What a switch does stands in switch.hpp.
//
//   What travels                      how
//   registers, stack pointer          Boost.Context pushes them on the stack that is left
//   MXCSR and x87 control, FPCR       the same (arm64: by us); a fresh stack gets the defaults
//   caught exceptions, uncaught count swapped with the C++ runtime's per-thread words
//   errno                             swapped too: a fiber does not find another's after a switch
//   ASan fake stack, TSan fiber       under #if, where those tools are compiled in
#pragma once

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

/// The words of an OS thread that a switch swaps. Asked for once per worker, on its home stack:
/// both addresses come from functions declared const, so that a compiler may keep them across a
/// switch.
struct thread_words {
  exception_state* exceptions = nullptr;
  int* error = nullptr;           // errno
  std::uint32_t until_flags = 1;  // switches until the floating-point flags are looked at again
};
thread_words words_of_this_thread() noexcept;

struct context {
  void* sp = nullptr;  // of the saved frame; null: never ran, or runs
  void* caught = nullptr;
  unsigned uncaught = 0;
  int error = 0;
#if defined(__aarch64__)
  std::uint64_t fpcr = 0;
#endif
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
