// SPDX-License-Identifier: BSL-1.0
// signal_handler: heddle's handlers of signals, each of which goes on to the one that was there.
//   Installed once, and for good; run on the alternate stack where the thread has one.
#pragma once

#include <csignal>

namespace heddle::detail {

class signal_handler {
 public:
  using function = void (*)(int, siginfo_t*, void*);

  /// Makes `f` the handler of `number`, with `flags` beside SA_SIGINFO and SA_ONSTACK. False: the
  /// system does not want that.
  bool install(int number, function f, int flags) noexcept;
  /// In the handler: calls the one that was there. False: there was none.
  bool pass_on(int number, siginfo_t* info, void* machine) const noexcept;

 private:
  struct sigaction before_ {};
};

/// Whether the program handles a signal other than those that tell of faults: a handler of its own,
/// there or to be passed on to.
bool program_handles_signals() noexcept;

}  // namespace heddle::detail
