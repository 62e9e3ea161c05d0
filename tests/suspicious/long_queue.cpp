// SPDX-License-Identifier: BSL-1.0
// long_queue: two hundred wait for one lock, and each for the end of the one before; the first has
//   the lock, and takes its time.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <memory>
#include <mutex>
#include <vector>

using namespace std::chrono_literals;

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::mutex m;
    std::vector<heddle::fiber> line;
    line.reserve(200);
    line.emplace_back([&] {
      const std::lock_guard hold(m);
      heddle::this_fiber::sleep_for(1s);
    });
    for (int i = 1; i < 200; ++i) {
      line.emplace_back([&, before = &line.back()] {
        { const std::lock_guard hold(m); }
        before->join();
      });
    }
    line.back().join();
  });
  return 0;
}
