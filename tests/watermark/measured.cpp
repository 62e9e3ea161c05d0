// SPDX-License-Identifier: BSL-1.0
// measured: for watermark_test.py: fibers that use known parts of their stacks, on few stacks, one
//   after the other.
#include <heddle/heddle.hpp>

#include <cstddef>
#include <cstring>

namespace {

[[gnu::noinline]] void use(std::size_t bytes) {
  void* const block = __builtin_alloca(bytes);
  std::memset(block, 1, bytes);
  asm volatile("" : : "r"(block) : "memory");
}

void start_deep(heddle::wait_group& all) {
  for (std::size_t i = 0; i < 100; ++i) all.go([i] { use(1024 * (i + 1)); });
}
void start_shallow(heddle::wait_group& all) {
  for (int i = 0; i < 500; ++i) all.go([] { heddle::this_fiber::yield(); });
}
void start_waiting(heddle::wait_group& all, heddle::event& over) {
  all.go([&over] {
    use(std::size_t{50} * 1024);
    over.wait();
  });
}

}  // namespace

int main() {
  heddle::run({.workers = 2}, [] {
    heddle::wait_group all;
    start_deep(all);
    all.wait();
    start_shallow(all);
    all.wait();
    heddle::fiber small({.stack_size = std::size_t{64} * 1024},
                        [] { use(std::size_t{10} * 1024); });
    small.join();
  });
  // One that has not ended when the process exits.
  auto& never = *new heddle::event;
  auto& all = *new heddle::wait_group;
  start_waiting(all, never);
  heddle::runtime::default_runtime().run(
      [] { heddle::this_fiber::sleep_for(std::chrono::milliseconds(20)); });
}
