// SPDX-License-Identifier: BSL-1.0
// fibers_of_every_kind: fibers in all states that a fiber can be in, for processes that end amid
// them.
#pragma once

#include <heddle/heddle.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

namespace heddle_test {

/// In the default runtime: parked, sleeping, yielding, in an endless loop, in a blocking call,
/// queued behind them. Each owns memory. Returns when all but the queued ones have started.
inline void start_fibers_of_every_kind() {
  using namespace std::chrono_literals;
  heddle::runtime& rt = heddle::runtime::default_runtime();
  static std::atomic<int> started{0};
  int expected = 0;
  const auto note = [] {
    started.fetch_add(1, std::memory_order_relaxed);
    return std::make_unique<std::vector<int>>(100);
  };
  for (int i = 0; i < 20; ++i) {
    rt.go([note] {
      const auto own = note();
      heddle::channel<int> nobody;
      nobody.receive();
    });
    rt.go([note] {
      const auto own = note();
      heddle::this_fiber::sleep_for(1h);
    });
    rt.go([note] {
      const auto own = note();
      for (;;) heddle::this_fiber::yield();
    });
    expected += 3;
  }
  for (int i = 0; i < 2; ++i) {
    rt.go([note] {
      const auto own = note();
      heddle::blocking([] { ::pause(); });
    });
    ++expected;
  }
  while (started.load(std::memory_order_relaxed) < expected) ::usleep(100);
  rt.go([note] {
    const auto own = note();
    for (;;) heddle::detail::cpu_relax();
  });
  ++expected;
  while (started.load(std::memory_order_relaxed) < expected) ::usleep(100);
  const auto own = std::make_shared<std::vector<int>>(100);
  for (int i = 0; i < 1'000; ++i) rt.go([own] { heddle::this_fiber::yield(); });
}

}  // namespace heddle_test
