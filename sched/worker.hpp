// SPDX-License-Identifier: BSL-1.0
// worker: an OS thread that runs fibers: its queue, its timers, its hot pools, its home stack.
//   A switch goes from fiber to fiber directly while the queue has a runnable one. Only when there
//   is none, or every switch_budget switches, does it go to the home stack, where injected work,
//   timers, stealing and sleeping live (search.cpp).
//
//   Park, and why no wake is lost:
//     the fiber that leaves                        whoever runs next on this worker
//       1 links its cases, object's lock held        4 stores the saved stack pointer
//       2 names the commit, locks the queue          5 opens the queue
//       3 jumps                                      6 runs the commit: opens the claim word, arms
//                                                      timers, opens the object's lock
//   Nobody can claim the fiber, or find it in a queue, before 5 and 6: it is off its stack by then.
//   A yielding fiber lies in the ring from 2 on, but the ring is locked until 5.
//
//   Who may call: what says "own" only on this worker's thread. A worker* is never kept over a
//   switch: ask current_worker() again.
//   Lock order: the queue, then the injector.
#pragma once

#include <heddle/base/atomic.hpp>
#include <heddle/base/random.hpp>
#include <heddle/base/thread_word.hpp>
#include <heddle/fiber/context.hpp>
#include <heddle/fiber/record.hpp>
#include <heddle/fiber/record_pool.hpp>
#include <heddle/fiber/stack.hpp>
#include <heddle/sched/os_lock.hpp>
#include <heddle/sched/run_queue.hpp>
#include <heddle/sched/timer.hpp>
#include <heddle/sched/tracing.hpp>

#include <cstddef>
#include <cstdint>
#include <thread>

