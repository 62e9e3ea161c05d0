// SPDX-License-Identifier: BSL-1.0
// livelock: two who give way to each other for ever: each has taken one lock of a kind of his own,
//   and asks for the other one until he gets it.
//   Says: ^heddle: a livelock\? For 1\d s the workers of a runtime have gone from fiber to fiber
//   Says: ^    #0 heddle::wait_group::wait$
//   Ends: hangs
#include <heddle/heddle.hpp>

#include <atomic>

namespace {

std::atomic<bool> taken[2];

void take(int which) {
  while (taken[which].exchange(true)) heddle::this_fiber::yield();
}

void take_both(int first) {
  take(first);
  heddle::this_fiber::yield();
  take(1 - first);
}

}  // namespace

int main() {
  heddle::run({.workers = 1}, [] {
    heddle::wait_group both;
    for (const int first : {0, 1}) both.go([first] { take_both(first); });
    both.wait();
  });
  return 0;
}
