// SPDX-License-Identifier: BSL-1.0
// manual_clock: a user's clock, which stands still but for what the test does to it.
#pragma once

#include <atomic>
#include <chrono>
#include <stdexcept>

namespace heddle_test {

struct manual_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<manual_clock>;
  static constexpr bool is_steady = false;

  static inline std::atomic<rep> ms{0};
  static inline std::atomic<int> asked{0};
  static inline std::atomic<bool> broken{false};

  static time_point now() {
    if (broken.load()) throw std::runtime_error("the clock is broken");
    asked.fetch_add(1);
    return time_point(duration(ms.load()));
  }
  static void reset() {
    ms = 0;
    asked = 0;
    broken = false;
  }
};

}  // namespace heddle_test
