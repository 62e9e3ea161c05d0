// SPDX-License-Identifier: BSL-1.0
// fiber: std::jthread for fibers, member for member; and go, for those that nobody joins.
#pragma once

#include <heddle/sched/spawn.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

namespace heddle {

class runtime;

namespace detail {
runtime_state& state_of(runtime& rt) noexcept;
/// Waits until `r` has ended and drops the caller's reference; a cancellation point if so asked
/// (then, when it throws, the reference is kept).
void join_fiber(fiber_record* r, bool cancellation_point);
}  // namespace detail

/// What a fiber can be given at its start.
struct fiber_options {
  /// For reports; copied, and cut at 255 bytes.
  std::string_view name = {};
  /// Bytes of its stack; 0: as the runtime's. Limits as options::stack_size.
  std::size_t stack_size = 0;
  /// Where it runs; nullptr: in the current fiber's runtime, from a plain thread the default one.
  runtime* on = nullptr;
};

/// A handle to a fiber, with the contract of std::jthread ([thread.jthread.class]) and its members
/// but for native_handle; it starts in the current fiber's runtime, from a plain thread in the
/// default one. One handle may be used by one fiber or thread at a time, and must be joined,
/// detached or destroyed before its runtime is.
class fiber {
 public:
  class id;

  fiber() noexcept = default;
  /// Starts a fiber that runs `f(args...)`, or `f(token, args...)` where `f` takes a stop token
  /// first. What is done before happens before the start of `f`.
  /// \throws std::invalid_argument for a null callable or a bad stack size; std::system_error
  ///   (resource_unavailable_try_again, not_enough_memory) if resources run out; std::bad_alloc for
  ///   a name or a large callable; what copying the callable and the arguments throws.
  template <class F, class... A>
  requires(!std::is_same_v<std::remove_cvref_t<F>, fiber> &&
           !std::is_same_v<std::remove_cvref_t<F>, fiber_options>)
      [[gnu::always_inline]] explicit fiber(F&& f, A&&... args)
      : fiber(fiber_options{}, std::forward<F>(f), std::forward<A>(args)...) {}
  template <class F, class... A>
  fiber(fiber_options how, F&& f, A&&... args);

  fiber(fiber&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  /// If joinable: request_stop() and join() first.
  fiber& operator=(fiber&& other) noexcept;
  /// If joinable: request_stop() and join(); no cancellation point. It does not cancel: where the
  /// fiber waits for what never comes, so does this. Call cancel() before. While the process exits,
  /// a fiber of the default runtime is left where it stands still. Aborts, with a message, in the
  /// fiber itself.
  ~fiber();

  bool joinable() const noexcept { return record_ != nullptr; }
  /// Waits until the fiber has ended and all that it owned is destroyed; that happens before the
  /// return. A cancellation point.
  /// \throws std::system_error: invalid_argument if not joinable, resource_deadlock_would_occur if
  ///   it is the caller itself, or stands still while the caller exits the process; cancelled (it
  ///   is then still joinable).
  void join();
  /// \throws std::system_error (invalid_argument) if not joinable.
  void detach();
  void swap(fiber& other) noexcept { std::swap(record_, other.record_); }
  friend void swap(fiber& a, fiber& b) noexcept { a.swap(b); }
  id get_id() const noexcept;

  /// The stop state; made on first use. Without memory for it: stop_possible() is false.
  std::stop_source get_stop_source() noexcept;
  std::stop_token get_stop_token() const noexcept;
  /// std's: a request that the fiber's code looks at; nothing is thrown in it.
  bool request_stop() noexcept;
  /// Beyond std: requests stop, and from now on the fiber's cancellation points throw
  /// heddle::cancelled (cancel_reason::requested), again at each one. A wait that is a cancellation
  /// point ends at once, without effect. True for the call that cancelled first; false once the
  /// fiber has ended, or without one.
  bool cancel() noexcept;

  /// As std::jthread: the processors that this process may use (affinity mask and cgroup quota).
  static unsigned hardware_concurrency() noexcept;

 private:
  detail::fiber_record* record_ = nullptr;  // holds a reference
};

/// A fiber's identity: unique for the life of the process. id{} is no fiber.
class fiber::id {
 public:
  constexpr id() noexcept = default;
  friend constexpr auto operator<=>(id, id) noexcept = default;
  template <class C, class T>
  friend std::basic_ostream<C, T>& operator<<(std::basic_ostream<C, T>& out, id i) {
    return out << i.number_;
  }

 private:
  friend class fiber;
  friend struct std::hash<id>;
  friend id detail_make_id(std::uint64_t number) noexcept;
  std::uint64_t number_ = 0;
};

/// For this_fiber::get_id().
inline fiber::id detail_make_id(std::uint64_t number) noexcept {
  fiber::id made;
  made.number_ = number;
  return made;
}

template <class F, class... A>
[[gnu::always_inline]] inline fiber::fiber(fiber_options how, F&& f, A&&... args) {
  detail::runtime_state& rt =
      how.on != nullptr ? detail::state_of(*how.on) : detail::spawning_runtime();
  detail::fiber_record* r = detail::make_fiber<detail::bound_call_for<F, A...>>(
      detail::this_place(), rt, how.stack_size, 2, how.name, std::in_place, std::forward<F>(f),
      std::forward<A>(args)...);
  detail::start_fiber(r);
  record_ = r;
}

/// Starts `f(args...)` as a fiber that nobody joins: in the current fiber's runtime, from a plain
/// thread in the default one. Go's `go`. An exception that leaves it (other than cancelled) ends
/// the process by std::terminate, after its name and message were printed. \throws as fiber's
/// constructor.
template <class F, class... A>
requires(!std::is_same_v<std::remove_cvref_t<F>, fiber_options>)
    [[gnu::always_inline]] inline void go(F&& f, A&&... args) {
  detail::start_fiber(detail::make_fiber<detail::bound_call_for<F, A...>>(
      detail::this_place(), detail::spawning_runtime(), 0, 1, std::string_view{}, std::in_place,
      std::forward<F>(f), std::forward<A>(args)...));
}
template <class F, class... A>
[[gnu::always_inline]] inline void go(fiber_options how, F&& f, A&&... args) {
  detail::runtime_state& rt =
      how.on != nullptr ? detail::state_of(*how.on) : detail::spawning_runtime();
  detail::start_fiber(detail::make_fiber<detail::bound_call_for<F, A...>>(
      detail::this_place(), rt, how.stack_size, 1, how.name, std::in_place, std::forward<F>(f),
      std::forward<A>(args)...));
}

}  // namespace heddle

template <>
struct std::hash<heddle::fiber::id> {
  std::size_t operator()(heddle::fiber::id i) const noexcept {
    return std::hash<std::uint64_t>{}(i.number_);
  }
};
