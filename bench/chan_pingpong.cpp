// SPDX-License-Identifier: BSL-1.0
// What does it cost to hand a value to another task and get one back? Row 3. Two tasks, two
// unbuffered channels; an operation is one round trip, and so two switches.
#include <cstdint>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
void ping_pong(benchmark::State& state) {
  const std::int64_t trips = state.range(1);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  measure(state, world, trips, [trips] {
    typename World::template channel<std::int64_t> there, back;
    const typename World::task echo([&] {
      while (auto value = there.receive()) back.send(*value);
    });
    const auto trip = [&](std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        there.send(i);
        benchmark::DoNotOptimize(back.receive());
      }
    };
    trip(trips / 10);
    const double seconds = timed([&] { trip(trips); });
    there.close();
    return seconds;
  });
}

BENCHMARK(ping_pong<heddle_world>)
    ->Name("chan_pingpong/heddle")
    ->ArgNames({"w", "n"})
    ->Args({1, 5'000})
    ->Args({2, 5'000})
    ->UseManualTime();
BENCHMARK(ping_pong<thread_world>)
    ->Name("chan_pingpong/thread")
    ->ArgNames({"w", "n"})
    ->Args({1, 200})
    ->Args({2, 200})
    ->UseManualTime();

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
