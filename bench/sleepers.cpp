// SPDX-License-Identifier: BSL-1.0
// What do very many sleeping tasks cost? Row 9. `n` tasks sleep for a second each: seconds until
// all have ended (one of them is the sleep), and processor seconds. The floor is the first touch of
// a fresh page, one a task. Guards are on. Threads: fewer, as many as a process can have.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <numeric>
#include <vector>

#include "heddle_world.hpp"
#include "in_child.hpp"
#include "machine.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

template <class World>
figures sleepers(const std::vector<std::int64_t>& arguments) {
  World world(static_cast<unsigned>(arguments[0]));
  const std::int64_t n = arguments[1];
  const double cpu_before = cpu_seconds();
  const double seconds = world.run([n] {
    return timed([n] {
      typename World::wait_group ended;
      for (std::int64_t i = 0; i < n; ++i)
        ended.go([] { World::sleep_for(std::chrono::seconds(1)); });
      ended.wait();
    });
  });
  const double cpu = cpu_seconds() - cpu_before;
  return {{"seconds", seconds},
          {"cpu", cpu},
          {"peak_mib", static_cast<double>(memory_now().peak_bytes) / (1 << 20)}};
}

// Touches one page in each of `n` slots of 256 KiB, as a fiber's first run touches its stack. The
// figure is the median of pieces, so that neighbours on the machine do not make the floor look
// high.
figures first_touch(const std::vector<std::int64_t>& arguments) {
  const auto n = static_cast<std::size_t>(arguments[0]);
  constexpr std::size_t slot = 256 * 1024, piece = 200;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* memory = ::mmap(nullptr, n * slot, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  ::madvise(memory, n * slot, MADV_NOHUGEPAGE);
  volatile char* bytes = static_cast<char*>(memory);
  std::vector<double> pieces;
  for (std::size_t first = 0; first < n; first += piece)
    pieces.push_back(timed([&] {
      for (std::size_t i = first; i < first + piece; ++i) bytes[i * slot + slot - 1] = 1;
    }));
  const double total = std::accumulate(pieces.begin(), pieces.end(), 0.0);
  const auto middle = pieces.begin() + static_cast<std::ptrdiff_t>(pieces.size() / 2);
  std::nth_element(pieces.begin(), middle, pieces.end());
  return {{"seconds", total}, {"ns", *middle * 1e9 / static_cast<double>(piece)}};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  using namespace bench;
  const std::vector<std::string> names{"w", "n"};
  register_in_child("sleepers/first_touch", {"n"}, {{100'000}, {1'000'000}}, first_touch);
  register_in_child(
      "sleepers/heddle", names,
      {{1, 10'000}, {2, 10'000}, {1, 100'000}, {2, 100'000}, {1, 1'000'000}, {2, 1'000'000}},
      sleepers<heddle_world>);
  register_in_child("sleepers/thread", names, {{1, 1'000}, {2, 1'000}, {1, 10'000}, {2, 10'000}},
                    sleepers<thread_world>);
  return child_main(argc, argv);
}
