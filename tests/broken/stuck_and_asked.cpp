// SPDX-License-Identifier: BSL-1.0
// stuck_and_asked: nothing is wrong enough to be reported, but one asks from outside.
//   Says: ^heddle: 2 fibers on \d+ workers? of 1 runtime$
//   Says: ^fiber \d+ 'sleeper' waits in sleep_for or sleep_until for \d
//   Says: heddle::this_fiber::sleep_for
//   Says: stuck_and_asked\.cpp:14
//   Ends: hangs
#include <heddle/heddle.hpp>

#include <signal.h>

using namespace std::chrono_literals;

void sleep_long() { heddle::this_fiber::sleep_for(1h); }

int main() {
  heddle::runtime rt({.dump_signal = SIGUSR2});
  rt.run([] {
    heddle::fiber sleeper({.name = "sleeper"}, sleep_long);
    heddle::this_fiber::sleep_for(200ms);
    ::raise(SIGUSR2);
    sleeper.join();
  });
  return 0;
}
