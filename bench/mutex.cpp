// SPDX-License-Identifier: BSL-1.0
// What does a lock cost that many tasks want? Row 7. 64 tasks increment one counter; an operation
// is one lock and unlock. Also with a yield while the lock is held, so that all the others come to
// wait. The floor is an atomic addition by one thread.
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

void atomic_add(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  std::atomic<std::int64_t> counter{0};  // one thread
  bare_world world;
  measure(state, world, n, [&] {
    return timed([&] {
      for (std::int64_t i = 0; i < n; ++i) counter.fetch_add(1, std::memory_order_relaxed);
    });
  });
}

template <class World, bool YieldInside>
void contend(benchmark::State& state) {
  const std::int64_t tasks = state.range(1), times = state.range(2);
  if (!has_cores(state, state.range(0))) return;
  World world(static_cast<unsigned>(state.range(0)));
  typename World::mutex mutex;
  std::int64_t counter = 0, expected = 0;  // counter: guarded by mutex
  measure(state, world, tasks * times, [&] {
    expected += tasks * times;
    return timed([&] {
      std::deque<typename World::task> all;
      for (std::int64_t i = 0; i < tasks; ++i)
        all.emplace_back([&] {
          for (std::int64_t k = 0; k < times; ++k) {
            const std::scoped_lock lock(mutex);
            ++counter;
            if constexpr (YieldInside) World::yield();
          }
        });
    });
  });
  if (counter != expected) state.SkipWithError("an increment was lost");
}

BENCHMARK(atomic_add)->Name("mutex/atomic_add")->ArgName("n")->Arg(100'000)->UseManualTime();

void cases(benchmark::internal::Benchmark* b, std::int64_t times) {
  b->ArgNames({"w", "tasks", "times"})->UseManualTime();
  for (const int workers : {1, 2}) b->Args({workers, 64, times});
}
BENCHMARK(contend<heddle_world, false>)->Name("mutex/heddle")->Apply([](auto* b) {
  cases(b, 20'000);
});
BENCHMARK(contend<thread_world, false>)->Name("mutex/thread")->Apply([](auto* b) {
  cases(b, 20'000);
});
BENCHMARK(contend<heddle_world, true>)->Name("mutex_yield/heddle")->Apply([](auto* b) {
  cases(b, 20'000);
});
BENCHMARK(contend<thread_world, true>)->Name("mutex_yield/thread")->Apply([](auto* b) {
  cases(b, 500);
});

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
