// SPDX-License-Identifier: BSL-1.0
// forgotten_close: nobody closes the channel that the consumers read to its end.
//   Says: ^heddle: deadlock: all fibers wait \(4\), and nothing can wake one: no timer is set
//   Says: ^thread \d+ waits for the end of fiber \d+ for
//   Says: #1 .*forgotten_close\.cpp:1\d
//   Says: wait to receive from channel 0x|waits to receive from channel 0x
//   Says: forgotten_close\.cpp:(21|22|23)
//   Says: started by .*forgotten_close\.cpp:(20|21|22)
//   Ends: hangs
#include <heddle/heddle.hpp>

#include <cstdio>

int main() {
  heddle::run([] {
    heddle::channel<int> orders(10);
    heddle::wait_group consumers;
    int served = 0;
    heddle::mutex counting;
    for (int i = 0; i < 3; ++i) {
      consumers.go([&] {
        for (const int order : orders) {
          served += order;
        }
      });
    }
    for (int i = 0; i < 10; ++i) orders.send(1);
    consumers.wait();  // without: orders.close()
    std::printf("%d\n", served);
  });
  return 0;
}
