// SPDX-License-Identifier: BSL-1.0
// future: a value, or an exception, that comes later: future and shared_future, who wait for it,
//   and promise, who gives it. packaged_task and async, at the end, are promises with a function.
//   What a call needs and the object does not have, the standard leaves undefined in places: here
//   it is always std::future_error (no_state).
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sync/future_state.hpp>

#include <chrono>
#include <exception>
#include <future>
#include <type_traits>
#include <utility>

namespace heddle {

template <class R>
class shared_future;

namespace detail {

struct future_maker;

/// What future and shared_future have in common. Members but for valid() throw std::future_error
/// (no_state) where valid() is false.
template <class R>
class future_handle {
  static_assert(std::is_void_v<R> || std::is_lvalue_reference_v<R> ||
                    (std::is_object_v<R> && !std::is_array_v<R> && std::is_destructible_v<R>),
                "a future is of a destructible object, an lvalue reference, or void");

 public:
  /// Whether it refers to a shared state.
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }

  /// Blocks until the outcome is ready; a deferred function (see async) runs here and now instead.
  /// What was done before the outcome was set happens before the return. All waits are cancellation
  /// points, also where it is ready. \throws cancelled: without effect
  void wait() const { state_->wait(); }
  /// As wait(), for at most `d`; what is not positive looks once. A deferred function does not run:
  /// std::future_status::deferred, at once.
  template <class Rep, class Period>
  std::future_status wait_for(const std::chrono::duration<Rep, Period>& d) const {
    return state_->wait_until_ns(deadline_after(d));
  }
  /// As wait_for(), until a time point of any clock. \throws cancelled; what Clock::now() throws
  template <class Clock, class Duration>
  std::future_status wait_until(const std::chrono::time_point<Clock, Duration>& at) const {
    return state_->wait_until(at);
  }

 protected:
  future_handle() noexcept = default;
  explicit future_handle(state_ref<future_state<R>> state) noexcept : state_(std::move(state)) {}

  state_ref<future_state<R>> state_;
};

}  // namespace detail

/// std::future for fibers and threads ([futures.unique.future]): the one who takes the outcome. May
/// be destroyed as soon as it is ready, and without waiting before.
template <class R>
class future : public detail::future_handle<R> {
 public:
  future() noexcept = default;
  future(future&&) noexcept = default;
  future& operator=(future&&) noexcept = default;

  /// Waits; returns the value (moved out), or rethrows the exception; valid() is false afterwards.
  /// A cancellation point, without effect if it throws for that. \throws std::future_error
  /// (no_state); what was stored, such as std::future_error (broken_promise); cancelled
  R get() {
    this->state_->wait();
    const auto last = std::move(this->state_);
    return last->out.take();
  }
  /// Hands the state on to one that can be copied; valid() is false afterwards.
  shared_future<R> share() noexcept { return shared_future<R>(std::move(*this)); }

 private:
  friend detail::future_maker;
  friend shared_future<R>;
  explicit future(detail::state_ref<detail::future_state<R>> state) noexcept
      : detail::future_handle<R>(std::move(state)) {}
};

/// std::shared_future for fibers and threads ([futures.shared.future]): copies refer to one
/// outcome. Several may wait for it at once, each by a copy of its own.
template <class R>
class shared_future : public detail::future_handle<R> {
 public:
  shared_future() noexcept = default;
  shared_future(const shared_future&) noexcept = default;
  shared_future(shared_future&&) noexcept = default;
  /// From one that nobody else shares yet, which is then not valid().
  shared_future(future<R>&& from) noexcept : detail::future_handle<R>(std::move(from.state_)) {}
  shared_future& operator=(const shared_future&) noexcept = default;
  shared_future& operator=(shared_future&&) noexcept = default;

  /// Waits; returns the value, which lives as long as the state (const R&, R& or void), or rethrows
  /// the exception. A cancellation point. \throws as future::get
  typename detail::outcome<R>::shared_type get() const {
    this->state_->wait();
    return this->state_->out.look();
  }
};

