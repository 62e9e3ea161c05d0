// SPDX-License-Identifier: BSL-1.0
// select: Go's select: waiting for the first of several cases. Here is what knows the values'
//   types; which case is taken, and how one waits for it, is in select_core.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/select_core.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

template <class C, template <class> class Half>
inline constexpr bool is_handle = false;
template <class T, template <class> class Half>
inline constexpr bool is_handle<channel<T>, Half> = true;
template <class T>
inline constexpr bool is_handle<sender<T>, sender> = true;
template <class T>
inline constexpr bool is_handle<receiver<T>, receiver> = true;

/// A channel that can be sent to, or received from.
template <class C>
concept sends = is_handle<std::remove_cvref_t<C>, sender>;
template <class C>
concept receives = is_handle<std::remove_cvref_t<C>, receiver>;
template <class C>
using value_of = typename std::remove_cvref_t<C>::value_type;

/// The handler that was left out.
struct no_handler {};

/// Whether a handler can be called with an A, as it is or by reference.
template <class F, class... A>
inline constexpr bool handles = std::is_same_v<F, no_handler> || std::is_invocable_v<F&, A...> ||
                                std::is_invocable_v<F&, A&...>;
template <class F>
void call_handler(F& f) {
  if constexpr (!std::is_same_v<F, no_handler>) (void)f();
}
/// With what `make` returns, also where there is no handler.
template <class F, class Make>
void call_handler(F& f, Make make) {
  if constexpr (std::is_same_v<F, no_handler>) {
    (void)make();
  } else if constexpr (std::is_invocable_v<F&, decltype(make())>) {
    (void)f(make());
  } else {
    auto value = make();
    (void)f(value);
  }
}

/// The channel of a case: the handle that it was made from, as that is when a select begins, so
/// that the case costs no reference; or a handle of its own, where that one may end before it does.
template <class T>
class channel_use {
 public:
  template <class Handle>
  explicit channel_use(Handle&& from) noexcept {
    if constexpr (std::is_lvalue_reference_v<Handle>) {
      from_ = &static_cast<const channel<T>&>(from);
    } else if constexpr (std::is_const_v<Handle>) {
      own_ = static_cast<const channel<T>&>(from);
    } else {
      own_ = static_cast<channel<T>&&>(from);
    }
  }
  channel_state<T>* state() const noexcept { return (from_ != nullptr ? *from_ : own_).state_; }
  void own() noexcept {
    if (from_ != nullptr) own_ = *std::exchange(from_, nullptr);
  }

 private:
  const channel<T>* from_ = nullptr;
  channel<T> own_{nullptr};
};

template <class T>
class receive_arm : public channel_arm {
  using state = channel_state<T>;

 protected:
  explicit receive_arm(channel_use<T>&& from) noexcept
      : channel_arm(false), from_(std::move(from)) {}

 public:
  void begin(std::size_t i) noexcept final { begin_at(i, from_.state()); }

 protected:
  /// What was received; nullopt: closed and drained.
  std::optional<T> take_value() {
    std::optional<typename state::item> taken(std::move(into_));
    into_.reset();
    std::optional<T> value;
    state::unpack(taken, value);
    return value;
  }

 private:
  void* place() noexcept final { return std::addressof(into_); }
  bool attempt() noexcept final {
    if (of_core().attempt_receive(into_, ends::own) != channel_status::empty) return true;
    core_->unlock_out(ends::own);
    return false;
  }
  bool attempt_locked() noexcept final {
    ends held = ends::both;
    partner_ = nullptr;
    return of_core().receive_locked(into_, partner_, held) != channel_status::empty;
  }
  void conclude() noexcept final { state::take(into_, partner_); }
  void keep_alive() noexcept final { from_.own(); }
  state& of_core() const noexcept { return static_cast<state&>(*core_); }

  channel_use<T> from_;
  std::optional<typename state::item> into_;
};

template <class T>
class send_arm : public channel_arm {
  using state = channel_state<T>;

 public:
  void begin(std::size_t i) noexcept final { begin_at(i, spent_ ? nullptr : to_.state()); }
  /// The value, if it was not sent: the case was not taken, or the channel was closed.
  T& value() noexcept {
    HEDDLE_DCHECK(!sent_, "the value of send case %p was sent", static_cast<void*>(this));
    if constexpr (state::boxed) {
      return *value_;
    } else {
      return value_;
    }
  }

