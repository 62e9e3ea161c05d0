// SPDX-License-Identifier: BSL-1.0
// What does it cost to start an empty task and wait for its end? Row 5, `spawn_join_one`. The floor
// makes a bare context on a warm stack, runs it, and comes back.
#include <cstdint>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "raw_context.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
void spawn_join(benchmark::State& state) {
  const std::int64_t n = state.range(1);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  measure(state, world, n, [n] {
    return timed([n] {
      for (std::int64_t i = 0; i < n; ++i) typename World::task([] {}).join();
    });
  });
}

void come_back(raw::transfer_t from) { raw::jump_fcontext(from.fctx, nullptr); }

void raw_context(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const raw_stacks stacks(1);
  bare_world world;
  measure(state, world, n, [&] {
    clear_float_flags();
    return timed([&] {
      for (std::int64_t i = 0; i < n; ++i) {
        const auto context = stacks.make(0, come_back);
        benchmark::DoNotOptimize(raw::jump_fcontext(context, nullptr));
      }
    });
  });
}

BENCHMARK(raw_context)->Name("spawn_join/raw_context")->ArgName("n")->Arg(5'000)->UseManualTime();
BENCHMARK(spawn_join<heddle_world>)
    ->Name("spawn_join/heddle")
    ->ArgNames({"w", "n"})
    ->Args({1, 5'000})
    ->Args({2, 5'000})
    ->UseManualTime();
BENCHMARK(spawn_join<thread_world>)
    ->Name("spawn_join/thread")
    ->ArgNames({"w", "n"})
    ->Args({1, 1'000})
    ->Args({2, 1'000})
    ->UseManualTime();

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
