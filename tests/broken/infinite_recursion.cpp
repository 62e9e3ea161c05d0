// SPDX-License-Identifier: BSL-1.0
// infinite_recursion: a function calls itself without an end.
//   Says: stack overflow in fiber \d+ 'parser': its stack of 256 KiB is full
//   Says: ^heddle: it is a recursion, \d{3,} calls deep: .*parse \(.*infinite_recursion\.cpp:\d
//   Ends: SIGSEGV
//   Not with: AddressSanitizer, ThreadSanitizer, which end it in their own way
#include <heddle/heddle.hpp>

volatile int depth = 0;

static int parse(int n) {
  depth = n;
  return n < 0 ? 0 : parse(n + 1) + depth;
}

int main() {
  heddle::run(
      [] { heddle::fiber parser({.name = "parser", .stack_size = 256 * 1024}, [] { parse(0); }); });
  return 0;
}
