// SPDX-License-Identifier: BSL-1.0
// main_sleeps: the default runtime's fibers all wait while the main thread does something else, by
//   which it wakes them in the end.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>

using namespace std::chrono_literals;

int main() {
  heddle::latch start(1), over(3);
  for (int i = 0; i < 3; ++i) {
    heddle::go([&] {
      start.wait();
      over.count_down();
    });
  }
  std::mutex m;
  std::condition_variable timer;
  std::unique_lock hold(m);
  timer.wait_for(hold, 1500ms);
  start.count_down();
  over.wait();
  return 0;
}
