// SPDX-License-Identifier: BSL-1.0
// use_after_return: a function that starts a fiber returns before it, and takes what that one
//   works on with it.
//   Only with: AddressSanitizer
//   Says: ERROR: AddressSanitizer: stack-use-after-return
//   Says: ^READ of size 4
//   Says: /use_after_return.cpp:
//   Ends: 1
#include <heddle/heddle.hpp>

heddle::fiber start_counting(heddle::channel<int> numbers) {
  int sum = 0;
  return heddle::fiber([numbers, &sum] {
    for (const int each : numbers) sum += each;
  });
}

int main() {
  heddle::run([] {
    heddle::channel<int> numbers;
    heddle::fiber counting = start_counting(numbers);
    numbers.send(1);
    numbers.close();
    counting.join();
  });
  return 0;
}
