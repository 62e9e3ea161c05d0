// SPDX-License-Identifier: BSL-1.0
// watchdog: one OS thread that sees to it that nobody waits behind a worker that is stuck in one
//   fiber: it gives its queue and its timers' fibers to the others, and wakes a sleeping worker, or
//   starts a spare one, in its place. On the side it gives the pages of long-idle stacks back, and
//   lets fibers that found no stack try again, and has it looked into who waits for ever. While no
//   worker runs anything it sleeps.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/base/spin_lock.hpp>

#include <cstdint>
#include <thread>
#include <vector>

namespace heddle::detail {

class runtime_state;
class worker;
struct fiber_record;

/// Looks for fibers that wait for each other, and, where nothing of a runtime runs (`still`),
/// whether nothing will; tells of them, and does what options::deadlock says. Looks now and then
/// only, however often it is called. Returns when to call again though nothing runs by then;
/// no_deadline: not before something has run. Defined in debug/, which sees all that is here.
std::int64_t inspect(bool still) noexcept;
/// Held by who does so.
extern constinit spin_lock inspecting;

/// From now on heddle::dump() is written when the signal comes. Throws std::system_error if there
/// is no thread for it. Defined in debug/.
void dump_on(int signal);

/// Tells that `r`, on `w`, has run for so long while `waited` others waited behind it. Defined in
/// debug/.
void report_long_run(worker& w, fiber_record& r, std::int64_t ran_ns,
                     std::uint64_t waited) noexcept;

/// Tells, as a hint, that for so long the fibers of `rt` have done nothing but yield, so often.
/// Defined in debug/.
void report_livelock(runtime_state& rt, std::int64_t for_ns, std::uint64_t switches) noexcept;

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
    bool is_long = false;      // it is to be told of
    std::uint64_t waited = 0;  // how many were found waiting behind it
  };

  /// Since when nothing but yields has happened.
  struct only_yields {
    std::int64_t since_ns = 0;
    std::uint64_t progress = 0;  // the sum of what only grows when something else does
    std::uint64_t yields = 0;
    bool told = false;
  };

  /// Since when fibers have waited for stacks, and none has ended.
  struct starvation {
    std::int64_t since_ns = 0;  // 0: none does
    std::uint64_t finished = 0;
    bool told = false;
  };

  void run() noexcept;
  void look(std::int64_t now) noexcept;
  void look_for_livelock(std::int64_t now) noexcept;
  void look_for_starvation(std::int64_t now, unsigned waiting) noexcept;
  void pass_over(std::int64_t gap) noexcept;
  void tell_long_runs() noexcept;
  bool somebody_waits(unsigned stuck) noexcept;
  bool anybody_runs() noexcept;
  std::uint64_t give_away_work(worker& stuck) noexcept;
  void rouse() noexcept;

  runtime_state& rt_;
  std::vector<sample> samples_;  // the watchdog's own
  only_yields yielding_;         // the same
  starvation starving_;          // the same
  std::int64_t seen_at_ns_ = 0;  // the same: when it last looked
  atomic<std::uint32_t> word_{0};
  atomic<bool> asleep_{false};
  atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace heddle::detail
