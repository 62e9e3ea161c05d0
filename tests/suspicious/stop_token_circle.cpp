// SPDX-License-Identifier: BSL-1.0
// stop_token_circle: two wait for each other's locks, but one of them with a token that is stopped.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <mutex>
#include <stop_token>

using namespace std::chrono_literals;

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::mutex a, b;
    heddle::barrier<> both(2);
    std::stop_source stop;
    heddle::fiber patient([&] {
      const std::lock_guard hold(a);
      both.arrive_and_wait();
      const std::lock_guard hold_other(b);
    });
    heddle::fiber wary([&] {
      const std::lock_guard hold(b);
      both.arrive_and_wait();
      if (a.lock(stop.get_token())) a.unlock();
    });
    heddle::this_fiber::sleep_for(1s);
    stop.request_stop();
  });
  return 0;
}
