// SPDX-License-Identifier: BSL-1.0
// escaping_exception: nobody catches what a fiber throws.
//   Says: ^heddle: an exception left fiber \d+ 'loader': std::out_of_range: vector
//   Ends: SIGABRT
#include <heddle/heddle.hpp>

#include <vector>

int main() {
  heddle::run([] {
    heddle::fiber loader({.name = "loader"}, [] {
      const std::vector<int> numbers;
      (void)numbers.at(7);
    });
  });
  return 0;
}
