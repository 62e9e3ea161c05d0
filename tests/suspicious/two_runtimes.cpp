// SPDX-License-Identifier: BSL-1.0
// two_runtimes: all fibers of one runtime wait for one that computes in another, all of whose
//   others wait too.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <chrono>

using namespace std::chrono_literals;

int main() {
  heddle::runtime a({.workers = 1, .deadlock = heddle::on_deadlock::abort});
  heddle::runtime b({.workers = 1, .deadlock = heddle::on_deadlock::abort});
  heddle::channel<int> results;
  b.go([&] { (void)results.receive(); });
  a.run([&] {
    b.run([&] {
      const auto end = std::chrono::steady_clock::now() + 900ms;
      while (std::chrono::steady_clock::now() < end) {
      }
    });
    results.send(1);
  });
  return 0;
}
