// SPDX-License-Identifier: BSL-1.0
// report: writing to stderr.
#include <heddle/debug/report.hpp>

#include <unistd.h>

#include <cstddef>

namespace heddle::detail {

void say(const std::string& text) noexcept {
  for (std::size_t done = 0; done < text.size();) {
    const auto n = ::write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

}  // namespace heddle::detail
