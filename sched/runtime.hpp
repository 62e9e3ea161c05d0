// SPDX-License-Identifier: BSL-1.0
// runtime: the workers and all that they share, as users see it.
#pragma once

#include <heddle/sched/fiber.hpp>
#include <heddle/sched/options.hpp>
#include <heddle/sched/outcome.hpp>
#include <heddle/sched/spawn.hpp>
#include <heddle/sched/stats.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace heddle {

/// A set of OS threads (workers) that run fibers. Several may exist in a process, one after another
/// or at once; a fiber stays in its own. Worker threads inherit the signal mask of the thread that
/// makes the runtime.
class runtime {
 public:
  /// \throws std::invalid_argument for options, or environment variables, out of range;
  ///   std::system_error (resource_unavailable_try_again) if threads run out: nothing is left over.
  runtime();
  explicit runtime(options wanted);
  /// Cancels every live fiber (cancel_reason::shutdown), waits for all, then joins the threads. A
  /// fiber that has not ended after five seconds is named on stderr. Aborts, with a message, if it
  /// is called from one of its own fibers, or while the handle of a fiber of it is alive.
  ~runtime();
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// Runs `f(args...)` in a fiber and waits; returns its result or rethrows what left it, also
  /// heddle::cancelled. `f` may take a std::stop_token first. From a plain thread it blocks that
  /// thread; from a fiber (of any runtime) the fiber waits. No cancellation point.
  /// \throws std::invalid_argument for a null callable; std::system_error if resources run out, or
  ///   while the caller exits the process, where the default runtime stands still.
  template <class F, class... A>
  auto run(F&& f, A&&... args) -> detail::call_result<F, A...>;

  /// Starts `f(args...)` as a fiber of this runtime that nobody joins, from any thread. An
  /// exception other than heddle::cancelled that leaves it ends the process, as with std::thread.
  /// \throws as run().
  template <class F, class... A>
  void go(F&& f, A&&... args);

  /// How many workers there are, spare ones not counted. Any thread, as stats().
  unsigned workers() const noexcept;
  runtime_stats stats() const noexcept;

  /// The runtime that plain threads use: started on first use, never destroyed. At exit its workers
  /// are halted at their next switch (waited for 100 ms at most); no fiber is cancelled or unwound.
  static runtime& default_runtime();
  /// The one whose fiber, or blocking() call, this is; or nullptr.
  static runtime* current() noexcept;

 private:
  friend detail::runtime_state& detail::state_of(runtime&) noexcept;
  std::unique_ptr<detail::runtime_state> state_;
};

namespace detail {

/// Runs a call and keeps its outcome on the stack of the one who waits for it.
template <class Call, class Result>
class captured_call {
 public:
  template <class... Parts>
  explicit captured_call(outcome<Result>& out, Parts&&... parts)
      : out_(out), call_(std::in_place, std::forward<Parts>(parts)...) {}
  void operator()(fiber_record& self) {
    out_.set_from([&]() -> Result { return call_(self); });
  }

 private:
  outcome<Result>& out_;
  Call call_;
};

}  // namespace detail

template <class F, class... A>
[[gnu::always_inline]] inline auto runtime::run(F&& f, A&&... args)
    -> detail::call_result<F, A...> {
  using result = detail::call_result<F, A...>;
  using body = detail::captured_call<detail::bound_call_for<F, A...>, result>;
  detail::outcome<result> out;
  detail::fiber_record* r = detail::make_fiber<body>(detail::this_place(), *state_, 0, 2, {}, out,
                                                     std::forward<F>(f), std::forward<A>(args)...);
  detail::start_fiber(r);
  detail::join_fiber(r, false);
  return out.take();
}

template <class F, class... A>
[[gnu::always_inline]] inline void runtime::go(F&& f, A&&... args) {
  detail::start_fiber(detail::make_fiber<detail::bound_call_for<F, A...>>(
      detail::this_place(), *state_, 0, 1, {}, std::in_place, std::forward<F>(f),
      std::forward<A>(args)...));
}

/// Makes a runtime for one call, runs `f(args...)` in it and destroys it: fibers that are still
/// alive are cancelled and waited for. What main() does. Otherwise as runtime::run.
template <class F, class... A>
requires(!std::is_same_v<std::remove_cvref_t<F>, options>)
    [[gnu::always_inline]] inline decltype(auto) run(F&& f, A&&... args) {
  runtime rt;
  return rt.run(std::forward<F>(f), std::forward<A>(args)...);
}
template <class F, class... A>
[[gnu::always_inline]] inline decltype(auto) run(options wanted, F&& f, A&&... args) {
  runtime rt(wanted);
  return rt.run(std::forward<F>(f), std::forward<A>(args)...);
}

}  // namespace heddle
