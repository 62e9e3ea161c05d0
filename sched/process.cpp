// SPDX-License-Identifier: BSL-1.0
// process: the list of runtimes, exit, fork and dlclose.
#include <heddle/base/assert.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/overflow.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>

extern "C" void* __dso_handle;

namespace heddle::detail {

constinit atomic<const agent*> exiting_agent{nullptr};
constinit atomic<const agent*> ending_main{nullptr};
constinit atomic<std::uint32_t> own_threads{0};
constinit runtime_state* first_runtime = nullptr;  // guarded by runtimes_lock

namespace {

constinit spin_lock runtimes_lock;
constinit unsigned staying = 0;  // guarded by runtimes_lock: how many runtimes_stay live
constinit runtime_state* halted_at_exit = nullptr;
constinit atomic<bool> forked{false};

void describe_current(char* out, std::size_t size) noexcept {
  worker* w = current_worker();
  fiber_record* r = w != nullptr ? w->current() : nullptr;
  std::snprintf(out, size, "%s", r != nullptr ? fiber_label(*r).text : "no fiber");
}

// Each worker goes to its home stack at its next switch, so that whoever parks has opened the lock
// of what it waits for, and stands still there.
void halt() noexcept {
  if (forked.load(std::memory_order_relaxed)) return;  // there are no workers
  constexpr std::int64_t patience_ns = 100'000'000;
  const std::int64_t until = real_now_ns() + patience_ns;
  worker* own = current_worker();
  if (own != nullptr) own->leave_thread();
  exiting_agent.store(&this_agent(), std::memory_order_relaxed);
  halted_at_exit->halting();
  for (unsigned i = 0, count = halted_at_exit->worker_count(); i < count; ++i) {
    worker* w = halted_at_exit->worker_at(i);
    for (backoff wait; w != own && !w->halt() && real_now_ns() < until;) wait.pause();
  }
  for (unsigned i = 0, count = halted_at_exit->worker_count(); i < count; ++i) {
    worker* w = halted_at_exit->worker_at(i);
    backoff wait;
    // (pr.1) acquire: nothing of a fiber's runs there any more; pairs with (wk.6).
    while (w != own && w->in_fibers.load(std::memory_order_acquire) && real_now_ns() < until) {
      wait.pause();
    }
  }
  // Nobody looks at what fibers wait for any more: it may be destroyed now.
  for (backoff wait; real_now_ns() < until; wait.pause()) {
    if (!inspecting.try_lock()) continue;
    inspecting.unlock();
    break;
  }
}

// LeakSanitizer knows the stacks on which threads stand, not those of fibers that wait, or of the
// threads that run others.
[[maybe_unused]] void keep_what_fibers_refer_to() noexcept {
  const std::lock_guard hold(runtimes_lock);
  for (runtime_state* rt = first_runtime; rt != nullptr; rt = rt->next_runtime) {
    for (unsigned i = 0, count = rt->worker_count(); i < count; ++i) rt->worker_at(i)->keep_home();
    rt->records.for_each([](fiber_record& r) {
      if (!is_alive(r.phase.load(std::memory_order_relaxed))) return;
      lsan_keep(&r, sizeof r);
      if (r.bound_stack == nullptr) return;
      const auto* from = static_cast<const std::byte*>(r.frame.address());
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

// Our threads and handlers of signals would go on in code that is gone if dlclose() unloaded it.
// Done when it is loaded: the thread that holds the dynamic linker's lock is this one; later
// another may hold it, and wait for us. Rejected: -z nodelete, a flag at the link of every user.
[[gnu::constructor]] void stay_loaded() noexcept {
  Dl_info unused{};
  void* map = nullptr;
  const void* const here = reinterpret_cast<const void*>(&stay_loaded);
  if (::dladdr1(here, &unused, &map, RTLD_DL_LINKMAP) == 0) return;
  const char* path = static_cast<const link_map*>(map)->l_name;
  if (path[0] == '\0') return;  // the program itself
  // Looked up, since a static program that names it gets a warning from its linker.
  void* const open = ::dlsym(RTLD_DEFAULT, "dlopen");
  if (open == nullptr) return;
  reinterpret_cast<decltype(&::dlopen)>(open)(path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace

bool stands_still(fiber_record& r) noexcept {
  if (!process_exits() || !is_exiting(this_agent()) || r.home != halted_at_exit) return false;
  // Who was running when all were halted may end, but has no second turn.
  std::int64_t complain_at = real_now_ns() + exit_patience_ns;
  for (unsigned i = 0, count = halted_at_exit->worker_count(); i < count; ++i) {
    worker* w = halted_at_exit->worker_at(i);
    bool runs = true;
    for (backoff wait; runs; wait.pause()) {
      // With its queue locked what its last fiber did is seen.
      decltype(w->queue)::thief(w->queue).with_lock([&] { runs = w->current() == &r; });
      if (!runs || real_now_ns() < complain_at) continue;
      complain_at = no_deadline;
      complain(
          "exit() has waited for 1 s for %s, which runs without a switch, and goes on waiting. Let "
          "it look at its stop token, or end it before main returns.",
          fiber_label(r).text);
    }
  }
  return r.phase.load(std::memory_order_relaxed) != fiber_phase::ended;
}

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
               "used in a forked child, where the threads of the runtime do not exist; a child may "
               "only call exec or _exit");
}

void enlist(runtime_state& rt) noexcept {
  const std::lock_guard hold(runtimes_lock);
  rt.next_runtime = first_runtime;
  first_runtime = &rt;
}

void delist(runtime_state& rt) noexcept {
  for (backoff visitors;; visitors.pause()) {
    const std::lock_guard hold(runtimes_lock);
    if (rt.visitors > 0 || staying > 0) continue;
    runtime_state** link = &first_runtime;
    while (*link != &rt) {
      if (*link == nullptr) return;  // its making failed
      link = &(*link)->next_runtime;
    }
    *link = rt.next_runtime;
    return;
  }
}

void runtime_cursor::go_to_locked(runtime_state* rt) noexcept {
  if (at_ != nullptr) --at_->visitors;
  at_ = rt;
  if (at_ != nullptr) ++at_->visitors;
}

runtime_cursor::runtime_cursor() noexcept {
  const std::lock_guard hold(runtimes_lock);
  go_to_locked(first_runtime);
}

runtime_cursor::~runtime_cursor() {
  const std::lock_guard hold(runtimes_lock);
  go_to_locked(nullptr);
}

void runtime_cursor::next() noexcept {
  const std::lock_guard hold(runtimes_lock);
  go_to_locked(at_->next_runtime);
}

void look_again() noexcept {
  const std::lock_guard hold(runtimes_lock);
  for (runtime_state* rt = first_runtime; rt != nullptr; rt = rt->next_runtime) rt->watch.attend();
}

void hold_runtimes() noexcept { runtimes_lock.lock(); }
void let_go_of_runtimes() noexcept { runtimes_lock.unlock(); }

runtimes_stay::runtimes_stay() noexcept {
  const std::lock_guard hold(runtimes_lock);
  ++staying;
}

runtimes_stay::~runtimes_stay() {
  const std::lock_guard hold(runtimes_lock);
  --staying;
}

void halt_at_exit(runtime_state& rt) noexcept {
  halted_at_exit = &rt;
  // exit() destroys its thread's thread-locals first. Another thread may end otherwise.
  if (::gettid() == ::getpid()) {
    abi::__cxa_thread_atexit(
        [](void*) { ending_main.store(&this_agent(), std::memory_order_relaxed); }, nullptr,
        &__dso_handle);
  }
  std::atexit(&halt);
  std::at_quick_exit(&halt);
}

void runtime_state::wake_everybody() noexcept {
  const std::lock_guard hold(runtimes_lock);
  for (runtime_state* rt = first_runtime; rt != nullptr; rt = rt->next_runtime) rt->wake_all();
}

}  // namespace heddle::detail
