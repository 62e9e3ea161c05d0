// SPDX-License-Identifier: BSL-1.0
// Do two workers do twice the work of one? Row 15. `n` chunks of arithmetic, each less than a
// millisecond, one task a chunk; one worker and two take turns in one run, and the counter
// `speed_up` is the ratio of their times. The floor gives each of two threads its half beforehand.
#include <cstdint>
#include <memory>

#include "heddle_world.hpp"
#include "known_work.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

double split(heddle_world& world, unsigned, std::int64_t chunks) {
  return world.run([chunks] {
    return timed([chunks] {
      heddle_world::wait_group ended;
      for (std::int64_t i = 0; i < chunks; ++i) ended.go(work);
      ended.wait();
    });
  });
}

double split(thread_world&, unsigned workers, std::int64_t chunks) {
  return timed([workers, chunks] {
    thread_world::wait_group ended;
    for (unsigned w = 0; w < workers; ++w)
      ended.go([w, each = chunks / workers] {
        const pinned pin(w);
        for (std::int64_t i = 0; i < each; ++i) work();
      });
    ended.wait();
  });
}

// A world of one worker and one of two would pin the same thread twice: each lives in its turn.
template <class World>
double in_turn(unsigned workers, std::int64_t chunks) {
  World world(workers);
  split(world, workers, chunks / 10);
  return split(world, workers, chunks);
}

template <class World>
void speed_up(benchmark::State& state) {
  const std::int64_t chunks = state.range(0);
  if (!has_cores(state, 2)) return;
  double one = 0, two = 0;
  for (auto _ : state) {
    one += in_turn<World>(1, chunks);
    const double seconds = in_turn<World>(2, chunks);
    two += seconds;
    state.SetIterationTime(seconds);
  }
  state.counters["speed_up"] = one / two;
  state.counters["one_s"] = one / static_cast<double>(state.iterations());
  state.counters["two_s"] = two / static_cast<double>(state.iterations());
}

BENCHMARK(speed_up<heddle_world>)->Name("scaling/heddle")->ArgName("n")->Arg(200)->UseManualTime();
BENCHMARK(speed_up<thread_world>)->Name("scaling/thread")->ArgName("n")->Arg(200)->UseManualTime();

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
