// SPDX-License-Identifier: BSL-1.0
// How many values pass through a buffered channel? Row 4. A channel of capacity 128, `ends` senders
// and as many receivers (1: chan_spsc, 4: chan_mpmc); an operation is one value, sent and received.
#include <cstdint>
#include <deque>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
double pass(std::int64_t ends, std::int64_t values) {
  typename World::template channel<std::int64_t> channel(128);
  typename World::wait_group senders;
  std::deque<typename World::task> receivers;
  std::deque<std::int64_t> sums(static_cast<std::size_t>(ends));
  return timed([&] {
    for (std::int64_t& sum : sums)
      receivers.emplace_back([&channel, &sum] {
        std::int64_t mine = 0;
        while (auto value = channel.receive()) mine += *value;
        sum = mine;
      });
    for (std::int64_t i = 0; i < ends; ++i)
      senders.go([&channel, each = values / ends] {
        for (std::int64_t value = 0; value < each; ++value) channel.send(value);
      });
    senders.wait();
    channel.close();
    receivers.clear();  // joins
    benchmark::DoNotOptimize(sums.front());
  });
}

template <class World>
void buffered(benchmark::State& state) {
  const std::int64_t ends = state.range(1), values = state.range(2);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  measure(state, world, values, [=] { return pass<World>(ends, values); });
  state.counters["million_per_s"] = 1e3 / state.counters["ns"];
}

void cases(benchmark::internal::Benchmark* b) {
  b->ArgNames({"w", "ends", "n"})->UseManualTime();
  for (const int ends : {1, 4})
    for (const int workers : {1, 2}) b->Args({workers, ends, 1'000'000});
}
BENCHMARK(buffered<heddle_world>)->Name("chan_buffered/heddle")->Apply(cases);
BENCHMARK(buffered<thread_world>)->Name("chan_buffered/thread")->Apply(cases);

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
