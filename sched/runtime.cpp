// SPDX-License-Identifier: BSL-1.0
// runtime: the public face of runtime_state.
#include <heddle/base/assert.hpp>
#include <heddle/sched/blocking.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime.hpp>
#include <heddle/sched/runtime_state.hpp>

namespace heddle {

runtime::runtime() : runtime(options{}) {}

runtime::runtime(options wanted) : state_(std::make_unique<detail::runtime_state>(wanted)) {
  state_->face = this;
}

runtime::~runtime() {
  detail::runtime_state* caller = detail::current_runtime();
  HEDDLE_CHECK(caller != state_.get(),
               "a runtime was destroyed from one of its own fibers, which it would wait for; "
               "destroy it from outside");
  if (caller == nullptr) return;
  // In a fiber of another runtime: that one's worker must not stand still meanwhile.
  struct end : detail::blocking_job {
    runtime* self;
  } job;
  job.self = this;
  job.run = [](detail::blocking_job& j) noexcept { static_cast<end&>(j).self->state_.reset(); };
  try {
    if (!detail::run_blocking(job, false)) state_.reset();
  } catch (const std::system_error&) {
    state_.reset();  // no thread to be had: here, then
  }
}

unsigned runtime::workers() const noexcept { return state_->base_workers; }
runtime_stats runtime::stats() const noexcept { return state_->stats(); }

runtime& runtime::default_runtime() {
  // Never destroyed: its fibers may run until the very end of the process.
  static runtime* const one = [] {
    auto* made = new runtime;
    detail::halt_at_exit(*made->state_);
    return made;
  }();
  return *one;
}

runtime* runtime::current() noexcept {
  detail::runtime_state* state = detail::current_runtime();
  return state != nullptr ? state->face : nullptr;
}

namespace detail {

runtime_state& state_of(runtime& rt) noexcept { return *rt.state_; }

runtime_state& spawning_runtime() {
  if (const worker* w = current_worker()) return w->rt;  // of most, by one call
  runtime_state* const current = current_runtime();
  return current != nullptr ? *current : state_of(runtime::default_runtime());
}

bool run_blocking(blocking_job& job, bool is_cancellation_point) {
  worker* w = current_worker();
  if (w == nullptr) return false;
  w->rt.blocking.run(job, is_cancellation_point);
  return true;
}

}  // namespace detail
}  // namespace heddle
