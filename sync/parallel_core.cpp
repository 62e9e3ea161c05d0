// SPDX-License-Identifier: BSL-1.0
// parallel_core: handing out iterations.
#include <heddle/base/chaos.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/idle_bell.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sync/parallel_core.hpp>

#include <mutex>
#include <utility>

namespace heddle::detail {

strip::~strip() {
  const std::lock_guard hold(loop_.lock_);
  if (linked()) unlink();
}

bool strip::claim_slow(std::uint64_t i) noexcept {
  const std::lock_guard hold(loop_.lock_);
  if (i < end_.load(std::memory_order_relaxed)) return true;
  if (linked()) unlink();
  return false;
}

bool strip::waits() const noexcept {
  return !yields_.load(std::memory_order_relaxed) && !runs_now(runner_);
}

pace::pace(strip& of) noexcept : of_(of), last_ns_(real_now_ns()), last_yield_ns_(last_ns_) {}

void pace::rest() noexcept {
  constexpr std::int64_t too_short_ns = 10'000, too_long_ns = 50'000, yield_every_ns = 100'000;
  constexpr std::uint32_t longest = 1024;
  const std::int64_t now = real_now_ns();
  const std::int64_t took = now - std::exchange(last_ns_, now);
  if (took > too_long_ns) {
    length_ = 1;
  } else if (took < too_short_ns && length_ < longest) {
    length_ *= 2;
  }
  if (now - last_yield_ns_ < yield_every_ns) return;
  last_yield_ns_ = now;
  of_.yields_.store(true, std::memory_order_relaxed);
  this_fiber::yield();
  of_.yields_.store(false, std::memory_order_relaxed);
}

void parallel_core::run() {
  cancellation_point();
  if (unowned_ == 0) return;
  start_runner(runners_);
  runners_.wait(this);
}

bool parallel_core::refill(strip& mine) noexcept {
  const std::lock_guard hold(lock_);
  if (unowned_ != 0) {
    mine.end_.store(std::exchange(unowned_, 0), std::memory_order_relaxed);
    strips_.push_back(mine);
    return true;
  }
  while (strip* from = best_to_take_from_locked()) {
    if (!take_locked(*from, mine)) continue;  // its runner was faster
    strips_.push_back(mine);
    return true;
  }
  return false;
}

// The first whose runner waits, else the one with most left; null: none has any left.
strip* parallel_core::best_to_take_from_locked() noexcept {
  strip* best = nullptr;
  std::uint64_t most = 0;
  strip* next;
  for (strip* s = strips_.front(); s != nullptr; s = next) {
    next = s == strips_.back() ? nullptr : static_cast<strip*>(s->next);
    const std::uint64_t left = s->left_locked();
    if (left == 0) {
      s->unlink();
    } else if (s->waits()) {
      return s;
    } else if (left > most) {
      best = s;
      most = left;
    }
  }
  return best;
}

bool parallel_core::take_locked(strip& from, strip& to) noexcept {
  bool all = from.waits();
  const std::uint64_t end = from.end_.load(std::memory_order_relaxed);
  for (std::uint64_t next = from.next_.load(std::memory_order_relaxed); next < end; all = false) {
    const std::uint64_t lower = all ? next : next + (end - next) / 2;
    if (chaos(4)) {
      for (int i = 0; i < 100; ++i) cpu_relax();  // the runner comes by
    }
    from.end_.store(lower, std::memory_order_relaxed);
    heavy_fence();
    next = from.next_.load(std::memory_order_relaxed);
    if (next <= lower) {
      to.next_.store(lower, std::memory_order_relaxed);
      to.end_.store(end, std::memory_order_relaxed);
      return true;
    }
    from.end_.store(end, std::memory_order_relaxed);
  }
  return false;
}

bool parallel_core::can_share() noexcept {
  if (!can_start_ || runners_.is_cancelled()) return false;
  const std::lock_guard hold(lock_);
  return unowned_ > 1 || best_to_take_from_locked() != nullptr;
}

void parallel_core::share() noexcept {
  if (!somebody_is_idle(spawning_runtime())) {
    const std::lock_guard hold(lock_);
    const strip* best = best_to_take_from_locked();
    if (best == nullptr || !best->waits()) return;
  }
  try {
    start_runner(runners_);
  } catch (const std::exception&) {
    can_start_ = false;  // resources have run out: those that run do it all
  }
}

}  // namespace heddle::detail
