// SPDX-License-Identifier: BSL-1.0
// What does a fine-grained tree of tasks cost? Row 11, `fib`: the Fibonacci number of `n`, as it is
// defined: each call that is not trivial starts a task for one of its two calls, makes the other
// itself, and joins: 1,346,268 tasks for fib(30). So it is written for the rivals too. `ns` is the
// time of one task. Threads: a smaller `n`, as many as a process can have at once.
#include <cstdint>
#include <stdexcept>

#include "heddle_world.hpp"
#include "known_work.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
std::int64_t fib(std::int64_t n) {
  if (n < 2) return n;
  std::int64_t one = 0;
  typename World::task task([&one, n] { one = fib<World>(n - 1); });
  const std::int64_t other = fib<World>(n - 2);
  task.join();
  return one + other;
}

template <class World>
void calls(benchmark::State& state) {
  const std::int64_t n = state.range(1);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  const fibonacci expected(n);
  measure(state, world, expected.tasks, [n, expected] {
    std::int64_t result = 0;
    const double seconds = timed([&] { result = fib<World>(n); });
    if (result != expected.value) throw std::logic_error("fib: wrong number");
    return seconds;
  });
}

BENCHMARK(calls<heddle_world>)
    ->Name("fib/heddle")
    ->ArgNames({"w", "n"})
    ->Args({1, 15})
    ->Args({2, 15})
    ->Args({1, 30})
    ->Args({2, 30})
    ->UseManualTime();
BENCHMARK(calls<thread_world>)
    ->Name("fib/thread")
    ->ArgNames({"w", "n"})
    ->Args({1, 15})
    ->Args({2, 15})
    ->UseManualTime();

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