namespace detail {

struct future_maker {
  /// Throws no_state, future_already_retrieved.
  template <class R>
  static future<R> make(const state_ref<future_state<R>>& state) {
    if (!state->retrieve()) throw_future_error(std::future_errc::future_already_retrieved);
    return future<R>(state);
  }
};

}  // namespace detail

/// std::promise for fibers and threads ([futures.promise]), without allocators: the one who gives
/// the outcome, once. A set function throws std::future_error: no_state after a move,
/// promise_already_satisfied the second time; or what copying the value throws, and then nothing
/// was set. Several may try at once. None is a cancellation point. The promise may be destroyed by
/// whom its outcome releases.
template <class R>
class promise {
  // For members that another kind of R has not.
  struct none;
  using object = std::conditional_t<std::is_object_v<R>, R, none>;
  using reference = std::conditional_t<std::is_reference_v<R>, R, none&>;

 public:
  /// Allocates the state, the only allocation there is. \throws std::bad_alloc
  promise() : state_(new detail::future_state<R>) {}
  promise(promise&&) noexcept = default;
  promise& operator=(promise&& other) noexcept {
    promise(std::move(other)).swap(*this);
    return *this;
  }
  /// Abandons the state: an outcome that was not set is std::future_error (broken_promise).
  ~promise() {
    if (state_) state_->abandon();
  }
  void swap(promise& other) noexcept { state_.swap(other.state_); }
  friend void swap(promise& a, promise& b) noexcept { a.swap(b); }

  /// The one future of it. \throws std::future_error: future_already_retrieved, no_state
  future<R> get_future() { return detail::future_maker::make(state_); }

  /// Stores the value, by copy or move, and releases those who wait. What is done before happens
  /// before the return of their waits. Where nobody waits it makes no system call and no
  /// allocation.
  void set_value(const object& value) requires std::is_object_v<R> {
    set(detail::when::now, [&]() -> R { return value; });
  }
  void set_value(object&& value) requires std::is_object_v<R> {
    set(detail::when::now, [&]() -> R { return std::move(value); });
  }
  void set_value(reference value) requires std::is_reference_v<R> {
    set(detail::when::now, [&]() -> R { return value; });
  }
  void set_value() requires std::is_void_v<R> {
    set(detail::when::now, [] {});
  }
  /// As set_value, with an exception to be rethrown, which must not be null (that aborts).
  void set_exception(std::exception_ptr e) { set_error(detail::when::now, std::move(e)); }

  /// As set_value and set_exception; but who waits is released when the calling fiber ends, after
  /// its locals are destroyed and before who joins it goes on; on a plain thread, after its
  /// thread_locals are destroyed. \throws also std::bad_alloc, or std::system_error, if there is no
  /// room to note that
  void set_value_at_thread_exit(const object& value) requires std::is_object_v<R> {
    set(detail::when::at_end, [&]() -> R { return value; });
  }
  void set_value_at_thread_exit(object&& value) requires std::is_object_v<R> {
    set(detail::when::at_end, [&]() -> R { return std::move(value); });
  }
  void set_value_at_thread_exit(reference value) requires std::is_reference_v<R> {
    set(detail::when::at_end, [&]() -> R { return value; });
  }
  void set_value_at_thread_exit() requires std::is_void_v<R> {
    set(detail::when::at_end, [] {});
  }
  void set_exception_at_thread_exit(std::exception_ptr e) {
    set_error(detail::when::at_end, std::move(e));
  }

 private:
  // After publish() the promise may be gone.
  template <class Value>
  void set(detail::when at, Value&& value) {
    detail::future_state<R>& state = *state_;
    state.claim(at, [&] { state.out.set_value_from(value); });
    state.publish(at);
  }
  void set_error(detail::when at, std::exception_ptr e) {
    detail::future_state<R>& state = *state_;
    HEDDLE_CHECK(e != nullptr, "promise %p: its exception is set to null",
                 static_cast<void*>(this));
    state.claim(at, [&] { state.out.set_error(std::move(e)); });
    state.publish(at);
  }

  detail::state_ref<detail::future_state<R>> state_;
};

}  // namespace heddle

#include <heddle/sync/async.hpp>
#include <heddle/sync/packaged_task.hpp>
