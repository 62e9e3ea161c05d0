// SPDX-License-Identifier: BSL-1.0
// parallel_sum: work for the processor, spread over all workers, against the same on one.
//
// It sums the prime numbers below N, each tested by trial division. The range is cut into many
// blocks, one fiber each. Blocks of larger numbers take longer, and no one plans who does which: a
// worker that has nothing left to do steals fibers from another.

#include <heddle/heddle.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string_view>

constexpr std::string_view usage =
    "usage: parallel_sum [--help] [N]\n"
    "Sums the primes below N, 2000000 unless told, on one worker and on all of them.\n";

bool is_prime(std::uint32_t n) {
  if (n < 4) return n > 1;
  if (n % 2 == 0) return false;
  for (std::uint32_t d = 3; d <= n / d; d += 2)
    if (n % d == 0) return false;
  return true;
}

// Runs in a fiber. Starts a fiber for each block of numbers, and adds up what they send.
std::uint64_t sum_of_primes(std::uint64_t limit) {
  constexpr std::uint64_t blocks = 1000;
  heddle::channel<std::uint64_t> sums;
  for (std::uint64_t block = 0; block < blocks; ++block) {
    const auto first = static_cast<std::uint32_t>(limit * block / blocks);
    const auto last = static_cast<std::uint32_t>(limit * (block + 1) / blocks);
    heddle::go([sums, first, last] {
      std::uint64_t sum = 0;
      for (std::uint32_t n = first; n < last; ++n)
        if (is_prime(n)) sum += n;
      sums.send(sum);
    });
  }

  std::uint64_t total = 0;
  for (std::uint64_t block = 0; block < blocks; ++block) total += sums.receive().value();
  return total;
}

// Runs it in a runtime of its own; prints the sum and the time, and returns the time in seconds.
double measure(heddle::options options, std::uint32_t limit) {
  return heddle::run(options, [limit] {
    const auto start = std::chrono::steady_clock::now();
    const std::uint64_t sum = sum_of_primes(limit);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    std::cout << "workers " << heddle::runtime::current()->workers() << ": sum " << sum << ", "
              << static_cast<long>(time.count() * 1000) << " ms" << std::endl;
    return time.count();
  });
}

int main(int argc, char** argv) {
  std::uint32_t limit = 2'000'000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--help") {
      std::cout << usage;
      return 0;
    }
    const char* const end = arg.data() + arg.size();
    const auto parsed = std::from_chars(arg.data(), end, limit);
    if (i > 1 || parsed.ec != std::errc{} || parsed.ptr != end) {
      std::cerr << "parallel_sum: '" << arg << "' is not one number below 2^32\n" << usage;
      return 2;
    }
  }

  const double one = measure({.workers = 1}, limit);
  const double all = measure({}, limit);  // as many as there are processors to use
  std::cout << "all workers were " << static_cast<long>(one / all * 10) / 10.0
            << " times as fast as one" << std::endl;
  return std::cout ? 0 : 1;
}
