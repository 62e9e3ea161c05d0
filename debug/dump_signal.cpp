// SPDX-License-Identifier: BSL-1.0
// dump_signal: a dump when a signal comes (options::dump_signal). Its handler counts, and wakes a
//   thread that does nothing else; this one lives as long as the process.
#include <heddle/base/futex.hpp>
#include <heddle/debug/dump.hpp>
#include <heddle/debug/own_thread.hpp>
#include <heddle/debug/report.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/signal_handler.hpp>
#include <heddle/sched/watchdog.hpp>

#include <signal.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <new>
#include <sstream>
#include <system_error>
#include <thread>

namespace heddle::detail {

namespace {

constexpr std::size_t most_signals = 65;

constinit atomic<std::uint32_t> asked{0};  // futex: how often a dump was asked for
constinit std::array<signal_handler, most_signals> handlers{};

// os-lock: held while a thread is started, over no switch.
constinit std::mutex installing;
constinit std::array<bool, most_signals> installed{};  // guarded by installing
constinit bool has_thread = false;                     // the same

void on_dump_signal(int number, siginfo_t* info, void* machine) noexcept {
  const int error = errno;
  asked.fetch_add(1, std::memory_order_relaxed);
  futex_wake(&asked);
  errno = error;
  handlers[static_cast<std::size_t>(number)].pass_on(number, info, machine);
}

[[noreturn]] void serve() noexcept {
  for (std::uint32_t done = 0;;) {
    futex_wait(asked, done);
    const auto now = asked.load(std::memory_order_relaxed);
    if (now == done) continue;
    done = now;  // several that came at once want one dump
    try {
      std::ostringstream text;
      dump(text);
      text << "\n";
      say(text.str());
    } catch (const std::bad_alloc&) {
      say("heddle: no memory for a dump\n");
    }
  }
}

}  // namespace

void dump_on(int signal) {
  const auto at = static_cast<std::size_t>(signal);
  const std::lock_guard hold(installing);
  if (installed[at]) return;
  try {
    if (!has_thread) start_own_thread(&serve).detach();
  } catch (const std::system_error& e) {
    throw std::system_error(e.code(), "heddle: no thread for options::dump_signal");
  }
  has_thread = true;
  handlers[at].install(signal, &on_dump_signal, SA_RESTART);
  installed[at] = true;
}

}  // namespace heddle::detail
