// SPDX-License-Identifier: BSL-1.0
// leak: fibers that wait for ever at a channel that nobody else holds any more.
#pragma once

#include <heddle/debug/roll_call.hpp>

#include <functional>
#include <vector>

namespace heddle::detail {

/// Those that there are, if nothing of the process runs meanwhile: `is_quiet` says whether that is
/// so, and is asked now and then. While no runtime ends. Throws std::bad_alloc.
std::vector<sighting> find_leaks(const std::function<bool()>& is_quiet);

}  // namespace heddle::detail
