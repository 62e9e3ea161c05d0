// SPDX-License-Identifier: BSL-1.0
// chaos: the seam for choices and faults. In ordinary builds every function here is a constant and
//   vanishes. In builds with HEDDLE_CHAOS, the environment's HEDDLE_CHAOS=seed makes every
//   scheduling choice at random (the seed repeats the choices of each thread, not their
//   interleaving), and tests may make the n-th system call or allocation of a kind fail.
#pragma once

#include <cstdint>

namespace heddle::detail {

/// What can be made to fail.
enum class fault : std::uint8_t { map, guard_install, guard_protect, thread, memory, count_ };

#if defined(HEDDLE_CHAOS)

/// True once in `n` calls, at random; always false without a seed.
bool chaos(std::uint32_t one_in) noexcept;

/// True if the test asked for this call to fail.
bool fails(fault kind) noexcept;

/// From the `after`-th call from now on (1: the next), `times` calls of this kind fail.
void inject_fault(fault kind, std::uint64_t after, std::uint64_t times) noexcept;

/// How many calls of this kind there were.
std::uint64_t fault_calls(fault kind) noexcept;

/// Called by the scheduler between "queued" and "off the stack", when set (trap 8).
extern void (*stretch_park)() noexcept;

#else

constexpr bool chaos(std::uint32_t) noexcept { return false; }
constexpr bool fails(fault) noexcept { return false; }

#endif

}  // namespace heddle::detail
