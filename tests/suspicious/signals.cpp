// SPDX-License-Identifier: BSL-1.0
// signals: all fibers wait for a signal, which a thread takes.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <signal.h>
#include <unistd.h>

#include <thread>

int main() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGALRM);
  ::pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  heddle::event rang;
  std::thread taker([&] {
    int which = 0;
    ::sigwait(&wanted, &which);
    rang.set();
  });
  ::alarm(2);
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [&] { rang.wait(); });
  taker.join();
  return 0;
}
