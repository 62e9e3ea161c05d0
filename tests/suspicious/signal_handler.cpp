// SPDX-License-Identifier: BSL-1.0
// signal_handler: all fibers wait for what a signal's handler does. (It may not, by the letter;
// many
//   do, and here nothing else runs meanwhile.)
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <signal.h>
#include <unistd.h>

heddle::event rang;

int main() {
  ::signal(SIGALRM, [](int) { rang.set(); });
  ::alarm(2);
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [&] { rang.wait(); });
  return 0;
}
