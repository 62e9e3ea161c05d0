// SPDX-License-Identifier: BSL-1.0
// assert: how a failed assertion speaks. One write(2), so that lines of several threads stay whole.
#include <heddle/base/assert.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace heddle::detail {

namespace {
void describe_no_fiber(char* out, std::size_t size) noexcept {
  std::snprintf(out, size, "no fiber");
}

void write_line(char* text, std::size_t size, int length) noexcept {
  std::size_t n =
      std::min<std::size_t>(length < 0 ? 0 : static_cast<std::size_t>(length), size - 2);
  text[n++] = '\n';
  const int saved = errno;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, n);
  errno = saved;
}
}  // namespace

constinit describe_fiber_fn describe_fiber = &describe_no_fiber;

void complain(const char* format, ...) noexcept {
  char text[1024];
  int n = std::snprintf(text, sizeof text, "heddle: ");
  va_list args;
  va_start(args, format);
  n += std::vsnprintf(text + n, sizeof text - static_cast<std::size_t>(n), format, args);
  va_end(args);
  write_line(text, sizeof text, n);
}

void check_failed(const char* file, int line, const char* condition, const char* format,
                  ...) noexcept {
  char message[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(message, sizeof message, format, args);
  va_end(args);
  char fiber[320];
  describe_fiber(fiber, sizeof fiber);
  complain("%s (%s:%d: `%s` does not hold; in %s)", message, file, line, condition, fiber);
  std::abort();
}

}  // namespace heddle::detail
