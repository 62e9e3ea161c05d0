// SPDX-License-Identifier: BSL-1.0
// A program of somebody who uses heddle and knows nothing of its source tree.
#include <heddle/heddle.hpp>

#include <cstdio>

int main() {
  const int sum = heddle::run([] {
    heddle::channel<int> numbers;
    heddle::go([numbers]() mutable {
      for (int i = 1; i <= 100; ++i) numbers.send(i);
      numbers.close();
    });
    int total = 0;
    for (int number : numbers) total += number;
    return total;
  });
  std::printf("%d\n", sum);
  return sum == 5050 ? 0 : 1;
}
