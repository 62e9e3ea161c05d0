// SPDX-License-Identifier: BSL-1.0
// watermark: how deep a stack was used: down to its lowest word that is not zero. So whoever
//   measures a stack clears what was used before another fiber gets it; new ones are zero.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/fiber/stack.hpp>

#include <cstddef>

namespace heddle::detail {

struct fiber_record;

/// Whether stacks are measured (HEDDLE_STACK_WATERMARK). Written before the first fiber runs.
extern atomic<bool> stacks_are_measured;

/// How many bytes of it, from its top, are or were used. Reads pages that were never touched.
std::size_t used_bytes(const stack& s) noexcept;

/// The same, for the calling fiber's own stack; what lies deeper than the caller is zero then.
std::size_t used_bytes_here(const stack& s) noexcept;

/// A fiber is about to end, on its own stack; for when stacks_are_measured. Defined in debug/.
void note_stack_use(const fiber_record& ending) noexcept;

/// HEDDLE_STACK_WATERMARK. Defined in debug/. Throws std::invalid_argument.
void measure_stacks_as_environment_says();

}  // namespace heddle::detail
