// SPDX-License-Identifier: BSL-1.0
// same_build: what must be the same in the library and in all of a program that uses it, since it
//   changes the layout of types, or what the sanitizers are told. A program that is built otherwise
//   does not link, and the name that the linker misses says in what.
#pragma once

#include <heddle/base/sanitizer.hpp>

#if defined(HEDDLE_ASSERTIONS)
#define HEDDLE_BUILT_FOR_ASSERTIONS_ heddle_is_built_with_HEDDLE_ASSERTIONS
#else
#define HEDDLE_BUILT_FOR_ASSERTIONS_ heddle_is_built_without_HEDDLE_ASSERTIONS
#endif
#if defined(HEDDLE_TSAN)
#define HEDDLE_BUILT_FOR_SANITIZER_ heddle_is_built_with_thread_sanitizer
#elif defined(HEDDLE_ASAN)
#define HEDDLE_BUILT_FOR_SANITIZER_ heddle_is_built_with_address_sanitizer
#else
#define HEDDLE_BUILT_FOR_SANITIZER_ heddle_is_built_without_sanitizer
#endif

namespace heddle::detail {

extern const char HEDDLE_BUILT_FOR_ASSERTIONS_;
extern const char HEDDLE_BUILT_FOR_SANITIZER_;

[[gnu::used]] inline const char* const needs_of_this_program[] = {&HEDDLE_BUILT_FOR_ASSERTIONS_,
                                                                  &HEDDLE_BUILT_FOR_SANITIZER_};

}  // namespace heddle::detail
