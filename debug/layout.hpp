// SPDX-License-Identifier: BSL-1.0
// layout: what debuggers read, in a table that a null name ends.
#pragma once

#include <cstddef>

extern "C" {

struct heddle_layout_entry {
  const char* name;
  const void* address;  // of a variable; or null, and
  std::size_t number;   // an offset, a size, a value
};

extern const heddle_layout_entry heddle_layout[];

}  // extern "C"
