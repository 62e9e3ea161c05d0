// SPDX-License-Identifier: BSL-1.0
// left_waiting: fibers of the default runtime wait for ever, and main returns.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <chrono>
#include <thread>

using namespace std::chrono_literals;

int main() {
  static heddle::channel<int> never;
  for (int i = 0; i < 100; ++i) {
    heddle::go([] { (void)never.receive(); });
  }
  std::this_thread::sleep_for(1s);
  return 0;
}
