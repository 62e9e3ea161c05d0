// SPDX-License-Identifier: BSL-1.0
// blocking_pool: its threads.
#include <heddle/base/chaos.hpp>
#include <heddle/base/futex.hpp>
#include <heddle/sched/blocking_pool.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/wait.hpp>

#include <mutex>
#include <new>
#include <string>
#include <system_error>

namespace heddle::detail {

namespace {
constexpr std::int64_t linger_ns = 10'000'000'000;

// thread_local: whose blocking call runs on this thread; no fiber ever runs here.
constinit thread_local runtime_state* blocking_for = nullptr;
}  // namespace

runtime_state* current_runtime() noexcept {
  worker* w = current_worker();
  return w != nullptr ? &w->rt : blocking_for;
}

void blocking_pool::run(blocking_job& job) {
  ensure_thread();
  agent& self = this_agent();
  job.who = &self;
  struct order {
    blocking_pool* pool;
    blocking_job* job;
  } now{this, &job};
  sleep_unclaimed(self, {[](void* o) noexcept {
                           const order it = *static_cast<order*>(o);
                           it.pool->submit(*it.job);
                         },
                         &now});
}

void blocking_pool::ensure_thread() {
  reap();
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

void blocking_pool::submit(blocking_job& job) noexcept {
  {
    const std::lock_guard hold(lock_);
    (last_ == nullptr ? first_ : last_->next) = &job;
    last_ = &job;
  }
  word_.fetch_add(1, std::memory_order_relaxed);
  futex_wake(&word_);
}

blocking_job* blocking_pool::next_job() noexcept {
  const std::lock_guard hold(lock_);
  blocking_job* job = first_;
  if (job != nullptr) {
    first_ = job->next;
    if (first_ == nullptr) last_ = nullptr;
    --queued_;
  }
  return job;
}

void blocking_pool::serve(std::list<std::thread>::iterator self) noexcept {
  blocking_for = &rt_;
  std::int64_t leave_at = real_now_ns() + linger_ns;
  for (;;) {
    const auto word = word_.load(std::memory_order_relaxed);
    if (blocking_job* job = next_job()) {
      agent& who = *job->who;
      job->run(*job);
      ready(who);
      leave_at = real_now_ns() + linger_ns;
      continue;
    }
    {
      const std::lock_guard hold(lock_);
      if (first_ != nullptr) continue;
      // Who has announced a job may count on this thread.
      if (stopping_ || (queued_ == 0 && real_now_ns() >= leave_at)) {
        --threads_;
        ended_.splice(ended_.end(), running_, self);
        return;
      }
      ++idle_;
    }
    futex_wait(word_, word, leave_at);
    const std::lock_guard hold(lock_);
    --idle_;
  }
}

void blocking_pool::reap() noexcept {
  std::list<std::thread> gone;
  {
    const std::lock_guard hold(lock_);
    for (auto each = ended_.begin(); each != ended_.end();) {
      const auto next = std::next(each);
      // One that has not been told its own handle yet is left for the next time.
      if (each->joinable()) gone.splice(gone.end(), ended_, each);
      each = next;
    }
  }
  for (std::thread& each : gone) each.join();
}

void blocking_pool::stop() noexcept {
  for (backoff wait;; wait.pause()) {
    {
      const std::lock_guard hold(lock_);
      stopping_ = true;
      if (running_.empty() && ended_.empty()) return;
    }
    word_.fetch_add(1, std::memory_order_relaxed);
    futex_wake(&word_, INT32_MAX);
    reap();
  }
}

}  // namespace heddle::detail
