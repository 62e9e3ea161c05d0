// SPDX-License-Identifier: BSL-1.0
// blocking_pool: its threads.
#include <heddle/base/chaos.hpp>
#include <heddle/base/futex.hpp>
#include <heddle/sched/blocking_pool.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/own_stack.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>

#include <mutex>
#include <new>
#include <string>
#include <system_error>

namespace heddle::detail {

namespace {
constexpr std::int64_t linger_ns = 10'000'000'000;

// thread_local: whose blocking call, or whose fiber that exits the process, is on this thread; no
// fiber ever runs here from then on.
constinit thread_local runtime_state* blocking_for = nullptr;
}  // namespace

runtime_state* current_runtime() noexcept {
  worker* w = current_worker();
  return w != nullptr ? &w->rt : blocking_for;
}

void block_for(runtime_state& rt) noexcept { blocking_for = &rt; }

// A case of its fiber's wait: to take it out of the queue and to claim it is to begin it.
struct blocking_pool::queued_job : waiter {
  queued_job(const waiting& wait, blocking_job& j) noexcept
      : waiter(wait.who(), wait.claim()), job(j) {}

  blocking_job& job;
};

void blocking_pool::run(blocking_job& job, bool is_cancellation_point) {
  ensure_thread();
  waiting wait(is_cancellation_point, {"for the end of blocking() call", &job, &blocking_call});
  queued_job me(wait, job);
  lock_.lock();
  jobs_.push_back(me);
  const commit publish{[](void* p) noexcept {
                         auto* pool = static_cast<blocking_pool*>(p);
                         pool->lock_.unlock();
                         pool->word_.fetch_add(1, std::memory_order_relaxed);
                         futex_wake(&pool->word_);
                       },
                       this};
  if (wait.sleep(publish) != case_cancelled) return;
  {
    const std::lock_guard hold(lock_);
    if (me.linked()) {
      me.unlink();
      --queued_;
    }
  }
  throw_cancelled();
}

void blocking_pool::ensure_thread() {
  {
    const std::lock_guard hold(lock_);
    // Announced here already: two callers at once must not both count on the same idle thread.
    if (++queued_ <= idle_ || threads_ >= limit_) return;
    ++threads_;
  }
  try {
    if (fails(fault::thread)) {
      throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    }
    std::list<std::thread> made(1);
    const auto place = made.begin();
    {
      const std::lock_guard hold(lock_);
      running_.splice(running_.end(), made);
    }
    try {
      std::thread started([this, place] { serve(place); });
      const std::lock_guard hold(lock_);
      *place = std::move(started);
    } catch (...) {
      const std::lock_guard hold(lock_);
      made.splice(made.end(), running_, place);
      throw;
    }
  } catch (const std::exception&) {
    const std::lock_guard hold(lock_);
    --threads_;
    // With a thread at work the job can queue behind it.
    if (threads_ > 0) return;
    --queued_;
    throw std::system_error(
        std::make_error_code(std::errc::resource_unavailable_try_again),
        "heddle: blocking() found no thread and could not start one; raise the limit on threads "
        "(ulimit -u, or the cgroup's pids.max)");
  }
}

blocking_pool::queued_job* blocking_pool::next_job() noexcept {
  const std::lock_guard hold(lock_);
  while (waiter* first = jobs_.pop_front()) {
    --queued_;
    if (first->try_claim()) return static_cast<queued_job*>(first);
  }
  return nullptr;
}

void blocking_pool::serve(std::list<std::thread>::iterator self) noexcept {
  own_stack between_calls;
  block_for(rt_);
  auto& thread = static_cast<thread_agent&>(this_thread_agent());
  std::int64_t leave_at = real_now_ns() + linger_ns;
  std::list<std::thread> ended;
  for (;;) {
    const auto word = word_.load(std::memory_order_relaxed);
    if (queued_job* next = next_job()) {
      agent& who = *next->who;
      thread.works_for = &next->job;
      between_calls.lend(true);
      next->job.run(next->job);
      between_calls.lend(false);
      thread.works_for = nullptr;
      ready(who);
      leave_at = real_now_ns() + linger_ns;
      continue;
    }
    {
      const std::lock_guard hold(lock_);
      if (!jobs_.empty()) continue;
      // Who has announced a job may count on this thread.
      if (queued_ == 0 && (stopping_ || real_now_ns() >= leave_at)) {
        --threads_;
        ended = take_ended_locked();
        ended_.splice(ended_.end(), running_, self);
        break;
      }
      ++idle_;
    }
    futex_wait(word_, word, leave_at);
    const std::lock_guard hold(lock_);
    --idle_;
  }
  // Each joins those before it. Not a worker: the destructors of their thread-locals may wait for a
  // fiber there, even for the one that would join them.
  for (std::thread& each : ended) each.join();
  thread.is_over = true;
}

std::uint32_t blocking_pool::idle_threads() noexcept {
  const std::lock_guard hold(lock_);
  return queued_ == 0 ? idle_ : 0;
}

std::list<std::thread> blocking_pool::take_ended_locked() noexcept {
  std::list<std::thread> gone;
  for (auto each = ended_.begin(); each != ended_.end();) {
    const auto next = std::next(each);
    // One that has not been told its own handle yet is left for the next time.
    if (each->joinable()) gone.splice(gone.end(), ended_, each);
    each = next;
  }
  return gone;
}

bool blocking_pool::stop() noexcept {
  bool any = false;
  for (backoff wait;; wait.pause()) {
    {
      const std::lock_guard hold(lock_);
      stopping_ = true;
      if (running_.empty() && ended_.empty()) return any;
    }
    any = true;
    word_.fetch_add(1, std::memory_order_relaxed);
    futex_wake(&word_, INT32_MAX);
    std::list<std::thread> gone;
    {
      const std::lock_guard hold(lock_);
      gone = take_ended_locked();
    }
    for (std::thread& each : gone) each.join();
  }
}

}  // namespace heddle::detail
