// SPDX-License-Identifier: BSL-1.0
// overflow: reports a fiber that ran into the guard below its stack, then lets the process die by
//   the signal as usual. A handler that the user had installed before is called after the report.
#pragma once

#include <csignal>
#include <cstddef>
#include <memory>

namespace heddle::detail {

/// Writes the function at a return address to `out`, with file and line as far as they are known.
/// In a signal handler of a process that is about to die: allocates nothing. Defined in debug/.
void write_place(const void* return_address, char* out, std::size_t size) noexcept;

/// Installs the handler (SIGSEGV and SIGBUS). Once per process.
void install_overflow_handler() noexcept;

/// The alternate signal stack of a worker's thread, while it lives.
class overflow_guard {
 public:
  overflow_guard() noexcept;
  ~overflow_guard();
  overflow_guard(const overflow_guard&) = delete;
  overflow_guard& operator=(const overflow_guard&) = delete;

 private:
  std::unique_ptr<std::byte[]> memory_;
  stack_t before_{};
};

}  // namespace heddle::detail
