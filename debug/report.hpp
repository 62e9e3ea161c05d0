// SPDX-License-Identifier: BSL-1.0
// report: what is told on stderr without being asked for.
#pragma once

#include <string>

namespace heddle::detail {

/// Writes `text` to stderr, by one write(2) where the system takes it so.
void say(const std::string& text) noexcept;

}  // namespace heddle::detail