 protected:
  template <class V>
  send_arm(channel_use<T>&& to, V&& value)
      : channel_arm(true), to_(std::move(to)), value_(make(std::forward<V>(value))) {}

  /// Whether the value was sent. The case is never ready again.
  bool spend() noexcept {
    spent_ = true;
    sent_ = !closed_;
    return sent_;
  }

 private:
  template <class V>
  static typename state::item make(V&& value) {
    if constexpr (state::boxed) {
      return std::make_unique<T>(std::forward<V>(value));
    } else {
      return T(std::forward<V>(value));
    }
  }
  void* place() noexcept final { return std::addressof(value_); }
  bool attempt() noexcept final {
    const channel_status status = of_core().attempt_send(value_, ends::own);
    closed_ = status == channel_status::closed;
    if (status != channel_status::full) return true;
    core_->unlock_in(ends::own);
    return false;
  }
  bool attempt_locked() noexcept final {
    partner_ = nullptr;
    const channel_status status = of_core().send_locked(value_, partner_);
    closed_ = status == channel_status::closed;
    return status != channel_status::full;
  }
  void conclude() noexcept final { state::give(value_, partner_); }
  void keep_alive() noexcept final { to_.own(); }
  state& of_core() const noexcept { return static_cast<state&>(*core_); }

  channel_use<T> to_;
  typename state::item value_;
  bool spent_ = false;
  bool sent_ = false;
};

template <class T, class F>
class on_receive_case final : public receive_arm<T> {
  static_assert(handles<F, std::optional<T>>,
                "the handler of on_receive takes a std::optional<T>: nullopt if the channel is "
                "closed and drained");

 public:
  on_receive_case(channel_use<T>&& from, F&& then)
      : receive_arm<T>(std::move(from)), then_(std::move(then)) {}

 private:
  void run() override {
    call_handler(then_, [this] { return this->take_value(); });
  }
  [[no_unique_address]] F then_;
};

template <class T, class F>
class on_send_case final : public send_arm<T> {
  static_assert(handles<F, bool>,
                "the handler of on_send takes a bool: false if the channel is closed");

 public:
  template <class V>
  on_send_case(channel_use<T>&& to, V&& value, F&& then)
      : send_arm<T>(std::move(to), std::forward<V>(value)), then_(std::move(then)) {}

 private:
  void run() override {
    call_handler(then_, [this] { return this->spend(); });
  }
  [[no_unique_address]] F then_;
};

/// Until when: a duration, or a time point.
template <class Rep, class Period>
std::int64_t ask_when(const std::chrono::duration<Rep, Period>& d) noexcept {
  return deadline_after(d);
}
template <class Clock, class Duration>
std::int64_t ask_when(const std::chrono::time_point<Clock, Duration>& at) {
  if constexpr (is_heddles<Clock>) {
    return deadline_at(at);
  } else {
    const std::chrono::nanoseconds slice = foreign_clock_slice;
    return deadline_after(std::min(left_until(at, Clock::now()), slice));
  }
}
template <class Time>
inline constexpr bool is_foreign = false;
template <class Clock, class Duration>
inline constexpr bool is_foreign<std::chrono::time_point<Clock, Duration>> = !is_heddles<Clock>;

template <class Time, class F>
class on_timeout_case final : public timeout_arm {
  static_assert(handles<F>, "the handler of on_timeout takes nothing");

 public:
  on_timeout_case(const Time& until, F&& then) : until_(until), then_(std::move(then)) {}

 private:
  std::int64_t deadline_ns(bool again) override {
    if (!again || is_foreign<Time>) deadline_ns_ = ask_when(until_);
    return deadline_ns_;
  }
  bool foreign() const noexcept override { return is_foreign<Time>; }
  void run() override { call_handler(then_); }

  Time until_;
  std::int64_t deadline_ns_ = 0;
  [[no_unique_address]] F then_;
};

template <class F>
class on_stop_case final : public stop_arm {
  static_assert(handles<F>, "the handler of on_stop takes nothing");

 public:
  on_stop_case(std::stop_token&& token, F&& then)
      : stop_arm(std::move(token)), then_(std::move(then)) {}

 private:
  void run() override { call_handler(then_); }
  [[no_unique_address]] F then_;
};

