// SPDX-License-Identifier: BSL-1.0
// thread_agent: sleeping, and being seen asleep.
#include <heddle/base/assert.hpp>
#include <heddle/fiber/unwind.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/own_stack.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>

#include <pthread.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <optional>

namespace heddle::detail {

namespace {

constinit spin_lock sleepers_lock;
constinit intrusive_list<thread_agent> sleepers;  // guarded by sleepers_lock
constinit std::uint64_t sleeps_begun = 0;         // the same

/// While one lives its thread is among the sleepers.
class seen_asleep {
 public:
  seen_asleep(thread_agent& self, const wait_note& note, bool has_stops) noexcept : self_(self) {
    if (self.thread_id == 0) self.thread_id = ::gettid();
    self.note = &note;
    self.is_tied = note.why.owner != nullptr && !has_stops;
    if (self.stack_top == nullptr) {
      // By which others know what is its.
      const stack_extent here = extent_of_this_stack();
      self.stack_bottom = here.bottom;
      self.stack_top = here.top;
    }
    {
      const std::lock_guard hold(sleepers_lock);
      sleepers.push_back(self);
      ++sleeps_begun;
    }
    look_again();
  }
  ~seen_asleep() {
    const std::lock_guard hold(sleepers_lock);
    self_.unlink();
  }
  seen_asleep(const seen_asleep&) = delete;
  seen_asleep& operator=(const seen_asleep&) = delete;

 private:
  thread_agent& self_;
};

struct sleep_unlimited {
  thread_agent& self;
  const wait_note& note;
  bool has_stops;
};

void sleep_seen(void* x, const void* registers) noexcept {
  const auto& [self, note, has_stops] = *static_cast<sleep_unlimited*>(x);
  self.registers = registers;
  std::optional<seen_asleep> seen;
  // (ta.1) acquire: what the waker did before ready() is seen; pairs with (wt.2).
  while (self.notified.load(std::memory_order_acquire) == 0) {
    if (!seen) seen.emplace(self, note, has_stops);
    futex_wait(self.notified, 0, no_deadline);
  }
}

// In the child of a fork() there are no sleepers, and nobody who would open these locks. Said when
// the library is loaded: a fork() in the middle of the first wait would leave its child with a
// static that is never made.
[[gnu::constructor]] void survive_forks() noexcept {
  ::pthread_atfork(
      [] {
        hold_runtimes();
        sleepers_lock.lock();
      },
      [] {
        sleepers_lock.unlock();
        let_go_of_runtimes();
      },
      [] {
        std::construct_at(&sleepers);
        sleepers_lock.unlock();
        let_go_of_runtimes();
      });
}

}  // namespace

thread_agent::thread_agent() noexcept
    : agent(false), choices(random_source(static_cast<std::uint64_t>(real_now_ns()))) {}

sleeping_threads::sleeping_threads() noexcept { sleepers_lock.lock(); }
sleeping_threads::~sleeping_threads() { sleepers_lock.unlock(); }
intrusive_list<thread_agent>& sleeping_threads::all() noexcept { return sleepers; }

std::uint64_t sleeping_threads::begun() noexcept {
  const std::lock_guard hold(sleepers_lock);
  return sleeps_begun;
}

void sleep_until_notified(thread_agent& self, const wait_note& note, bool has_stops,
                          std::int64_t deadline_ns) noexcept {
  refuse_after_fork();
  if (deadline_ns == no_deadline && (self.is_over || has_begun_to_exit(self))) {
    sleep_until_notified(self, note, has_stops, real_now_ns() + exit_patience_ns);
    const bool still_waits = self.notified.load(std::memory_order_relaxed) == 0;
    if (still_waits && self.is_over) {
      complain(
          "a thread_local's destructor has waited for 1 s, at the end of a runtime's thread, and "
          "goes on waiting; the end of the runtime waits for it. Nobody may be left to wake it.");
    } else if (still_waits) {
      complain(
          "exit() has waited for 1 s, in a static object's destructor or a handler of atexit, and "
          "goes on waiting. What it waits for should end before main returns: close the channel, "
          "cancel() or join the fiber. Once halted, the default runtime's fibers stand still.");
    }
  }
  if (deadline_ns == no_deadline) {
    sleep_unlimited all{self, note, has_stops};
    heddle_seen_from_outside(&sleep_seen, &all);
    return;
  }
  // (ta.2) acquire: as (ta.1); pairs with (wt.2).
  while (self.notified.load(std::memory_order_acquire) == 0) {
    if (real_now_ns() >= deadline_ns) return;
    futex_wait(self.notified, 0, deadline_ns);
  }
}

}  // namespace heddle::detail
