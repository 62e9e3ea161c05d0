// SPDX-License-Identifier: BSL-1.0
// ordered_philosophers: they take the lower fork first, and eat for a second and a half.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>

using namespace std::chrono_literals;

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    constexpr int seats = 50;
    std::array<heddle::mutex, seats> forks;
    heddle::task_group table;
    const auto end = std::chrono::steady_clock::now() + 1500ms;
    for (int seat = 0; seat < seats; ++seat) {
      table.spawn([&, seat] {
        const auto [first, second] = std::minmax({seat, (seat + 1) % seats});
        while (std::chrono::steady_clock::now() < end) {
          const std::lock_guard low(forks[static_cast<std::size_t>(first)]);
          heddle::this_fiber::yield();
          const std::lock_guard high(forks[static_cast<std::size_t>(second)]);
          heddle::this_fiber::yield();
        }
      });
    }
    table.wait();
  });
  return 0;
}
