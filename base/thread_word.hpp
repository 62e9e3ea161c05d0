// SPDX-License-Identifier: BSL-1.0
// thread_word: reading a variable of the calling thread, anew each time. A compiler may keep the
//   address of a thread_local over a call, and a fiber may come back from that on another thread:
//   so it is read by a function that is never inlined, or by assembly, which the compiler does not
//   do once for two, nor moves over a call ("memory"), and which saves the call (a nanosecond; a
//   send and a receive make two). So the variables lie where a process has them from its start:
//   a plugin that is loaded with a copy of the library needs room there.
#pragma once

#include <heddle/base/sanitizer.hpp>

// `to` becomes the value of `name`, a thread_local with C linkage, of the size of a pointer. Not
// defined where a function must do it. (The tools would not see who wrote it.)
#if defined(__x86_64__) && !defined(HEDDLE_TSAN)
#define HEDDLE_THREAD_WORD(to, name)      \
  asm volatile("movq " #name              \
               "@gottpoff(%%rip), %0\n\t" \
               "movq %%fs:(%0), %0"       \
               : "=r"(to)                 \
               :                          \
               : "memory")
#endif
