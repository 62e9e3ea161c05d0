// SPDX-License-Identifier: BSL-1.0
// How fast does a tree of tasks grow, and how fast do its sums come back? Row 6. A root starts ten
// tasks, each of them ten, down to `n` leaves; each sends its sum to its parent over an unbuffered
// channel. The sum is checked. Threads: fewer leaves, as many as a process can have threads.
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "heddle_world.hpp"
#include "in_child.hpp"
#include "machine.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

constexpr std::int64_t fan_out = 10;

template <class World>
struct tree {
  using channel = typename World::template channel<std::int64_t>;

  // Sends to `parent` the sum of the leaves [first, first + leaves).
  static void grow(channel parent, std::int64_t first, std::int64_t leaves) {
    if (leaves == 1) {
      parent.send(first);
      return;
    }
    channel children;
    const std::int64_t each = leaves / fan_out;
    for (std::int64_t i = 0; i < fan_out; ++i)
      World::go([children, first, each, i] { grow(children, first + i * each, each); });
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < fan_out; ++i) sum += *children.receive();
    parent.send(sum);
  }

  static double run(std::int64_t leaves) {
    std::int64_t sum = 0;
    const double seconds = timed([&] {
      channel result;
      World::go([result, leaves] { grow(result, 0, leaves); });
      sum = *result.receive();
    });
    if (sum != leaves * (leaves - 1) / 2) throw std::logic_error("skynet: wrong sum");
    return seconds;
  }
};

template <class World>
figures skynet(const std::vector<std::int64_t>& arguments) {
  World world(static_cast<unsigned>(arguments[0]));
  const auto once = [leaves = arguments[1]] { return tree<World>::run(leaves); };
  world.run(once);
  std::vector<double> seconds;
  for (int i = 0; i < 3; ++i) seconds.push_back(world.run(once));
  std::sort(seconds.begin(), seconds.end());
  return {{"seconds", seconds[1]},
          {"ns", seconds[1] * 1e9 / static_cast<double>(arguments[1])},
          {"peak_mib", static_cast<double>(memory_now().peak_bytes) / (1 << 20)}};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  using namespace bench;
  const std::vector<std::string> names{"w", "n"};
  register_in_child("skynet/heddle", names,
                    {{1, 1'000}, {2, 1'000}, {1, 1'000'000}, {2, 1'000'000}}, skynet<heddle_world>);
  register_in_child("skynet/thread", names, {{1, 1'000}, {2, 1'000}, {1, 10'000}, {2, 10'000}},
                    skynet<thread_world>);
  return child_main(argc, argv);
}
