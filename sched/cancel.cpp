// SPDX-License-Identifier: BSL-1.0
// cancel: marking a fiber as cancelled and ending its wait; its stop state.
#include <heddle/base/assert.hpp>
#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/stop.hpp>
#include <heddle/sched/wait.hpp>

#include <algorithm>
#include <mutex>
#include <new>

namespace heddle {

const char* cancelled::what() const noexcept {
  switch (reason_) {
    case cancel_reason::requested:
      return "heddle: cancelled";
    case cancel_reason::sibling_failed:
      return "heddle: cancelled: a sibling failed";
    case cancel_reason::deadline:
      return "heddle: cancelled: a deadline passed";
    case cancel_reason::shutdown:
      return "heddle: cancelled: the runtime is ending";
  }
  return "heddle: cancelled";
}

void this_fiber::check_cancel() { detail::throw_if_cancelled(detail::this_agent()); }

namespace detail {

cancel_scope::cancel_scope(std::int64_t deadline, bool holds_off) noexcept
    : outer(this_agent().scope),
      shielded(holds_off || (outer != nullptr && outer->shielded)),
      deadline_ns(holds_off || outer == nullptr ? deadline
                                                : std::min(deadline, outer->deadline_ns)) {
  this_agent().scope = this;
}

cancel_scope::~cancel_scope() {
  HEDDLE_DCHECK(
      this_agent().scope == this,
      "a shield or deadline_scope %p ends in another fiber than it was made in, or before "
      "one that was made inside it",
      static_cast<void*>(this));
  this_agent().scope = outer;
}

void throw_cancelled() {
  const std::uint8_t mark = cancel_mark(this_agent());
  throw cancelled(mark != 0 ? static_cast<cancel_reason>(mark - 1) : cancel_reason::deadline);
}

bool cancel_fiber(fiber_record& r, cancel_reason why) noexcept {
  if (!is_alive(r.phase.load(std::memory_order_relaxed))) return false;
  std::uint8_t none = 0;
  const auto mark = static_cast<std::uint8_t>(1 + static_cast<int>(why));
  if (!r.cancel.compare_exchange_strong(none, mark, std::memory_order_relaxed)) return false;
  request_stop(r);
  // The fiber opens its claim word, passes a light fence and looks at the mark (waiting::announce).
  heavy_fence();
  const ticket open = r.claim.cancellable_now();
  if (open && r.claim.try_claim(open, case_cancelled)) ready(r);
  return true;
}

bool request_stop(fiber_record& r) noexcept {
  std::stop_source source{std::nostopstate};
  bool first;
  {
    const std::lock_guard hold(r.lock);
    first = !r.stop_requested.load(std::memory_order_relaxed);
    r.stop_requested.store(true, std::memory_order_relaxed);
    if (const fiber_extras* extras = r.extras.load(std::memory_order_relaxed)) {
      source = extras->stop;
    }
  }
  // Runs the callbacks: no lock is held.
  return source.stop_possible() ? source.request_stop() : first;
}

std::stop_source stop_source_of(fiber_record& r) noexcept {
  try {
    fiber_extras& extras = extras_of(r);
    {
      const std::lock_guard hold(r.lock);
      if (extras.stop.stop_possible()) return extras.stop;
    }
    std::stop_source made;
    const std::lock_guard hold(r.lock);
    if (!extras.stop.stop_possible()) {
      // No callback can be registered yet: nothing of the user's runs under the lock.
      if (r.stop_requested.load(std::memory_order_relaxed)) made.request_stop();
      extras.stop = std::move(made);
    }
    return extras.stop;
  } catch (const std::bad_alloc&) {
    return std::stop_source{std::nostopstate};
  }
}

}  // namespace detail
}  // namespace heddle
