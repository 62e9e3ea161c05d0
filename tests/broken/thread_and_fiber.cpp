// SPDX-License-Identifier: BSL-1.0
// thread_and_fiber: the main thread waits for a fiber that wants the lock which the thread has.
//   Says: ^heddle: deadlock: 2 fibers or threads wait for each other, for ever
//   Says: (waits for the end of fiber \d+ 'reader'|, which thread \d+ owns)$
//   Says: ^thread \d+ waits for the end of fiber
//   Says: #1 .*thread_and_fiber\.cpp:\d
//   Says: ^fiber \d+ 'reader' waits to lock mutex 0x
//   Ends: hangs
#include <heddle/heddle.hpp>

#include <mutex>

int main() {
  heddle::mutex settings;
  const std::lock_guard hold(settings);
  heddle::fiber reader({.name = "reader"}, [&] { const std::lock_guard again(settings); });
  reader.join();
  return 0;
}
