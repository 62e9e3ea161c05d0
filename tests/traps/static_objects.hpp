// SPDX-License-Identifier: BSL-1.0
// static_objects: what the static objects' source and main's have in common.
#pragma once

namespace heddle_test {

/// Whether fibers and most of what they wait on do what they should, in the current runtime, or
/// from a plain thread in the default one.
[[nodiscard]] bool all_works();

/// Ends the process with a message unless `holds`.
void check(bool holds, const char* what);

}  // namespace heddle_test
