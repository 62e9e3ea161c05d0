// SPDX-License-Identifier: BSL-1.0
// stats: a runtime's counters, summed over its workers.
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/stats.hpp>

namespace heddle::detail {

std::uint64_t runtime_state::alive() const noexcept {
  std::uint64_t finished = foreign_finished_.load(std::memory_order_relaxed);
  const unsigned count = worker_count();
  for (unsigned i = 0; i < count; ++i) {
    // (wk.2) acquire: what the ended fibers did is seen; pairs with (wk.1).
    finished += worker_at(i)->finished.load(std::memory_order_acquire);
  }
  full_fence();
  std::uint64_t spawned = foreign_spawned_.load(std::memory_order_relaxed);
  for (unsigned i = 0, now = worker_count(); i < now; ++i) {
    spawned += worker_at(i)->spawned.load(std::memory_order_relaxed);
  }
  return spawned - finished;
}

runtime_stats runtime_state::stats() noexcept {
  runtime_stats sum;
  sum.fibers_alive = alive();
  sum.fibers_spawned = foreign_spawned_.load(std::memory_order_relaxed);
  std::uint64_t at_hand = 0;
  for (unsigned i = 0, count = worker_count(); i < count; ++i) {
    const worker& w = *worker_at(i);
    sum.fibers_spawned += w.spawned.load(std::memory_order_relaxed);
    sum.switches += w.turns.load(std::memory_order_relaxed);
    sum.steals += w.steals.load(std::memory_order_relaxed);
    sum.parks += w.parks.load(std::memory_order_relaxed);
    sum.wakes += w.wakes.load(std::memory_order_relaxed);
    sum.timers_pending += w.timers.size();
    at_hand += w.stack_count.load(std::memory_order_relaxed);
    if (w.spare && !w.retired.load(std::memory_order_relaxed)) ++sum.spare_workers;
  }
  sum.long_runs = long_runs.load(std::memory_order_relaxed);
  const auto out = stacks.handed_out();
  sum.stacks_in_use = out > at_hand ? out - at_hand : 0;
  sum.stacks_pooled = stacks.pooled() + at_hand;
  sum.stack_bytes = stacks.reserved_bytes();
  return sum;
}

}  // namespace heddle::detail
