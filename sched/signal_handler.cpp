// SPDX-License-Identifier: BSL-1.0
// signal_handler: installing, passing on, and telling heddle's own from the program's.
#include <heddle/base/atomic.hpp>
#include <heddle/sched/signal_handler.hpp>

#include <algorithm>
#include <iterator>

namespace heddle::detail {

namespace {

// By the signal: heddle's handler, where there was none before.
constinit atomic<signal_handler::function> alone[65]{};

bool is_handler(const struct sigaction& a) noexcept {
  return a.sa_handler != SIG_DFL && a.sa_handler != SIG_IGN;
}

}  // namespace

bool signal_handler::install(int number, function f, int flags) noexcept {
  ::sigaction(number, nullptr, &before_);
  if (!is_handler(before_)) alone[number].store(f, std::memory_order_relaxed);
  struct sigaction ours {};
  ours.sa_sigaction = f;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
  sigemptyset(&ours.sa_mask);
  return ::sigaction(number, &ours, nullptr) == 0;
}

bool signal_handler::pass_on(int number, siginfo_t* info, void* machine) const noexcept {
  if (!is_handler(before_)) return false;
  if ((before_.sa_flags & SA_SIGINFO) != 0) {
    before_.sa_sigaction(number, info, machine);
  } else {
    before_.sa_handler(number);
  }
  return true;
}

bool program_handles_signals() noexcept {
  constexpr int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
  for (int each = 1; each <= SIGRTMAX; ++each) {
    if (std::find(std::begin(faults), std::end(faults), each) != std::end(faults)) continue;
    struct sigaction now {};
    if (::sigaction(each, nullptr, &now) != 0 || !is_handler(now)) continue;
    const bool is_ours = (now.sa_flags & SA_SIGINFO) != 0 &&
                         now.sa_sigaction == alone[each].load(std::memory_order_relaxed);
    if (!is_ours) return true;
  }
  return false;
}

}  // namespace heddle::detail
