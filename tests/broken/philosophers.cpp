// SPDX-License-Identifier: BSL-1.0
// philosophers: each has the fork on his left, and waits for the one on his right.
//   Says: ^heddle: deadlock: 5 fibers wait for each other, for ever:$
//   Says: ^  fiber \d+ 'philosopher \d' waits to lock mutex 0x\w+, which fiber \d+ '.* \d' owns$
//   Says: ^  fiber \d+ 'philosopher \d' waits to lock mutex 0x\w+, which fiber \d+ '.* \d' owns$
//   Says: ^  fiber \d+ 'philosopher \d' waits to lock mutex 0x\w+, which fiber \d+ '.* \d' owns$
//   Says: ^  fiber \d+ 'philosopher \d' waits to lock mutex 0x\w+, which fiber \d+ '.* \d' owns$
//   Says: ^  fiber \d+ 'philosopher \d' waits to lock mutex 0x\w+, which fiber \d+ '.* \d' owns$
//   Says: ^5 fibers alike: .* wait to lock mutex
//   Says: dine.*philosophers\.cpp:27
//   Ends: SIGABRT
#include <heddle/heddle.hpp>

#include <array>
#include <mutex>
#include <string>

using namespace std::chrono_literals;

constexpr int seats = 5;
std::array<heddle::mutex, seats> forks;

void dine(int seat, heddle::latch& all_have_one) {
  heddle::this_fiber::set_name("philosopher " + std::to_string(seat));
  const std::lock_guard left(forks[seat]);
  all_have_one.arrive_and_wait();
  const std::lock_guard right(forks[(seat + 1) % seats]);
}

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::latch all_have_one(seats);
    heddle::task_group table;
    for (int seat = 0; seat < seats; ++seat) {
      table.spawn([seat, &all_have_one] { dine(seat, all_have_one); });
    }
    heddle::fiber waiter({.name = "waiter"}, [](std::stop_token stop) {
      while (!stop.stop_requested()) heddle::this_fiber::sleep_for(1ms);  // the rest goes on
    });
    table.wait();
  });
  return 0;
}
