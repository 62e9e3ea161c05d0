// SPDX-License-Identifier: BSL-1.0
// unwind: the return addresses on a stack: the caller's own, that which a signal interrupted, or
//   that of a suspended context, or of a thread that sleeps in seen_from_outside(), which the C++
//   runtime's unwinder walks as if they had called it. Nothing is written there.
//   Who asks for another's sees to it that it stays where it is. Nothing here allocates, and all
//   may be called in a signal handler.
#pragma once

#include <heddle/fiber/context.hpp>

#include <cstddef>

namespace heddle::detail {

/// Writes up to `room` return addresses, the innermost first, and returns their number.
std::size_t addresses_here(const void** into, std::size_t room) noexcept;
/// The same for a context whose saved frame is at `frame`.
std::size_t addresses_of(const void* frame, const void** into, std::size_t room) noexcept;
/// The same for who is in heddle_seen_from_outside(f, x), which calls `f(x, registers)`; what its
/// caller keeps in registers lies there.
std::size_t addresses_from(const void* registers, const void** into, std::size_t room) noexcept;
extern "C" void heddle_seen_from_outside(void (*f)(void* x, const void* registers) noexcept,
                                         void* x) noexcept;
/// The same in a signal handler, whose third argument `machine` is, for what it interrupted: first
/// the place itself, as a return address after it would be.
std::size_t addresses_at(const void* machine, const void** into, std::size_t room) noexcept;

/// Calls that repeat, near the end of a stack.
struct recursion {
  std::size_t depth = 0;      // how often; 0: they do not
  std::size_t period = 0;     // how many calls one repetition has
  const void* calls[8] = {};  // their return addresses
};
/// As addresses_at().
recursion recursion_at(const void* machine) noexcept;

}  // namespace heddle::detail
