// SPDX-License-Identifier: BSL-1.0
// dump: all live fibers, and what each of them does or waits for.
#pragma once

#include <iosfwd>

namespace heddle {

/// Writes every live fiber of every runtime to `out`: id, name, what it does or waits for and since
/// when, where it was started, and its stack trace, with functions, files and lines as far as the
/// program has symbols. Those that differ in nothing but id, name, object and time are told once,
/// with their number. First those that run, then the smaller groups, in each the one that has
/// waited longest; times are known to some 10 ms.
///
/// Any thread or fiber may call it while everything runs; it is no cancellation point. The fibers
/// are looked at a few at a time, for some microseconds, in which they are not resumed. It is no
/// picture of one instant. It allocates. \throws std::bad_alloc; what writing to `out` throws
void dump(std::ostream& out);

}  // namespace heddle
