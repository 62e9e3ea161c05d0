// SPDX-License-Identifier: BSL-1.0
// timers: all fibers wait, but one of them not for ever; two of them, in a circle, not either.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <mutex>

using namespace std::chrono_literals;

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::channel<int> never;
    (void)never.receive_for(700ms);
    heddle::timed_mutex a, b;
    heddle::barrier<> both(2);
    heddle::task_group two;
    two.spawn([&] {
      const std::lock_guard hold(a);
      both.arrive_and_wait();
      if (b.try_lock_for(700ms)) b.unlock();
    });
    two.spawn([&] {
      const std::lock_guard hold(b);
      both.arrive_and_wait();
      const std::lock_guard hold_other(a);
    });
    two.wait();
  });
  return 0;
}
