// SPDX-License-Identifier: BSL-1.0
// assert: the two assertions of the house. A failed one prints the condition, the values and the
//   fiber, and aborts.
//   HEDDLE_CHECK   always on; for cold paths.
//   HEDDLE_DCHECK  only where HEDDLE_ASSERTIONS is defined; for hot paths and misuse that std
//                  leaves undefined.
#pragma once

#include <cstddef>

namespace heddle::detail {

/// Prints "heddle: <file>:<line>: <message>" with the running fiber's name, and aborts.
[[noreturn, gnu::cold]] void check_failed(const char* file, int line, const char* condition,
                                          const char* format, ...) noexcept
    __attribute__((format(printf, 4, 5)));

/// Prints one line on stderr in a single write: "heddle: ...". Allocates nothing.
[[gnu::cold]] void complain(const char* format, ...) noexcept __attribute__((format(printf, 1, 2)));

/// Writes the running fiber's name and id into `out`, cut to `size`; set by sched/, which knows.
using describe_fiber_fn = void (*)(char* out, std::size_t size) noexcept;
extern describe_fiber_fn describe_fiber;

}  // namespace heddle::detail

#define HEDDLE_CHECK(condition, ...)  \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::heddle::detail::check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))

#if defined(HEDDLE_ASSERTIONS)
#define HEDDLE_DCHECK(condition, ...) HEDDLE_CHECK(condition, __VA_ARGS__)
#else
#define HEDDLE_DCHECK(condition, ...) static_cast<void>(0)
#endif
