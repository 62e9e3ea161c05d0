// SPDX-License-Identifier: BSL-1.0
// What does a process cost that has nothing to do? Row 12, 'no CPU when idle'. `n` tasks wait, the
// first one sleeps for a second; the counter is the processor time of the process, in milliseconds
// a second. The threads show what a process costs that certainly sleeps.
#include <chrono>
#include <cstdint>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
void idle(benchmark::State& state) {
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  double cpu_ms = 0;
  for (auto _ : state) {
    state.SetIterationTime(world.run([&] {
      typename World::wait_group event, ended;
      event.add();
      for (std::int64_t i = 0; i < state.range(1); ++i) ended.go([&] { event.wait(); });
      World::sleep_for(std::chrono::milliseconds(100));  // all wait, and the workers have gone idle
      const double cpu_before = cpu_seconds();
      const double seconds = timed([] { World::sleep_for(std::chrono::seconds(1)); });
      cpu_ms += (cpu_seconds() - cpu_before) * 1e3 / seconds;
      event.done();
      ended.wait();
      return seconds;
    }));
  }
  state.counters["cpu_ms"] = cpu_ms / static_cast<double>(state.iterations());
}

void cases(benchmark::internal::Benchmark* b) {
  b->ArgNames({"w", "n"})->UseManualTime()->Iterations(1)->Args({1, 1'000})->Args({2, 1'000});
}
BENCHMARK(idle<heddle_world>)->Name("idle/heddle")->Apply(cases);
BENCHMARK(idle<thread_world>)->Name("idle/thread")->Apply(cases);

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
