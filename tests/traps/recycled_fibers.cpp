// SPDX-License-Identifier: BSL-1.0
// recycled_fibers: trap 18: for Valgrind: 1,000 fibers on few stacks, which they use again, with
//   deep frames, exceptions and memory of their own. Memcheck must find nothing to say.
#include <heddle/heddle.hpp>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

[[gnu::noinline]] int use_stack(int depth) {
  volatile char frame[512];
  for (auto& each : frame) each = static_cast<char>(depth);
  return depth == 0 ? frame[0] : use_stack(depth - 1) + frame[511];
}

[[gnu::noinline]] void throw_from(int depth) {
  const std::string on_heap(64, 'x');
  if (depth == 0) throw std::runtime_error(on_heap);
  throw_from(depth - 1);
}

int life(int i) {
  const auto own = std::make_unique<int>(i);
  int sum = use_stack(i % 40);
  heddle::this_fiber::yield();
  try {
    throw_from(i % 20);
  } catch (const std::runtime_error& e) {
    heddle::this_fiber::yield();
    sum += static_cast<int>(std::string(e.what()).size());
  }
  if (i % 10 == 0) heddle::this_fiber::sleep_for(std::chrono::microseconds(i));
  return sum + *own;
}

}  // namespace

int main() {
  long total = 0;
  heddle::run({.workers = 2}, [&total] {
    heddle::channel<int> results(16);
    // At most 20 at once, so that each stack serves many.
    for (int round = 0; round < 50; ++round) {
      heddle::wait_group all;
      for (int i = 0; i < 20; ++i) {
        all.go([results, i]() mutable { results.send(life(i)); });
      }
      for (int i = 0; i < 20; ++i) total += *results.receive();
      all.wait();
    }
  });
  std::printf("%ld\n", total);
}
