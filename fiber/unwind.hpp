// SPDX-License-Identifier: BSL-1.0
// unwind: the return addresses on a stack: the caller's own, or that of a suspended context, which
//   the C++ runtime's unwinder walks as if the context had called it. Nothing runs on that stack,
//   and nothing is written there.
//   Who asks for a suspended context's sees to it that it stays so.
#pragma once

#include <heddle/fiber/context.hpp>

#include <cstddef>

namespace heddle::detail {

/// Writes up to `room` return addresses, the innermost first, and returns their number. Allocates
/// nothing.
std::size_t addresses_here(const void** into, std::size_t room) noexcept;
/// The same for a context whose saved frame is at `frame`.
std::size_t addresses_of(const void* frame, const void** into, std::size_t room) noexcept;

}  // namespace heddle::detail
