// SPDX-License-Identifier: BSL-1.0
// What does a switch cost when there are many to switch between? Row 2, and the plot of cost
// against number of fibers. `n` tasks yield `yields` times each; an operation is one yield.
// Starting and joining them counts, in every world alike. The floor jumps round a ring of bare
// contexts.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "raw_context.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
void yield_many(benchmark::State& state) {
  const std::int64_t n = state.range(1), yields = state.range(2);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  measure(state, world, n * yields, [n, yields] {
    return timed([n, yields] {
      typename World::wait_group ended;
      for (std::int64_t i = 0; i < n; ++i)
        ended.go([yields] {
          for (std::int64_t k = 0; k < yields; ++k) World::yield();
        });
      ended.wait();
    });
  });
}

// A ring of contexts; the last one is the main stack, which makes the ring and starts each round.
struct ring {
  std::vector<raw::fcontext_t> contexts;  // where each member goes on
};
struct member {
  ring* all;
  std::size_t index;
};

// Resumed by the member before it, whose context it notes; goes on to the one after it. What it
// passes along tells a member that runs for the first time who it is.
void go_round(raw::transfer_t from) {
  member* const me = static_cast<member*>(from.data);
  auto& contexts = me->all->contexts;
  auto& before = me->index == 0 ? contexts.back() : contexts[me->index - 1];
  auto& after = contexts[me->index + 1];
  for (;;) {
    before = from.fctx;
    from = raw::jump_fcontext(after, me + 1);
  }
}

void raw_ring(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0)) - 1;  // and the main stack
  const std::int64_t rounds = state.range(1);
  const raw_stacks stacks(n);
  ring all;
  all.contexts.resize(n + 1);
  std::vector<member> members(n);
  clear_float_flags();
  for (std::size_t i = 0; i < n; ++i) {
    members[i] = {&all, i};
    all.contexts[i] = stacks.make(i, go_round);
  }
  bare_world world;
  measure(state, world, state.range(0) * rounds, [&] {
    clear_float_flags();
    return timed([&] {
      for (std::int64_t i = 0; i < rounds; ++i)
        all.contexts[n - 1] = raw::jump_fcontext(all.contexts[0], members.data()).fctx;
    });
  });
}

// As many switches with few tasks as with many, so that a point of the plot is no start-up time.
void sizes(benchmark::internal::Benchmark* b, std::int64_t most, std::int64_t total) {
  b->ArgNames({"w", "n", "yields"})->UseManualTime();
  for (const std::int64_t workers : {1, 2})
    for (std::int64_t n = 10; n <= most; n *= 10)
      b->Args({workers, n, std::max<std::int64_t>(total / n, n > 10'000 ? 20 : 100)});
}

// The ring stands already: a few rounds will do.
void rounds(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "yields"})->UseManualTime();
  for (std::int64_t n = 10; n <= 100'000; n *= 10) b->Args({n, 100'000 / n});
}

BENCHMARK(raw_ring)->Name("yield_many/raw_ring")->Apply(rounds);
BENCHMARK(yield_many<heddle_world>)->Name("yield_many/heddle")->Apply([](auto* b) {
  sizes(b, 1'000'000, 100'000);
});
BENCHMARK(yield_many<thread_world>)->Name("yield_many/thread")->Apply([](auto* b) {
  sizes(b, 1'000, 10'000);
});

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
