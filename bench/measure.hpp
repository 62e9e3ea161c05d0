// SPDX-License-Identifier: BSL-1.0
// measure: how every benchmark here reports, so that report.py can read them all alike.
//   I1  a body times itself, inside the world that it measures: neither the start of a runtime
//       nor the way into it from main() counts.
//   I2  the counter `ns` is nanoseconds an operation: the median of a run's iterations. Most take
//       less than a slice of the kernel's, so that one which it interrupted does not count.
// Called from the thread that Google Benchmark runs.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "machine.hpp"

namespace bench {

// What report.py cannot know: who compiled this, and against which Boost.
inline const bool context_noted = [] {
#ifdef __clang__
  benchmark::AddCustomContext("compiler", __VERSION__);
#else
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
#endif
  benchmark::AddCustomContext("boost", HEDDLE_BENCH_BOOST);  // from CMakeLists.txt
  return true;
}();

// Skips the case where the machine has too few cores for it.
inline bool has_cores(benchmark::State& state, std::int64_t wanted) {
  if (static_cast<std::int64_t>(cores().size()) >= wanted) return true;
  state.SkipWithError(("needs " + std::to_string(wanted) + " cores").c_str());
  return false;
}

// `body` makes `operations` operations in `world` and returns the seconds that they took. It runs
// once unmeasured: stacks, pools and threads are warm, as in a program that has run for a while.
// All iterations run in one task of the world: were each sent in from main(), it would begin with
// the wake of a thread, and on a busy machine end with its preemption.
template <class World, class Body>
void measure(benchmark::State& state, World& world, std::int64_t operations, Body&& body) {
  try {
    std::vector<double> spent;
    world.run([&] {
      body();
      const double cpu_before = cpu_seconds();
      for (auto _ : state) {
        spent.push_back(body());
        state.SetIterationTime(spent.back());
      }
      state.counters["cpu"] = (cpu_seconds() - cpu_before) / static_cast<double>(spent.size());
    });
    const auto middle = spent.begin() + static_cast<std::ptrdiff_t>(spent.size() / 2);
    std::nth_element(spent.begin(), middle, spent.end());
    state.counters["ns"] = *middle * 1e9 / static_cast<double>(operations);
    state.counters["seconds"] = *middle;
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

// The world of a floor: nothing but the calling thread.
struct bare_world {
  template <class Fn>
  auto run(Fn&& f) {
    return f();
  }
};

}  // namespace bench
