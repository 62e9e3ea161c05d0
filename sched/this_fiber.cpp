// SPDX-License-Identifier: BSL-1.0
// this_fiber: what the running fiber does to itself.
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sched/wait.hpp>

#include <sched.h>

#include <mutex>

namespace heddle {

namespace {

detail::fiber_record* self() noexcept {
  detail::worker* w = detail::current_worker();
  return w != nullptr ? w->current() : nullptr;
}

}  // namespace

fiber::id this_fiber::get_id() noexcept {
  detail::fiber_record* r = self();
  return r == nullptr ? fiber::id{} : detail_make_id(r->id.load(std::memory_order_relaxed));
}

void this_fiber::yield() noexcept {
  detail::worker* w = detail::current_worker();
  if (w != nullptr) {
    w->yield();
  } else {
    ::sched_yield();
  }
}

std::stop_token this_fiber::get_stop_token() noexcept {
  detail::fiber_record* r = self();
  return r == nullptr ? std::stop_token{} : detail::stop_source_of(*r).get_token();
}

void this_fiber::set_name(std::string_view name) {
  if (detail::fiber_record* r = self()) detail::name_fiber(*r, name);
}

std::string_view this_fiber::name() noexcept {
  detail::fiber_record* r = self();
  if (r == nullptr) return {};
  const std::lock_guard hold(r->lock);
  const detail::fiber_extras* extras = r->extras.load(std::memory_order_relaxed);
  return extras != nullptr ? std::string_view(extras->name) : std::string_view{};
}

void detail::sleep_until_ns(std::int64_t deadline_ns) {
  waiting wait(cancellation_point(), true, {"in sleep_for or sleep_until"});
  const commit nothing{[](void*) noexcept {}, nullptr};
  if (wait.sleep(nothing, deadline_ns) == case_cancelled) throw_cancelled();
}

}  // namespace heddle
