// SPDX-License-Identifier: BSL-1.0
// watchdog: one OS thread that sees to it that nobody waits behind a worker that is stuck in one
//   fiber: it gives its queue and its timers' fibers to the others, and wakes a sleeping worker, or
//   starts a spare one, in its place. On the side it gives the pages of long-idle stacks back, and
//   lets fibers that found no stack try again. While no worker runs anything it sleeps.
#pragma once

#include <heddle/base/atomic.hpp>

#include <cstdint>
#include <thread>
#include <vector>

namespace heddle::detail {

class runtime_state;
class worker;

class watchdog {
 public:
  explicit watchdog(runtime_state& rt) noexcept : rt_(rt) {}
  void start();  // std::system_error
  void stop() noexcept;

  /// From a worker that goes from its home stack to a fiber: the watchdog must watch again.
  void attend() noexcept {
    if (asleep_.load(std::memory_order_relaxed)) [[unlikely]]
      rouse();
  }

 private:
  struct sample {
    std::uint64_t turns = UINT64_MAX;  // none yet
    std::int64_t since_ns = 0;
    bool counted = false;
  };

  void run() noexcept;
  void look(std::int64_t now) noexcept;
  bool somebody_waits(unsigned stuck) noexcept;
  bool anybody_runs() noexcept;
  void give_away_work(worker& stuck) noexcept;
  void report(worker& stuck, std::int64_t ran_ns) noexcept;
  void rouse() noexcept;

  runtime_state& rt_;
  std::vector<sample> samples_;  // the watchdog's own
  atomic<std::uint32_t> word_{0};
  atomic<bool> asleep_{false};
  atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace heddle::detail
