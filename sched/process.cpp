// SPDX-License-Identifier: BSL-1.0
// process: the list of runtimes, exit and fork.
#include <heddle/base/assert.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/overflow.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>

#include <pthread.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace heddle::detail {

namespace {

constinit spin_lock runtimes_lock;
constinit runtime_state* runtimes = nullptr;  // guarded by runtimes_lock; linked by next_runtime
constinit runtime_state* halted_at_exit = nullptr;
constinit atomic<bool> forked{false};
constinit atomic<bool> exiting{false};

void describe_current(char* out, std::size_t size) noexcept {
  worker* w = current_worker();
  fiber_record* r = w != nullptr ? w->current() : nullptr;
  if (r == nullptr) {
    std::snprintf(out, size, "no fiber");
    return;
  }
  const auto id = r->id.load(std::memory_order_relaxed);
  char name[256] = "";
  if (!r->lock.held()) copy_name(*r, id, name, sizeof name);
  std::snprintf(out, size, "fiber %llu%s%s%s", static_cast<unsigned long long>(id),
                name[0] != '\0' ? " '" : "", name, name[0] != '\0' ? "'" : "");
}

// Each worker goes to its home stack at its next switch, so that whoever parks has opened the lock
// of what it waits for, and stands still there.
void halt() noexcept {
  constexpr std::int64_t patience_ns = 100'000'000;
  const std::int64_t until = real_now_ns() + patience_ns;
  exiting.store(true, std::memory_order_relaxed);
  halted_at_exit->halting();
  for (unsigned i = 0, count = halted_at_exit->worker_count(); i < count; ++i) {
    worker* w = halted_at_exit->worker_at(i);
    if (w == current_worker()) continue;
    backoff wait;
    while (!w->halt() && real_now_ns() < until) wait.pause();
    // (pr.1) acquire: nothing of a fiber's runs there any more; pairs with (wk.6).
    while (w->in_fibers.load(std::memory_order_acquire) && real_now_ns() < until) wait.pause();
  }
}

// LeakSanitizer knows the stacks on which threads stand, not those of fibers that wait, or of the
// threads that run others.
[[maybe_unused]] void keep_what_fibers_refer_to() noexcept {
  const std::lock_guard hold(runtimes_lock);
  for (runtime_state* rt = runtimes; rt != nullptr; rt = rt->next_runtime) {
    for (unsigned i = 0, count = rt->worker_count(); i < count; ++i) rt->worker_at(i)->keep_home();
    rt->records.for_each([](fiber_record& r) {
      if (r.phase.load(std::memory_order_relaxed) != fiber_phase::live) return;
      lsan_keep(&r, sizeof r);
      if (r.bound_stack == nullptr) return;
      const auto* from = static_cast<const std::byte*>(r.sp);
      const stack& s = *r.bound_stack;
      if (from < s.bottom || from >= s.top) from = s.bottom;
      lsan_keep(from, static_cast<std::size_t>(s.top - from));
    });
  }
}

void in_forked_child() noexcept {
  forked.store(true, std::memory_order_relaxed);
  // In a fiber: the next switch must not go to another one, which runs in the parent already. The
  // home stack refuses.
  if (worker* w = current_worker()) w->go_home_next();
}

}  // namespace

bool process_exits() noexcept { return exiting.load(std::memory_order_relaxed); }

void prepare_process() noexcept {
  [[maybe_unused]] static const bool once = [] {
    describe_fiber = &describe_current;
    install_overflow_handler();
    ::pthread_atfork(nullptr, nullptr, &in_forked_child);
#if defined(HEDDLE_ASAN)
    std::atexit(&keep_what_fibers_refer_to);
#endif
    return true;
  }();
}

void refuse_after_fork() noexcept {
  HEDDLE_CHECK(!forked.load(std::memory_order_relaxed),
               "heddle was used in a forked child, where its threads do not exist; a child may "
               "only call exec or _exit");
}

void enlist(runtime_state& rt) noexcept {
  const std::lock_guard hold(runtimes_lock);
  rt.next_runtime = runtimes;
  runtimes = &rt;
}

void delist(runtime_state& rt) noexcept {
  const std::lock_guard hold(runtimes_lock);
  for (runtime_state** link = &runtimes; *link != nullptr; link = &(*link)->next_runtime) {
    if (*link == &rt) {
      *link = rt.next_runtime;
      return;
    }
  }
}

void halt_at_exit(runtime_state& rt) noexcept {
  halted_at_exit = &rt;
  std::atexit(&halt);
  std::at_quick_exit(&halt);
}

void runtime_state::wake_everybody() noexcept {
  const std::lock_guard hold(runtimes_lock);
  for (runtime_state* rt = runtimes; rt != nullptr; rt = rt->next_runtime) rt->wake_all();
}

}  // namespace heddle::detail
