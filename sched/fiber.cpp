// SPDX-License-Identifier: BSL-1.0
// fiber: joining, detaching, stopping, cancelling.
#include <heddle/base/assert.hpp>
#include <heddle/sched/fiber.hpp>
#include <heddle/sched/options.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/wait.hpp>

#include <mutex>
#include <string>
#include <system_error>

namespace heddle {

namespace {
constexpr std::size_t max_name_bytes = 255;
}

fiber& fiber::operator=(fiber&& other) noexcept {
  if (this != &other) {
    fiber ends_here(std::move(*this));
    record_ = std::exchange(other.record_, nullptr);
  }
  return *this;
}

fiber::~fiber() {
  if (record_ == nullptr) return;
  detail::request_stop(*record_);
  // Like all that stand still when the process exits, it is left where it is.
  if (!detail::stands_still(*record_)) detail::join_fiber(record_, false);
}

void fiber::join() {
  if (record_ == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "heddle: join() of a fiber handle that is not joinable");
  }
  if (&detail::this_agent() == record_) {
    throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                            "heddle: a fiber cannot join itself");
  }
  detail::join_fiber(record_, true);
  record_ = nullptr;
}

void fiber::detach() {
  if (record_ == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "heddle: detach() of a fiber handle that is not joinable");
  }
  detail::fiber_record* r = std::exchange(record_, nullptr);
  r->home->release(r);
}

fiber::id fiber::get_id() const noexcept {
  return record_ == nullptr ? id{} : detail_make_id(record_->id.load(std::memory_order_relaxed));
}

std::stop_source fiber::get_stop_source() noexcept {
  return record_ == nullptr ? std::stop_source{std::nostopstate} : detail::stop_source_of(*record_);
}

std::stop_token fiber::get_stop_token() const noexcept {
  return record_ == nullptr ? std::stop_token{} : detail::stop_source_of(*record_).get_token();
}

bool fiber::request_stop() noexcept { return record_ != nullptr && detail::request_stop(*record_); }

bool fiber::cancel() noexcept {
  return record_ != nullptr && detail::cancel_fiber(*record_, cancel_reason::requested);
}

unsigned fiber::hardware_concurrency() noexcept { return detail::usable_processors(); }

namespace detail {

namespace {

[[noreturn, gnu::cold]] void throw_stands_still(fiber_record& r) {
  throw std::system_error(
      std::make_error_code(std::errc::resource_deadlock_would_occur),
      std::string("heddle: a wait for ") + fiber_label(r).text +
          " while the process exits, for ever: the default runtime's fibers stand still by now. "
          "Wait before main returns, or exit is called");
}

}  // namespace

void join_fiber(fiber_record* r, bool is_cancellation_point) {
  agent& self = is_cancellation_point ? cancellation_point() : this_agent();
  if (process_exits() && stands_still(*r)) throw_stands_still(*r);
  waiting wait(self, is_cancellation_point, {"for the end of", r, &fiber_itself});
  HEDDLE_CHECK(&self != r,
               "a fiber destroys its own handle, which waits for its end (a global one by calling "
               "exit): detach() it before");
  join_wait join{&self, wait.claim()};
  r->lock.lock();
  if (r->phase.load(std::memory_order_relaxed) == fiber_phase::ended) {
    r->lock.unlock();
  } else {
    r->joiner = &join;
    if (wait.sleep(unlocking(r->lock)) == case_cancelled) {
      {
        const std::lock_guard hold(r->lock);
        if (r->joiner == &join) r->joiner = nullptr;
      }
      throw_cancelled();
    }
  }
  r->home->release(r);
}

fiber_record* new_fiber(runtime_state& rt, std::size_t stack_size) {
  return rt.new_fiber(stack_size);
}
void discard_fiber(fiber_record* r) noexcept { r->home->discard(r); }
void start_fiber(fiber_record* r) noexcept { r->home->start(r); }

void name_fiber(fiber_record& r, std::string_view name) {
  std::string copy(name.substr(0, max_name_bytes));
  fiber_extras& extras = extras_of(r);
  if (is_traced()) [[unlikely]]
    trace_name(r, copy);
  const std::lock_guard hold(r.lock);
  extras.name.swap(copy);
}

}  // namespace detail
}  // namespace heddle