namespace heddle::detail {

class runtime_state;
struct arrival;
struct layout;

/// What runs on the next context, once the fiber that parked is off its stack. `run` must not touch
/// the fiber, or its stack, after it has made it reachable to others.
struct commit {
  void (*run)(void*) noexcept;
  void* argument;
};

/// Where a runnable fiber goes.
enum class place : std::uint8_t {
  next,  // runs next: it was woken, its data is in the cache
  back   // after those that wait already
};

class alignas(cache_line) worker : thread_words {
 public:
  worker(runtime_state& rt, unsigned index, bool spare);
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  // Own: called by the running fiber.
  void yield() noexcept;
  void park(commit then) noexcept;
  void schedule(fiber_record* r, place where) noexcept;  // in schedule.cpp alone
  /// In a forked child: the next switch goes to the home stack, whoever is runnable.
  void go_home_next() noexcept { home_at_ = 0; }
  fiber_record* current() const noexcept { return current_.load(std::memory_order_relaxed); }
  fiber_record* take_record();  // std::system_error; in records.cpp alone, as the next
  void put_record(fiber_record* r) noexcept;
  std::uint64_t next_id() noexcept;
  /// Real time, as the watchdog, or this worker when it last came to work, read it.
  std::int64_t rough_now_ns() const noexcept { return rough_now_.load(std::memory_order_relaxed); }
  void count_call() noexcept { bump(calls); }
  void count_spawn() noexcept { bump(spawned); }
  /// When its wait can be seen.
  void count_park(bool is_tied) noexcept {
    bump(parks);
    // (wk.9) release: that it waits, and all that it did before, is seen by who finds it counted;
    // pairs with (dl.1).
    if (is_tied) ties.store(ties.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  void count_wake() noexcept { bump(wakes); }
  void count_end() noexcept {
    // (wk.1) release: all that the fiber did is seen by who finds it ended; pairs with (wk.2).
    finished.store(finished.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  // Any thread.
  /// current(), and what was done before it became that is seen.
  fiber_record* current_now() const noexcept {
    // (wk.8) acquire: sees what the last one left; pairs with (wk.7).
    return current_.load(std::memory_order_acquire);
  }
  void set_rough_now(std::int64_t now_ns) noexcept {
    rough_now_.store(now_ns, std::memory_order_relaxed);
  }
  /// Hands over a fiber that must run here (no_migrate).
  void deliver_pinned(fiber_record* r) noexcept;
  void wake() noexcept;
  /// Sends its thread a signal, with a value; false: there is none to be sent to.
  bool signal(int number, const void* value) noexcept;
  /// As the system calls its thread; 0: not yet.
  int thread_id() const noexcept { return thread_id_.load(std::memory_order_relaxed); }
  /// The process exits: it goes home at its next switch, and stands still there. False if it is in
  /// the middle of a switch.
  bool halt() noexcept;
  /// Own: the running fiber exits the process. It goes on as in a blocking() call, on this thread,
  /// and never switches; what waits on this worker is for others to take.
  void leave_thread() noexcept;
  /// What this thread's own stack refers to is no leak.
  void keep_home() const noexcept {
#if defined(HEDDLE_ASAN)
    lsan_keep(home_.stack_bottom, home_.stack_bytes);
#endif
  }
  /// Whether its fibers talk to each other all the time (steal.cpp). A hint.
  bool talks() const noexcept { return seen_.talk.load(std::memory_order_relaxed); }
  bool has_work() const noexcept {
    return !queue.empty() || inbox_size_.load(std::memory_order_relaxed) > 0;
  }
  /// What it notes in from now on; null: nothing. Waits for its queue. One at a time.
  void set_ring(trace_ring* ring) noexcept;
  /// For who sets it.
  bool has_ring() const noexcept { return ring_ != nullptr; }
  /// Own: calls `act(ring)`, with the queue locked.
  template <class Act>
  void with_ring(Act act) noexcept {
    queue.lock();
    act(ring_);
    queue.unlock();
  }
  /// Wakes those whose time has come; returns their number.
  static std::size_t fire_timers(timer_store& from) noexcept;
  void start();  // std::system_error
  void join();
  [[noreturn]] static void fiber_main(const arrival& from) noexcept;

  runtime_state& rt;
  const unsigned index;
  const bool spare;
  run_queue<256> queue;
  timer_store timers;
  [[no_unique_address]] os_locks held_os;  // own: what the running fiber holds
  worker* next_sleeper = nullptr;          // guarded by the idle set's lock

  // Written by this worker, read by the watchdog, by thieves and by stats.
  atomic<std::uint64_t> turns{0};        // times a fiber was picked
  atomic<std::uint64_t> calls{0};        // of what may make a fiber wait
  atomic<std::uint64_t> idle_yields{0};  // times one would have let others run, but none was there
  atomic<std::uint64_t> spawned{0}, finished{0}, parks{0}, wakes{0}, steals{0};
  atomic<std::uint64_t> ties{0};         // of the parks those of who was tied (record.hpp)
  atomic<std::uint32_t> stack_count{0};  // free stacks at hand, in stacks_
  atomic<bool> in_fibers{false};
  atomic<random_source> choices;  // what its fibers draw from
  atomic<bool> retired{false};    // a spare that is not needed now

 private:
  friend struct layout;
  static constexpr std::uint64_t switch_budget = 128;
  static constexpr int max_streak = 32;
  // So many fibers in the ring of a worker that switches are worth a steal (steal.cpp).
  static constexpr std::uint32_t enough_to_steal = 4, enough_of_talkers = 12;
  static constexpr std::size_t stack_cache = 64;
  static constexpr std::size_t record_cache = 256;
  // Of records that come from cold memory: this many at a time are on their way.
  static constexpr std::size_t prefetch_distance = 8;

  // The stack that a fiber has just left is warm. But ThreadSanitizer has to be told that who gets
  // a stack comes after who had it, and would miss their races: there the one is better that has
  // been free longest.
#if defined(HEDDLE_TSAN)
  static constexpr bool reuses_last_stack = false;
#else
  static constexpr bool reuses_last_stack = true;
#endif

  void set_current(fiber_record* r) noexcept {
    // (wk.7) release: that the last one's frame was taken is seen by who finds this one; pairs with
    // (wk.8).
    current_.store(r, std::memory_order_release);
  }
  static std::uint64_t bump(atomic<std::uint64_t>& counter) noexcept {
    const std::uint64_t now = counter.load(std::memory_order_relaxed) + 1;
    counter.store(now, std::memory_order_relaxed);
    return now;
  }

  // worker.cpp: switching
  static void finish_arrival(const arrival& from) noexcept;
  bool is_due_home() const noexcept { return turns.load(std::memory_order_relaxed) >= home_at_; }
  void stay_in_fibers() noexcept {
    home_at_ = turns.load(std::memory_order_relaxed) + switch_budget;
  }
  fiber_record* pick_locked() noexcept;
  template <bool dying>
  void leave_for(context& self, fiber_record* as, fiber_record* next) noexcept;
  void* begin_or_put_off(fiber_record* next, fiber_record* as) noexcept;
  void end_current(fiber_record* self) noexcept;
  void push_locked(fiber_record* r) noexcept {
    if (queue.push_locked(r)) [[likely]]
      return;
    make_room_locked();
    (void)queue.push_locked(r);
  }
  fiber_record* pick() noexcept;
  void run_until_home(fiber_record* next) noexcept;
  void* bind_stack(fiber_record* r) noexcept;
  stack* take_stack(std::uint32_t& cached) noexcept;
  void release_stack(stack* s) noexcept;
  static void release_ended(void* self) noexcept;

  // schedule.cpp
  void make_room_locked() noexcept;
  void wake_somebody(place where) noexcept;

  // tracing.cpp; the queue is locked, and there is a ring
  [[gnu::noinline]] void note_switch() noexcept;  // from left_ to current()
  [[gnu::noinline]] void note_wake(const fiber_record& woken) noexcept;

  // search.cpp: the home stack
  void run() noexcept;
  fiber_record* find_work() noexcept;
  [[noreturn]] void stand_still() noexcept;
  fiber_record* search() noexcept;
  fiber_record* take_waiting() noexcept;
  fiber_record* take_pinned() noexcept;
  fiber_record* take_injected() noexcept;
  void fire_overdue_timers() noexcept;
  bool sleep() noexcept;
  bool is_beside_talkers() const noexcept;
  bool fall_asleep(std::int64_t until) noexcept;
  bool anything_to_do() noexcept;
  bool superfluous() const noexcept;
  void retire() noexcept;
  void give_away_queue() noexcept;
  void flush_stacks() noexcept;

  // steal.cpp
  /// What a thief may take: nothing, of the ring, or else also the one woken last.
  enum class loot : std::uint8_t { nothing, of_ring, slot_too };
  fiber_record* steal() noexcept;
  loot worth_a_steal(std::int64_t now) noexcept;
  void note_talk(std::int64_t now) noexcept;
  bool stays_worth_a_steal() noexcept;

  atomic<fiber_record*> current_{nullptr};  // read by the watchdog too
  atomic<std::int64_t> rough_now_{0};       // written by the watchdog too
  context* left_ = nullptr;  // who has just left, until the one who arrives saved its stack pointer
  commit commit_{};
  // The turn from which on it goes home; guarded by queue's lock.
  std::uint64_t home_at_ = 0;
  trace_ring* ring_ = nullptr;  // guarded by queue's lock
  int streak_ = 0;              // how often in a row the slot of the one woken last was taken
  bool pinned_last_ = false;    // the last fiber that the home stack took was a pinned one
  std::uint32_t visits_home_ = 0;
  std::uint32_t unwoken_ = 0;            // wakes held back since the last one (see wake_somebody)
  fiber_record* records_[record_cache];  // free ones
  std::size_t record_count_ = 0;
  stack* stacks_[stack_cache];
  std::uint64_t id_next_ = 0, id_end_ = 0;
  random_source numbers_;
  // When to look at others' queues again, and how often they had switched at the last look.
  std::int64_t look_gap_ns_ = 0, look_again_ns_ = 0;
  std::uint64_t turns_seen_ = 0;
  context home_;
  context deputy_;  // to the tools: does what is left to be done for the one who left
  context nobody_;  // to the tools: makes fibers, and has no past
  context ended_;   // of the fiber that has just ended
  stack* ended_stack_ = nullptr;

  spin_lock inbox_lock_;
  fiber_record* inbox_first_ = nullptr;  // guarded by inbox_lock_
  fiber_record* inbox_last_ = nullptr;   // the same
  atomic<std::uint32_t> inbox_size_{0};  // written under inbox_lock_
  atomic<std::uint32_t> token_{0};       // 1: wake up; the word it sleeps on

  std::thread thread_;
  atomic<int> thread_id_{0};

  // What those who search saw of this worker. Written by any of them: hints, which need not fit
  // together.
  struct alignas(cache_line) {
    atomic<std::uint64_t> turns{0};          // and idle yields: as seen last,
    atomic<std::int64_t> turns_since_ns{0};  // and first
    atomic<std::uint64_t> calls{0}, spawned{0};
    atomic<std::int64_t> talk_since_ns{0};  // when these were seen
    atomic<bool> talk{false};               // in the time before that
  } seen_;
};

extern "C" {
// thread_local: which worker an OS thread is does not change with the fiber that it runs. For
// current_worker() alone.
extern constinit thread_local worker* heddle_worker_of_this_thread;
}

/// The calling thread's worker, or null. Never remembered over a switch, as thread_word.hpp says.
#if defined(HEDDLE_THREAD_WORD)
inline worker* current_worker() noexcept {
  worker* found;
  HEDDLE_THREAD_WORD(found, heddle_worker_of_this_thread);
  return found;
}
#else
worker* current_worker() noexcept;
#endif

/// The fiber that calls, or null. As current_worker().
inline fiber_record* running_fiber() noexcept {
  worker* const w = current_worker();
  return w == nullptr ? nullptr : w->current();
}

/// The first of a block of ids that were never given out, and the end of it.
std::uint64_t fresh_ids(std::uint64_t& end) noexcept;
void set_current_worker(worker* w) noexcept;

}  // namespace heddle::detail
