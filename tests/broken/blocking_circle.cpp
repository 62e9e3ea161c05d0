// SPDX-License-Identifier: BSL-1.0
// blocking_circle: a blocking() call wants a lock of the fiber that waits for the call.
//   Says: ^heddle: deadlock: 2 fibers or threads wait for each other, for ever
//   Says: (call 0x\w+, until thread \d+ has ended|which fiber \d+ 'saver' owns)$
//   Says: (call 0x\w+, until thread \d+ has ended|which fiber \d+ 'saver' owns)$
//   Says: ^thread \d+ waits to lock mutex 0x
//   Says: #0 heddle::mutex::lock
//   Says: blocking_circle\.cpp:\d
//   Ends: SIGABRT
#include <heddle/heddle.hpp>

#include <mutex>

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::this_fiber::set_name("saver");
    heddle::mutex document;
    const std::lock_guard hold(document);
    heddle::blocking([&] { const std::lock_guard again(document); });
  });
  return 0;
}
