// SPDX-License-Identifier: BSL-1.0
// cancellable_wait: nobody else holds the channel, but somebody may cancel the fiber that waits.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

using namespace std::chrono_literals;

int main() {
  heddle::run([] {
    heddle::fiber one([] { (void)heddle::channel<int>().receive(); });
    heddle::this_fiber::sleep_for(1s);
    one.cancel();
  });
  return 0;
}
