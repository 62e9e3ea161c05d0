// SPDX-License-Identifier: BSL-1.0
// What does it cost to wait for the first of several channels? Row 8. As many senders as channels,
// each unbuffered, and one task that selects over all of them; an operation is one value, sent and
// received. Threads have no select: their rival is what one writes instead, one queue under one
// lock that all senders share.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

// The receiving ends of n channels, as a body sees them: a value from any of them.
template <class World, std::size_t n>
class inputs;

template <std::size_t n>
class inputs<heddle_world, n> {
 public:
  heddle::channel<std::int64_t>& channel(std::size_t i) { return channels_[i]; }
  std::int64_t receive() {
    return [this]<std::size_t... i>(std::index_sequence<i...>) {
      std::int64_t got = 0;
      heddle::select(heddle::on_receive(
          channels_[i], [&got](std::optional<std::int64_t> value) { got = *value; })...);
      return got;
    }
    (std::make_index_sequence<n>());
  }

 private:
  std::array<heddle::channel<std::int64_t>, n> channels_;
};

template <std::size_t n>
class inputs<thread_world, n> {
 public:
  thread_channel<std::int64_t>& channel(std::size_t) { return shared_; }
  std::int64_t receive() { return *shared_.receive(); }

 private:
  thread_channel<std::int64_t> shared_;
};

template <class World, std::size_t n>
void select_over(benchmark::State& state) {
  const std::int64_t values = state.range(1);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  measure(state, world, values, [values] {
    inputs<World, n> from;
    std::deque<typename World::task> senders;
    return timed([&] {
      for (std::size_t i = 0; i < n; ++i)
        senders.emplace_back([&to = from.channel(i), each = values / std::int64_t{n}] {
          for (std::int64_t value = 0; value < each; ++value) to.send(value);
        });
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < values; ++i) sum += from.receive();
      benchmark::DoNotOptimize(sum);
      senders.clear();  // joins
    });
  });
}

void cases(benchmark::internal::Benchmark* b, std::int64_t values) {
  b->ArgNames({"w", "n"})->UseManualTime();
  for (const int workers : {1, 2}) b->Args({workers, values});
}
void fiber_cases(benchmark::internal::Benchmark* b) { cases(b, 4'000); }
void thread_cases(benchmark::internal::Benchmark* b) { cases(b, 400); }

BENCHMARK(select_over<heddle_world, 2>)->Name("select/heddle/over:2")->Apply(fiber_cases);
BENCHMARK(select_over<heddle_world, 8>)->Name("select/heddle/over:8")->Apply(fiber_cases);
BENCHMARK(select_over<thread_world, 2>)->Name("select/thread/over:2")->Apply(thread_cases);
BENCHMARK(select_over<thread_world, 8>)->Name("select/thread/over:8")->Apply(thread_cases);

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
