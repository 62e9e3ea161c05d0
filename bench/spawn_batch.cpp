// SPDX-License-Identifier: BSL-1.0
// What does it cost to start very many empty tasks and wait for all, and what memory does it take?
// Row 5, `spawn_batch`. One wait group; an operation is one task. The first batch of a process is
// not timed: it fills the pools; the peak is of the whole process. Threads: fewer, they cost more.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "heddle_world.hpp"
#include "in_child.hpp"
#include "machine.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
figures spawn_batch(const std::vector<std::int64_t>& arguments) {
  World world(static_cast<unsigned>(arguments[0]));
  const std::int64_t n = arguments[1];
  const auto batch = [n] {
    return timed([n] {
      typename World::wait_group ended;
      for (std::int64_t i = 0; i < n; ++i) ended.go([] {});
      ended.wait();
    });
  };
  const double cold = world.run(batch);
  std::vector<double> seconds;
  for (int i = 0; i < 5; ++i) seconds.push_back(world.run(batch));
  std::sort(seconds.begin(), seconds.end());
  const auto each = 1e9 / static_cast<double>(n);
  return {{"seconds", seconds[2]},
          {"ns", seconds[2] * each},
          {"cold_ns", cold * each},
          {"peak_mib", static_cast<double>(memory_now().peak_bytes) / (1 << 20)}};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  using namespace bench;
  const std::vector<std::string> names{"w", "n"};
  register_in_child("spawn_batch/heddle", names,
                    {{1, 10'000}, {2, 10'000}, {1, 1'000'000}, {2, 1'000'000}},
                    spawn_batch<heddle_world>);
  register_in_child("spawn_batch/thread", names, {{1, 1'000}, {2, 1'000}, {1, 10'000}, {2, 10'000}},
                    spawn_batch<thread_world>);
  return child_main(argc, argv);
}
