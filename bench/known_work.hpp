// SPDX-License-Identifier: BSL-1.0
// known_work: what a benchmark and its rivals in C++ must come out with, found without any task;
// and work of a known size. Knows neither heddle nor Google Benchmark.
#pragma once

#include <cstdint>
#include <vector>

namespace bench {

// Some arithmetic, less than a millisecond's. It depends on itself step by step: no core can hurry
// it.
inline void work() {
  std::uint64_t x = 1;
  for (int i = 0; i < 400'000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : "+r"(x));  // each step is made
  }
}

// What fib(n) is, and how many tasks its tree has: one for each call that is not trivial.
struct fibonacci {
  explicit fibonacci(std::int64_t n) {
    std::int64_t next = 1;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t sum = value + next;
      value = next;
      next = sum;
    }
    tasks = next - 1;
  }
  std::int64_t value = 0;
  std::int64_t tasks = 0;
};

inline std::int64_t nth_prime(std::int64_t n) {
  std::vector<std::int64_t> primes;
  for (std::int64_t c = 2; static_cast<std::int64_t>(primes.size()) < n; ++c) {
    bool prime = true;
    for (const std::int64_t p : primes) {
      if (p * p > c) break;
      if (c % p == 0) prime = false;
    }
    if (prime) primes.push_back(c);
  }
  return primes.back();
}

}  // namespace bench
