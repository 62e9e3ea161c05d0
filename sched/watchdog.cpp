// SPDX-License-Identifier: BSL-1.0
// watchdog: sampling the workers' turns. A worker whose count of turns stands still while it is in
//   a fiber is stuck in that fiber.
#include <heddle/base/assert.hpp>
#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/futex.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/own_stack.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/watchdog.hpp>

#include <algorithm>

namespace heddle::detail {

namespace {
constexpr std::int64_t look_every_ns = 100'000'000;  // at least
constexpr std::int64_t name_after_ns = 1'000'000'000;
constexpr std::int64_t stopped_ns = 500'000'000;  // without a look: the process was stopped
constexpr std::int64_t trim_every_ns = 250'000'000;
constexpr std::uint32_t trim_after_turns = 4;  // a second of idleness
constexpr std::int64_t livelock_ns = 10'000'000'000;
constexpr std::uint64_t livelock_switches = 100'000;
}  // namespace

constinit spin_lock inspecting;

void watchdog::start() {
  samples_.resize(rt_.worker_slots());
  thread_ = std::thread([this] { run(); });
}

void watchdog::stop() noexcept {
  if (!thread_.joinable()) return;
  // (wd.1) release: nothing to publish but the order itself; pairs with (wd.2).
  stop_.store(true, std::memory_order_release);
  rouse();
  thread_.join();
}

void watchdog::rouse() noexcept {
  asleep_.store(false, std::memory_order_relaxed);
  // (wd.4) release: as (wd.3) says; pairs with (wd.3).
  word_.fetch_add(1, std::memory_order_release);
  futex_wake(&word_);
}

void watchdog::run() noexcept {
  const own_stack all_is_ours;
  const std::int64_t period =
      std::min(std::chrono::duration_cast<std::chrono::nanoseconds>(rt_.opts.long_run).count(),
               look_every_ns);
  std::int64_t next_trim = real_now_ns() + trim_every_ns;
  bool stacks_to_trim = false;
  for (;;) {
    // (wd.3) acquire: who sees the word that rouse() wrote sees also why; pairs with (wd.4).
    const auto word = word_.load(std::memory_order_acquire);
    // (wd.2) acquire: sees the order to stop; pairs with (wd.1).
    if (stop_.load(std::memory_order_acquire)) return;
    const std::int64_t now = real_now_ns();
    if (now - seen_at_ns_ > stopped_ns) pass_over(now - seen_at_ns_);
    seen_at_ns_ = now;
    const bool running = anybody_runs();
    if (now >= next_trim) {
      stacks_to_trim = rt_.stacks.trim(trim_after_turns);
      next_trim = now + trim_every_ns;
    }
    // Where address space or mappings ran out, others in the process may have given some back.
    const unsigned starving = rt_.starved_count.load(std::memory_order_relaxed);
    if (running || starving > 0) {
      stacks_to_trim = true;
      rt_.hands_full.fetch_add(1, std::memory_order_relaxed);
      if (starving > 0) rt_.stack_came_free();
      look(now);
      rt_.hands_full.fetch_sub(1, std::memory_order_relaxed);
      tell_long_runs();
      look_for_livelock(now);
      look_for_starvation(now, starving);
      (void)inspect(false);
      futex_wait(word_, word, now + period);
      continue;
    }
    if (stacks_to_trim) {
      const std::int64_t next_look = inspect(true);
      futex_wait(word_, word, std::min(next_trim, next_look));
      continue;
    }
    // To sleep. A worker that starts to run after the fence sees the flag (attend()), and nobody
    // who does meanwhile is missed by inspect(); one that started before is seen here.
    asleep_.store(true, std::memory_order_relaxed);
    heavy_fence();
    if (!anybody_runs() && rt_.starved_count.load(std::memory_order_relaxed) == 0) {
      const std::int64_t next_look = inspect(true);
      futex_wait(word_, word, next_look);
    }
    asleep_.store(false, std::memory_order_relaxed);
  }
}

// The process was stopped, by a signal or a debugger, for about `gap`: that is nobody's time.
void watchdog::pass_over(std::int64_t gap) noexcept {
  for (sample& each : samples_) each.since_ns += gap;
  if (yielding_.since_ns != 0) yielding_.since_ns += gap;
  if (starving_.since_ns != 0) starving_.since_ns += gap;
}

bool watchdog::anybody_runs() noexcept {
  for (unsigned i = 0, count = rt_.worker_count(); i < count; ++i) {
    if (rt_.worker_at(i)->in_fibers.load(std::memory_order_relaxed)) return true;
  }
  return false;
}

void watchdog::look(std::int64_t now) noexcept {
  if (rt_.halted.load(std::memory_order_relaxed)) return;
  std::uint32_t stuck_workers = 0;
  for (unsigned i = 0, count = rt_.worker_count(); i < count; ++i) {
    worker* w = rt_.worker_at(i);
    w->set_rough_now(now);
    sample& seen = samples_[i];
    const auto turns =
        w->turns.load(std::memory_order_relaxed) + w->idle_yields.load(std::memory_order_relaxed);
    if (!w->in_fibers.load(std::memory_order_relaxed) || turns != seen.turns) {
      seen = {turns, now, false, false, 0};
      continue;
    }
    const std::int64_t ran = now - seen.since_ns;
    if (ran < std::chrono::nanoseconds(rt_.opts.long_run).count()) continue;
    ++stuck_workers;
    if (!seen.counted) {
      // Once is enough: whoever waited may have been given to another worker by the next look.
      if (!somebody_waits(i)) continue;
      seen.counted = true;
      rt_.long_runs.fetch_add(1, std::memory_order_relaxed);
    }
    seen.waited += give_away_work(*w);
    seen.is_long = ran >= name_after_ns;
  }
  // One spare for each stuck worker, while anybody waits; those that are there stay until the
  // workers that they stand in for go on.
  const auto wanted = rt_.spares_wanted.load(std::memory_order_relaxed);
  if (stuck_workers < wanted) {
    rt_.spares_wanted.store(stuck_workers, std::memory_order_relaxed);
    // A spare that sleeps among the idle workers would not see that it may retire.
    for (unsigned i = rt_.base_workers + stuck_workers; i < rt_.worker_count(); ++i) {
      worker& w = *rt_.worker_at(i);
      if (rt_.idle.cancel_sleep(w)) w.wake();
    }
  }
  if (stuck_workers > 0 && somebody_waits(rt_.worker_slots())) {
    rt_.held_back.store(0, std::memory_order_relaxed);
    if (rt_.idle.sleeping() > 0) {
      rt_.wake_one();
    } else if (rt_.idle.searching() == 0 && stuck_workers > wanted) {
      (void)rt_.add_spare();
    }
  }
}

// When those who wait have been seen to: it takes its time.
void watchdog::tell_long_runs() noexcept {
  for (unsigned i = 0, count = rt_.worker_count(); i < count; ++i) {
    sample& seen = samples_[i];
    if (!seen.is_long) continue;
    seen.is_long = false;
    worker* w = rt_.worker_at(i);
    fiber_record* r = w->current();
    if (r != nullptr && !r->named.exchange(true, std::memory_order_relaxed)) {
      report_long_run(*w, *r, real_now_ns() - seen.since_ns, seen.waited);
    }
  }
}

// Fibers that switch all the time, and of which none waits, wakes another, starts or ends: they may
// wait for each other by asking again and again.
void watchdog::look_for_livelock(std::int64_t now) noexcept {
  std::uint64_t progress = 0, yields = 0;
  for (unsigned i = 0, count = rt_.worker_count(); i < count; ++i) {
    const worker& w = *rt_.worker_at(i);
    progress += w.parks.load(std::memory_order_relaxed) + w.wakes.load(std::memory_order_relaxed) +
                w.spawned.load(std::memory_order_relaxed) +
                w.finished.load(std::memory_order_relaxed);
    yields +=
        w.turns.load(std::memory_order_relaxed) + w.idle_yields.load(std::memory_order_relaxed);
  }
  if (yielding_.since_ns == 0 || progress != yielding_.progress) {
    yielding_ = {now, progress, yields, yielding_.told};
    return;
  }
  const std::int64_t so_far = now - yielding_.since_ns;
  if (yielding_.told || so_far < livelock_ns) return;
  const std::uint64_t switches = yields - yielding_.yields;
  if (switches >= livelock_switches) {
    yielding_.told = true;
    report_livelock(rt_, so_far, switches);
  } else {
    yielding_.since_ns = 0;  // they compute, rather
  }
}

// Fibers that are to run, and cannot: who holds the stacks may wait for them.
void watchdog::look_for_starvation(std::int64_t now, unsigned waiting) noexcept {
  if (rt_.halted.load(std::memory_order_relaxed)) return;
  std::uint64_t finished = 0;
  for (unsigned i = 0, count = rt_.worker_count(); i < count; ++i)
    finished += rt_.worker_at(i)->finished.load(std::memory_order_relaxed);
  if (waiting == 0 || starving_.since_ns == 0 || finished != starving_.finished) {
    starving_ = {waiting == 0 ? 0 : now, finished, waiting != 0 && starving_.told};
    return;
  }
  if (starving_.told || now - starving_.since_ns < name_after_ns) return;
  starving_.told = true;
  complain(
      "fibers (%u) have waited for stacks for 1 s, and none can be had until a fiber ends, which "
      "none did. Start fewer at a time, make stacks smaller (options::stack_size), or raise the "
      "limits on address space (ulimit -v) and on mappings (vm.max_map_count)",
      waiting);
}

// What waits behind a stuck fiber goes to the injector, where every worker looks from time to time.
// To leave it to thieves would not do: workers that have enough of their own never steal.
std::uint64_t watchdog::give_away_work(worker& stuck) noexcept {
  constexpr std::uint32_t room = 64;
  fiber_record* waiting[room];
  std::uint32_t got;
  std::uint64_t sum = 0;
  const auto turns = stuck.turns.load(std::memory_order_relaxed);
  do {
    got = decltype(stuck.queue)::thief(stuck.queue).steal(waiting, room, true);
    for (std::uint32_t i = 1; i < got; ++i) waiting[i - 1]->next = waiting[i];
    if (got > 0) rt_.injected.push(waiting[0], waiting[got - 1], got);
    sum += got;
  } while (got > 0 && turns == stuck.turns.load(std::memory_order_relaxed));
  return sum + worker::fire_timers(stuck.timers);
}

// Work that would run if worker `stuck` did not hold it up (any worker, if it is not one).
bool watchdog::somebody_waits(unsigned stuck) noexcept {
  if (rt_.injected.size() > 0) return true;
  const std::int64_t now = now_ns();
  for (unsigned i = 0, count = rt_.worker_count(); i < count; ++i) {
    const worker* w = rt_.worker_at(i);
    if (stuck < count && i != stuck) continue;
    if (!w->queue.empty() || w->timers.earliest() < now) return true;
  }
  return false;
}

}  // namespace heddle::detail
