// SPDX-License-Identifier: BSL-1.0
// What does it cost to start an empty task and wait for its end? Row 5, `spawn_join_one`. The floor
// makes a context of Boost.Context's on a warm stack, runs it to its end, and destroys it.
#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

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

/// The stack stays.
struct kept_stack {
  void deallocate(boost::context::stack_context&) noexcept {}
};

void context(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  alignas(64) static std::byte stack[16 * 1024];
  boost::context::stack_context place;
  place.sp = stack + sizeof stack;
  place.size = sizeof stack;
  bare_world world;
  measure(state, world, n, [&] {
    clear_float_flags();
    return timed([&] {
      for (std::int64_t i = 0; i < n; ++i) {
        boost::context::fiber one(
            std::allocator_arg, boost::context::preallocated(place.sp, place.size, place),
            kept_stack{}, [](boost::context::fiber&& from) { return std::move(from); });
        benchmark::DoNotOptimize(one = std::move(one).resume());
      }
    });
  });
}

BENCHMARK(context)->Name("spawn_join/context")->ArgName("n")->Arg(5'000)->UseManualTime();
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
