// SPDX-License-Identifier: BSL-1.0
// own_thread: starting threads that are out of the program's way.
#include <heddle/debug/own_thread.hpp>
#include <heddle/sched/own_stack.hpp>
#include <heddle/sched/process.hpp>

#include <pthread.h>
#include <signal.h>

#include <exception>
#include <system_error>
#include <utility>

namespace heddle::detail {

namespace {

/// While one lives the calling thread, and those that it starts, handle no signals.
class no_signals {
 public:
  no_signals() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~no_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  no_signals(const no_signals&) = delete;
  no_signals& operator=(const no_signals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

std::thread start_own_thread(std::function<void()> f) {
  const no_signals masked;
  std::thread started([f = std::move(f)] {
    const own_stack all_is_ours;
    f();
  });
  own_threads.fetch_add(1, std::memory_order_relaxed);
  return started;
}

void own_thread_ends() noexcept { own_threads.fetch_sub(1, std::memory_order_relaxed); }

void call_aside(const std::function<void()>& f) {
  std::exception_ptr failed;
  std::thread aside;
  try {
    aside = start_own_thread([&] {
      try {
        f();
      } catch (...) {
        failed = std::current_exception();
      }
      own_thread_ends();
    });
  } catch (const std::system_error&) {
    f();
    return;
  }
  aside.join();
  if (failed) std::rethrow_exception(failed);
}

}  // namespace heddle::detail
