// SPDX-License-Identifier: BSL-1.0
// futex: how an OS thread sleeps on a word and is woken. Private to the process.
#pragma once

#include <heddle/base/atomic.hpp>

#include <cstdint>

namespace heddle::detail {

inline constexpr std::int64_t no_deadline = INT64_MAX;

/// Sleeps while `word` is `expected`, until woken or until `deadline_ns` of CLOCK_MONOTONIC. May
/// return for no reason. Does not touch errno.
void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline_ns = no_deadline) noexcept;

/// Wakes up to `count` sleepers. Only the address is used: the word may be gone by then.
void futex_wake(const atomic<std::uint32_t>* word, int count = 1) noexcept;

}  // namespace heddle::detail
