// SPDX-License-Identifier: BSL-1.0
// async: a call in a fiber of its own, or put off until somebody asks. Part of
//   <heddle/sync/future.hpp>.
//   The callable lies in the shared state, so that one that finds no fiber can be put off still.
#pragma once

#include <heddle/sched/ending.hpp>
#include <heddle/sched/spawn.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sync/future.hpp>

#include <functional>
#include <future>
#include <optional>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

/// What the call returns, where there is such a call.
template <class F, class... A>
using async_result = typename std::conditional_t<
    takes_token<F, A...>, std::invoke_result<std::decay_t<F>, std::stop_token, std::decay_t<A>...>,
    std::invoke_result<std::decay_t<F>, std::decay_t<A>...>>::type;

template <class R, class Call>
class async_state final : public future_state<R> {
 public:
  template <class... Parts>
  explicit async_state(Parts&&... parts)
      : call_(std::in_place, std::in_place, std::forward<Parts>(parts)...) {}

  /// By one caller, once; in `own`, if it is a fiber of its own, whose locals end before it is
  /// ready.
  void run(fiber_record* own) noexcept {
    this->out.set_from([&]() -> R { return call_->call(&this_fiber::get_stop_token); });
    call_.reset();
    if (own != nullptr) settle(*own);
    this->publish(when::now);
  }

 private:
  void run_deferred() noexcept override { run(nullptr); }

  std::optional<Call> call_;
};

/// What the fiber of an async call runs.
template <class State>
class async_body {
 public:
  explicit async_body(state_ref<State> state) noexcept : state_(std::move(state)) {}
  void operator()(fiber_record& self) const { state_->run(&self); }
  /// Where the state's address stands.
  const void* state_place() const noexcept { return state_.place(); }

 private:
  state_ref<State> state_;
};

/// False: there is no room for another fiber, and `may_defer`.
template <class State>
bool start_async(const void* from, const state_ref<State>& state, bool may_defer) {
  try {
    fiber_record* r = make_fiber<async_body<State>>(from, spawning_runtime(), 0, 1, {}, state);
    r->set_works_for(static_cast<async_body<State>*>(r->callable())->state_place());
    start_fiber(r);
    return true;
  } catch (const std::system_error& e) {
    if (may_defer && e.code() == std::errc::resource_unavailable_try_again) return false;
    throw;
  }
}

}  // namespace detail

/// std::async for fibers ([futures.async]). With std::launch::async in `policy` it runs
/// `f(args...)`, or `f(token, args...)` where `f` takes a stop token first, in a fiber of the
/// current fiber's runtime, from a plain thread in the default one. With std::launch::deferred
/// alone the first wait() or get() runs it, as a part of who calls that (whose token it gets); so
/// also with both where the resources for a fiber run out. The outcome is what the call returns or
/// throws, heddle::cancelled too. The callable and its arguments, decayed copies, and what else
/// that fiber owned are destroyed before it is ready. Unlike std's, the future does not wait in its
/// destructor.
/// \throws std::invalid_argument for a null callable; std::system_error: as fiber's constructor, or
///   (invalid_argument) for a policy of neither; std::bad_alloc; what copying `f` and `args` throws
template <class F, class... A>
[[nodiscard, gnu::always_inline]] inline future<detail::async_result<F, A...>> async(
    std::launch policy, F&& f, A&&... args) {
  using result = detail::async_result<F, A...>;
  using state = detail::async_state<result, detail::bound_call_for<F, A...>>;
  const bool may_start = (policy & std::launch::async) != std::launch{};
  const bool may_defer = (policy & std::launch::deferred) != std::launch{};
  if (!may_start && !may_defer) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "heddle: async() with a policy that is neither async nor deferred");
  }
  detail::state_ref<state> made(new state(std::forward<F>(f), std::forward<A>(args)...));
  if (!may_start || !detail::start_async(detail::this_place(), made, may_defer)) made->defer();
  return detail::future_maker::make<result>(std::move(made));
}
/// async(std::launch::async | std::launch::deferred, f, args...).
template <class F, class... A>
[[nodiscard, gnu::always_inline]] inline future<detail::async_result<F, A...>> async(F&& f,
                                                                                     A&&... args) {
  return heddle::async(std::launch::async | std::launch::deferred, std::forward<F>(f),
                       std::forward<A>(args)...);
}

}  // namespace heddle
