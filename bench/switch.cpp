// SPDX-License-Identifier: BSL-1.0
// What does it cost to switch from one flow of control to another and back? Row 1.
// Two parties take turns; an operation is one switch, half of a round trip. The floor is a function
// call, then a bare jump of Boost.Context; ours is yield between two fibers; the rivals are two
// threads that hand a turn to each other, on one core and on two.
// A yield that finds nobody else to run on its worker is no switch: the counter `switched` is the
// share of the yields that the runtime, or the kernel, counted as a switch.
#include <cstdint>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "raw_context.hpp"
#include "thread_handoff.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

[[gnu::noinline]] void callee() { asm volatile("" ::: "memory"); }

void call(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  bare_world world;
  measure(state, world, n, [n] {
    return timed([n] {
      for (std::int64_t i = 0; i < n; ++i) callee();
    });
  });
}

// Jumps straight back to whoever jumped here, for ever.
void jump_back(raw::transfer_t from) {
  for (;;) from = raw::jump_fcontext(from.fctx, nullptr);
}

void raw_jump(benchmark::State& state, bool float_first) {
  const std::int64_t n = state.range(0);
  bare_world world;
  const raw_stacks stacks(1);
  clear_float_flags();
  raw::fcontext_t other = stacks.make(0, jump_back);
  measure(state, world, n, [&] {
    clear_float_flags();
    if (float_first) float_work();
    return timed([&] {
      for (std::int64_t i = 0; i < n; i += 2) other = raw::jump_fcontext(other, nullptr).fctx;
    });
  });
}

void heddle_yield(benchmark::State& state, bool float_first) {
  const auto workers = static_cast<unsigned>(state.range(0));
  const std::int64_t n = state.range(1);
  if (!has_cores(state, workers)) return;
  heddle_world world(workers);
  const auto before = world.stats();
  std::uint64_t yields = 0, switches = 0;
  measure(state, world, n, [&, n, float_first] {
    const auto once = [n, float_first] {
      return timed([n, float_first] {
        const auto party = [n](bool work) {
          if (work) float_work();
          for (std::int64_t i = 0; i < n; i += 2) heddle_world::yield();
        };
        const heddle_world::task a(party, float_first), b(party, false);
      });
    };
    // With two workers each may come to have one of the two: then nobody switches, and the pass
    // does not count.
    for (int again = 0;; ++again) {
      const auto at_first = world.stats().switches;
      const double spent = once();
      const auto switched = world.stats().switches - at_first;
      if (switched * 10 < static_cast<std::uint64_t>(n) * 9 && again < 100) continue;
      yields += static_cast<std::uint64_t>(n);
      switches += switched;
      return spent;
    }
  });
  const auto after = world.stats();
  state.counters["switched"] = static_cast<double>(switches) / static_cast<double>(yields);
  state.counters["steals"] = static_cast<double>(after.steals - before.steals);
  state.counters["spares"] = static_cast<double>(after.spare_workers);
}

template <class Handoff>
void threads(benchmark::State& state) {
  const std::int64_t n = state.range(1);
  const auto used = static_cast<unsigned>(state.range(0));
  if (!has_cores(state, used)) return;
  thread_world world(used);
  const std::int64_t before = kernel_switches();
  measure(state, world, n, [n, used] {
    Handoff turn;
    double seconds = 0;
    const auto party = [&](std::uint32_t me) {
      const pinned pin(me % used);
      const auto turns = [&](std::int64_t count) {
        for (std::int64_t i = 0; i < count; i += 2) {
          turn.await(me);
          turn.pass(1 - me);
        }
      };
      turns(n / 10);  // both threads are up and in step from here on
      const double spent = timed([&] { turns(n); });
      if (me == 0) seconds = spent;
    };
    { const thread_world::task a(party, 0u), b(party, 1u); }
    return seconds;
  });
  const auto passes = static_cast<double>((n + n / 10) * (state.iterations() + 1));
  state.counters["switched"] = static_cast<double>(kernel_switches() - before) / passes;
}

BENCHMARK(call)->Name("switch/call")->ArgName("n")->Arg(50'000)->UseManualTime();
BENCHMARK_CAPTURE(raw_jump, plain, false)
    ->Name("switch/raw_jump")
    ->ArgName("n")
    ->Arg(50'000)
    ->UseManualTime();
BENCHMARK_CAPTURE(raw_jump, after_float, true)
    ->Name("switch/raw_jump_after_float")
    ->ArgName("n")
    ->Arg(50'000)
    ->UseManualTime();

void fibers(benchmark::internal::Benchmark* b) {
  b->ArgNames({"w", "n"})->Args({1, 50'000})->Args({2, 50'000})->UseManualTime();
}
BENCHMARK_CAPTURE(heddle_yield, plain, false)->Name("switch/heddle_yield")->Apply(fibers);
BENCHMARK_CAPTURE(heddle_yield, after_float, true)
    ->Name("switch/heddle_yield_after_float")
    ->Apply(fibers);

void on_cores(benchmark::internal::Benchmark* b) {
  b->ArgNames({"cores", "n"})->Args({1, 1'000})->Args({2, 1'000})->UseManualTime();
}
BENCHMARK(threads<sched_yield_handoff>)->Name("switch/thread_sched_yield")->Apply(on_cores);
BENCHMARK(threads<futex_handoff>)->Name("switch/thread_futex")->Apply(on_cores);
BENCHMARK(threads<condvar_handoff>)->Name("switch/thread_condvar")->Apply(on_cores);
BENCHMARK(threads<semaphore_handoff>)->Name("switch/thread_semaphore")->Apply(on_cores);

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
