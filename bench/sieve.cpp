// SPDX-License-Identifier: BSL-1.0
// How fast do values run through a long chain of tasks? Row 13: the first `n` primes, by Go's
// sieve: a generator, and a filter for each prime found, all joined by unbuffered channels. The
// clock stops at the last prime; taking the chain down is not timed. The last prime is checked.
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "heddle_world.hpp"
#include "known_work.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
double sieve(std::int64_t n, std::int64_t expected) {
  using channel = typename World::template channel<std::int64_t>;
  typename World::wait_group ended;
  std::vector<channel> chain(1);
  std::int64_t last = 0;
  const double seconds = timed([&] {
    ended.go([out = chain[0]]() mutable {
      for (std::int64_t i = 2; out.send(i);) ++i;
    });
    for (std::int64_t i = 0; i < n; ++i) {
      last = *chain.back().receive();
      if (i + 1 == n) break;
      channel next;
      ended.go([in = chain.back(), out = next, prime = last]() mutable {
        while (const auto value = in.receive())
          if (*value % prime != 0 && !out.send(*value)) break;
      });
      chain.push_back(next);
    }
  });
  for (channel& link : chain) link.close();
  ended.wait();
  if (last != expected) throw std::logic_error("sieve: wrong prime");
  return seconds;
}

template <class World>
void primes(benchmark::State& state) {
  const std::int64_t n = state.range(1);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  measure(state, world, n, [n, expected = nth_prime(n)] { return sieve<World>(n, expected); });
}

BENCHMARK(primes<heddle_world>)
    ->Name("sieve/heddle")
    ->ArgNames({"w", "n"})
    ->Args({1, 100})
    ->Args({2, 100})
    ->Args({1, 2'000})
    ->Args({2, 2'000})
    ->UseManualTime();
BENCHMARK(primes<thread_world>)
    ->Name("sieve/thread")
    ->ArgNames({"w", "n"})
    ->Args({1, 100})
    ->Args({2, 100})
    ->UseManualTime();

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
