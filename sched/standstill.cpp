// SPDX-License-Identifier: BSL-1.0
// standstill: counting who sleeps.
#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/signal_handler.hpp>
#include <heddle/sched/standstill.hpp>
#include <heddle/sched/thread_agent.hpp>

#include <sys/stat.h>

namespace heddle::detail {

namespace {

struct reading {
  bool all_sleep = true;
  bool has_timers = false;
  std::uint64_t fibers = 0;
  std::size_t threads = 0;  // that sleep, and are heddle's or sleep in it
  std::uint64_t instant = 0;
};

void add(runtime_state& rt, reading& r) noexcept {
  const unsigned count = rt.worker_count();
  unsigned asleep = rt.idle.sleeping();
  for (unsigned i = 0; i < count; ++i) {
    if (rt.worker_at(i)->retired.load(std::memory_order_relaxed)) ++asleep;
  }
  full_fence();  // what those who sleep did before is seen
  bool has_work = rt.injected.size() > 0 || rt.starved_count.load(std::memory_order_relaxed) > 0 ||
                  rt.hands_full.load(std::memory_order_relaxed) > 0;
  for (unsigned i = 0; i < count; ++i) {
    const worker& w = *rt.worker_at(i);
    has_work = has_work || w.has_work();
    r.has_timers = r.has_timers || w.timers.size() > 0;
    r.instant += w.turns.load(std::memory_order_relaxed);
  }
  r.all_sleep = r.all_sleep && asleep >= count && !has_work;
  r.fibers += rt.alive();
  r.threads += count + 1 + rt.blocking.idle_threads();
}

reading read_all() noexcept {
  reading r;
  for (runtime_cursor at; at.here() != nullptr; at.next()) add(*at.here(), r);
  r.instant += sleeping_threads::begun();
  r.threads += own_threads.load(std::memory_order_relaxed);
  sleeping_threads().for_each([&](const thread_agent&) { ++r.threads; });
#if defined(HEDDLE_TSAN)
  ++r.threads;  // ThreadSanitizer's own
#endif
  return r;
}

/// How many threads the process has; 0: the system does not say.
std::size_t thread_count() noexcept {
  struct stat tasks {};
  if (::stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink < 3) return 0;
  return static_cast<std::size_t>(tasks.st_nlink) - 2;
}

}  // namespace

std::uint64_t instant_now() noexcept { return read_all().instant; }

forecast look_ahead() noexcept {
  forecast f;
  const reading first = read_all();
  f.fibers = first.fibers;
  f.instant = first.instant;
  if (first.fibers == 0 || process_exits()) return f;
  f.threads = thread_count();
  const reading again = read_all();
  const bool same = again.instant == first.instant && again.threads == first.threads;
  const bool none_else = f.threads != 0 && f.threads <= first.threads;
  f.is_quiet =
      first.all_sleep && again.all_sleep && same && none_else && !program_handles_signals();
  f.stands_still = f.is_quiet && !first.has_timers && !again.has_timers;
  return f;
}

}  // namespace heddle::detail
