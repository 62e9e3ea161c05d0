// SPDX-License-Identifier: BSL-1.0
// packaged_task: a function whose outcome goes to a future. Part of <heddle/sync/future.hpp>.
//   The function lies in the task, not in the shared state: it ends with the task, however long its
//   future lives, and a reset() need not move it.
#pragma once

#include <heddle/sync/future.hpp>

#include <functional>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {
template <class Function>
struct signature_of;
template <class Signature>
struct signature_of<std::function<Signature>> {
  using type = Signature;
};
}  // namespace detail

template <class Signature>
class packaged_task;

/// std::packaged_task for fibers and threads ([futures.task]), without allocators.
template <class R, class... Args>
class packaged_task<R(Args...)> {
 public:
  /// Without a function: valid() is false, and all but that, swap and assigning to it throws
  /// std::future_error (no_state).
  packaged_task() noexcept = default;
  /// With a copy of `f`, or `f` moved. \throws std::bad_alloc; what copying `f` throws
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, packaged_task> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>) explicit packaged_task(F&& f)
      : function_(std::make_unique<stored<std::decay_t<F>>>(std::forward<F>(f))),
        state_(new detail::future_state<R>) {}
  packaged_task(packaged_task&&) noexcept = default;
  packaged_task& operator=(packaged_task&& other) noexcept {
    packaged_task(std::move(other)).swap(*this);
    return *this;
  }
  /// Abandons the outcome, as promise does.
  ~packaged_task() {
    if (state_) state_->abandon();
  }

  void swap(packaged_task& other) noexcept {
    function_.swap(other.function_);
    state_.swap(other.state_);
  }
  friend void swap(packaged_task& a, packaged_task& b) noexcept { a.swap(b); }
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }

  /// The one future of it. \throws std::future_error: future_already_retrieved, no_state
  future<R> get_future() { return detail::future_maker::make(state_); }

  /// Calls the function; what it returns or throws is the outcome, heddle::cancelled too. It may
  /// be destroyed by whom the outcome releases. No cancellation point but for the function's own.
  /// \throws std::future_error: promise_already_satisfied if it was called before, no_state
  void operator()(Args... args) { run(detail::when::now, std::forward<Args>(args)...); }
  /// As a call; but who waits is released at the end of the calling fiber or thread, see
  /// promise::set_value_at_thread_exit.
  void make_ready_at_thread_exit(Args... args) {
    run(detail::when::at_end, std::forward<Args>(args)...);
  }
  /// Abandons the outcome, and is ready for another call, with another future.
  /// \throws std::future_error (no_state); std::bad_alloc: then nothing has changed
  void reset() {
    static_cast<void>(*state_);
    detail::state_ref<detail::future_state<R>> fresh(new detail::future_state<R>);
    state_->abandon();
    state_ = std::move(fresh);
  }

 private:
  struct function {
    virtual ~function() = default;
    virtual R call(Args&&... args) = 0;
  };
  template <class F>
  struct stored final : function {
    template <class F2>
    explicit stored(F2&& f) : it(std::forward<F2>(f)) {}
    R call(Args&&... args) override {
      if constexpr (std::is_void_v<R>) {
        static_cast<void>(std::invoke(it, std::forward<Args>(args)...));
      } else {
        return std::invoke(it, std::forward<Args>(args)...);
      }
    }
    [[no_unique_address]] F it;
  };

  // After publish() the task may be gone.
  void run(detail::when at, Args&&... args) {
    detail::future_state<R>& state = *state_;
    state.claim(at, [] {});
    state.out.set_from([&]() -> R { return function_->call(std::forward<Args>(args)...); });
    state.publish(at);
  }

  std::unique_ptr<function> function_;
  detail::state_ref<detail::future_state<R>> state_;
};

template <class R, class... Args>
packaged_task(R (*)(Args...)) -> packaged_task<R(Args...)>;
/// From what has one operator(): the signature that std::function deduces.
template <class F, class Function = decltype(std::function(std::declval<F>()))>
packaged_task(F) -> packaged_task<typename detail::signature_of<Function>::type>;

}  // namespace heddle