template <class F>
class otherwise_case final : public arm {
  static_assert(handles<F>, "the handler of otherwise takes nothing");

 public:
  explicit otherwise_case(F&& then) : arm(kind::otherwise), then_(std::move(then)) {}

 private:
  void run() override { call_handler(then_); }
  [[no_unique_address]] F then_;
};
template <class C>
inline constexpr bool is_otherwise = false;
template <class F>
inline constexpr bool is_otherwise<otherwise_case<F>> = true;

}  // namespace detail

// The cases. Each is movable, and can be used again, by one select at a time. A handler, which may
// be left out, runs after every lock is released, on the fiber or thread that selects. One that is
// given a channel that is an lvalue refers to that handle, as it is when a select begins: it may be
// assigned in between, also nullptr, but must not end before the case.

/// Receives a value. The handler takes a std::optional<T>; nullopt: closed and drained. `from` is a
/// channel<T> or a receiver<T>. \throws what moving the handler throws
template <detail::receives C, class F = detail::no_handler>
[[nodiscard]] auto on_receive(C&& from, F then = {}) {
  using T = detail::value_of<C>;
  return detail::on_receive_case<T, F>(detail::channel_use<T>(std::forward<C>(from)),
                                       std::move(then));
}

/// Sends a value, which is copied or moved into the case. The handler takes a bool; false: the
/// channel is closed, and nothing was sent. `to` is a channel<T> or a sender<T>. The case has
/// value(): a reference to the value, if it was not sent. Once taken it is never ready again.
/// \throws what making a T throws; std::bad_alloc for a T whose move may throw
template <detail::sends C, class V = detail::value_of<C>, class F = detail::no_handler>
requires std::is_constructible_v<detail::value_of<C>, V>
[[nodiscard]] auto on_send(C&& to, V&& value, F then = {}) {
  using T = detail::value_of<C>;
  return detail::on_send_case<T, F>(detail::channel_use<T>(std::forward<C>(to)),
                                    std::forward<V>(value), std::move(then));
}

/// Is ready when a time has passed, and no other case is ready but `otherwise`. A duration counts
/// from the start of the select. There may be several: the earliest counts.
template <class Rep, class Period, class F = detail::no_handler>
[[nodiscard]] auto on_timeout(std::chrono::duration<Rep, Period> d, F then = {}) {
  return detail::on_timeout_case<std::chrono::duration<Rep, Period>, F>(d, std::move(then));
}
/// A time point of any clock; one that is not steady is asked again from time to time.
template <class Clock, class Duration, class F = detail::no_handler>
[[nodiscard]] auto on_timeout(std::chrono::time_point<Clock, Duration> at, F then = {}) {
  return detail::on_timeout_case<std::chrono::time_point<Clock, Duration>, F>(at, std::move(then));
}

/// Is ready when `token` is stopped.
template <class F = detail::no_handler>
[[nodiscard]] auto on_stop(std::stop_token token, F then = {}) {
  return detail::on_stop_case<F>(std::move(token), std::move(then));
}

/// Is taken when no other case is ready: a select with it never blocks, and is no cancellation
/// point. One at most.
template <class F = detail::no_handler>
[[nodiscard]] auto otherwise(F then = {}) {
  return detail::otherwise_case<F>(std::move(then));
}

/// Go's select: waits until one of the cases is ready, takes it, and only it, calls its handler and
/// returns its index. Among several that are ready the choice is uniformly random. `cases` are what
/// the functions above return, also lvalues. With none that can ever be ready it waits for ever. A
/// fiber or a plain thread may call.
///
/// A cancellation point, unless there is an `otherwise`: cancelled, on entry or while it waits, it
/// throws, and no case was taken. Memory order is that of the operation taken; what is done before
/// a stop was requested happens before the return of a select that took that on_stop.
/// \throws cancelled; what the handler throws; what the clock of an on_timeout throws
template <detail::some_case... Cases>
std::size_t select(Cases&&... cases) {
  static_assert((std::size_t{detail::is_otherwise<std::remove_cvref_t<Cases>>} + ... + 0) <= 1,
                "a select has one `otherwise` at most");
  std::size_t i = 0;
  std::array<select_case, sizeof...(Cases)> all{select_case(detail::borrowed{}, cases, i++)...};
  return detail::select_begun(all);
}

}  // namespace heddle
