// SPDX-License-Identifier: BSL-1.0
// runtime_state: what the workers of a runtime share: the injector, who is idle, pools, spares,
//   the watchdog and the blocking pool.
//
//   Fibers alive = spawned - finished, summed over the workers and foreign threads. Each counter
//   only grows; read all `finished` first, then all `spawned`: equal sums mean that there was an
//   instant with none alive.
//   Lock order: each lock here is a leaf.
#pragma once

#include <heddle/base/futex.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/fiber/record.hpp>
#include <heddle/fiber/record_pool.hpp>
#include <heddle/fiber/stack.hpp>
#include <heddle/sched/blocking_pool.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/idle.hpp>
#include <heddle/sched/idle_bell.hpp>
#include <heddle/sched/injector.hpp>
#include <heddle/sched/options.hpp>
#include <heddle/sched/stats.hpp>
#include <heddle/sched/watchdog.hpp>
#include <heddle/sched/worker.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace heddle {
class runtime;
}

namespace heddle::detail {

class runtime_state {
 public:
  explicit runtime_state(const options& wanted);  // checked and completed here; starts the workers
  ~runtime_state();                               // cancels, waits, joins
  runtime_state(const runtime_state&) = delete;
  runtime_state& operator=(const runtime_state&) = delete;

  /// A block with its identity set, not yet scheduled. Throws std::system_error.
  fiber_record* new_fiber(std::size_t stack_size);
  /// Gives a block back that was never started.
  void discard(fiber_record* r) noexcept;
  /// Makes a new fiber runnable.
  void start(fiber_record* r) noexcept;
  /// Makes a parked fiber of this runtime runnable, from any thread.
  void schedule(fiber_record* r, place where) noexcept;
  /// Drops a reference; the last one frees the block.
  void release(fiber_record* r) noexcept;

  void free_record(fiber_record* r) noexcept;
  void wake_worker(worker& w) noexcept;
  void wake_one() noexcept;
  void wake_all() noexcept;
  /// Of a fiber that found no stack: it is queued again when one comes free.
  void wait_for_stack(fiber_record* r) noexcept;
  void stack_came_free() noexcept;
  void note_end() noexcept;

  worker* worker_at(unsigned i) const noexcept {
    // (rs.1) acquire: sees the worker that was made; pairs with (rs.2).
    worker* w = workers_[i].load(std::memory_order_acquire);
    tsan_acquire(w);
    return w;
  }
  unsigned worker_count() const noexcept {
    // (rs.4) acquire: sees the workers below it; pairs with (rs.3).
    return worker_count_.load(std::memory_order_acquire);
  }
  unsigned worker_slots() const noexcept { return base_workers + opts.max_spare_workers; }
  /// Makes another spare take part. False if there may be no more.
  bool add_spare() noexcept;
  /// The process exits: from now on no spare is made, and nobody is taken for stuck.
  void halting() noexcept;

  std::uint64_t alive() const noexcept;
  runtime_stats stats() noexcept;
  static void wake_everybody() noexcept;  // the workers of every runtime

  runtime* face = nullptr;                // set once, before any fiber
  runtime_state* next_runtime = nullptr;  // guarded by the list of all runtimes (process.cpp)
  unsigned visitors = 0;                  // the same: who goes through that list and is here
  const options opts;
  const std::uint64_t number;  // the how-manieth of the process
  const unsigned base_workers;
  injector injected;
  idle_set idle;
  idle_bell bell{*this};
  record_pool records;
  stack_depot stacks;
  blocking_pool blocking;
  watchdog watch;
  atomic<bool> stop_workers{false};        // written by the destructor
  atomic<bool> stopping{false};            // the same
  atomic<bool> halted{false};              // written under spare_lock_
  atomic<std::uint32_t> spares_wanted{0};  // written by the watchdog
  atomic<std::uint32_t> held_back{0};      // how many wakes to hold back (worker::wake_somebody)
  atomic<std::uint64_t> long_runs{0};
  atomic<std::uint32_t> starved_count{0};  // written under starved_lock_
  // Who has taken fibers from where others find them, and is no worker that runs: its watchdog, a
  // spare that retires.
  atomic<std::uint32_t> hands_full{0};

 private:
  friend struct layout;
  void publish(std::unique_ptr<worker> made) noexcept;
  void start_workers();
  void join_workers() noexcept;
  void cancel_all(cancel_reason why) noexcept;
  void wait_until_empty() noexcept;
  std::uint32_t pages_of(std::size_t stack_size);  // throws as new_fiber() does
  [[noreturn]] static void refuse_starved();
  void schedule_elsewhere(fiber_record* r, bool own) noexcept;
  static void free_extras(fiber_record* r) noexcept;

  std::unique_ptr<atomic<worker*>[]> workers_;
  std::vector<std::unique_ptr<worker>> owned_;  // guarded by spare_lock_ once the runtime runs
  spin_lock spare_lock_;
  spin_lock starved_lock_;
  fiber_record* starved_first_ = nullptr;  // guarded by starved_lock_
  fiber_record* starved_last_ = nullptr;   // the same
  atomic<std::uint64_t> foreign_spawned_{0};
  atomic<std::uint64_t> foreign_finished_{0};
  // Threads of elsewhere that are making a fiber of this runtime ready: the fiber may end, and all
  // be over, before they have left.
  atomic<std::uint32_t> foreign_wakers_{0};
  atomic<std::uint32_t> ended_word_{0};  // futex: changes when a fiber ends while stopping
  spin_lock foreign_lock_;
  std::uint64_t foreign_id_ = 0, foreign_id_end_ = 0;  // guarded by foreign_lock_
  atomic<unsigned> worker_count_{0};
};

/// The runtime whose fiber, or blocking call, this is; or null.
runtime_state* current_runtime() noexcept;
/// What this thread does from now on, without being a worker, it does for `rt`.
void block_for(runtime_state& rt) noexcept;

}  // namespace heddle::detail
