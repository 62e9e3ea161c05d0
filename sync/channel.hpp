// SPDX-License-Identifier: BSL-1.0
// channel: Go's channels. A handle: copies refer to one channel, which lives as long as any of
// them.
//   The values and their moves are here; waiting and closing are in channel_core.
#pragma once

#include <heddle/sched/clock.hpp>
#include <heddle/sync/channel_state.hpp>
#include <heddle/sync/received.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace heddle {

template <class T>
class sender;
template <class T>
class receiver;
namespace detail {
template <class T>
class channel_use;
}

/// A channel of T, as in Go: first in, first out; unbuffered, or with a capacity; for any number of
/// senders and receivers, fibers and plain threads alike. A handle: copies refer to one channel,
/// and to use a const one changes the channel, as with a pointer.
///
/// T is nothrow-movable, or copyable; move-only is fine. A T whose move may throw travels in a heap
/// block and is copied at each end: sending it may throw std::bad_alloc, and if the copy at the
/// receiver throws, that value is lost. To move or destroy a T must not let the fiber switch: the
/// channel may be locked.
///
/// Waiting receivers, and waiting senders, are served in the order they came. After close() what is
/// buffered can still be received. A value is moved from only when it was sent. send, receive and
/// their timed forms are cancellation points: they throw heddle::cancelled on entry, or while they
/// wait, and have then had no effect. try_* never block and are none.
///
/// Memory order is Go's: a send happens before the receive of its value returns; the k-th receive
/// of a channel with capacity C happens before the (k+C)-th send returns; close() happens before a
/// receive that returns because of it.
template <class T>
class channel {
  static_assert(std::is_nothrow_move_constructible_v<T> || std::is_copy_constructible_v<T>,
                "a channel's values must be nothrow-movable or copyable");
  using state = detail::channel_state<T>;
  using item = typename state::item;

 public:
  using value_type = T;
  class iterator;
  using sentinel = std::default_sentinel_t;

  /// An unbuffered channel. \throws std::bad_alloc
  channel() : channel(std::size_t{0}) {}
  /// A channel that holds up to `capacity` values. \throws std::bad_alloc
  explicit channel(std::size_t capacity) : state_(state::make(capacity)) {}
  /// Go's nil channel: never ready. try_send says full, try_receive empty, close() false.
  template <std::same_as<std::nullptr_t> N>
  channel(N) noexcept : state_(nullptr) {}

  channel(const channel& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add_reference();
  }
  /// The other handle is nil afterwards.
  channel(channel&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  channel& operator=(channel other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~channel() {
    if (state_ != nullptr && state_->drop_reference()) delete state_;
    // Memory that is free must not look as if it held the channel still (debug/leak.cpp).
    state_ = nullptr;
    asm volatile("" : : "m"(state_));
  }

  /// Sends a value; blocks while the channel is full, or, if it is unbuffered, until it is
  /// received. False: closed, nothing was sent. \throws cancelled; what copying T throws
  bool send(const T& value) const {
    return send_copy(value, detail::no_deadline) == channel_status::ok;
  }
  bool send(T&& value) const { return send_item(value, detail::no_deadline) == channel_status::ok; }
  /// Receives a value; blocks while there is none. nullopt: closed and drained. \throws cancelled
  std::optional<T> receive() const {
    std::optional<T> into;
    (void)receive_into(into, detail::no_deadline);
    return into;
  }

  /// ok, full or closed. \throws what copying T throws
  channel_status try_send(const T& value) const {
    T copy(value);
    return try_send(std::move(copy));
  }
  channel_status try_send(T&& value) const {
    if (state_ == nullptr) return channel_status::full;
    if constexpr (state::boxed) {
      item box = std::make_unique<T>(value);
      return attempt_send(box);
    } else {
      return attempt_send(value);
    }
  }
  /// ok, empty or closed.
  received<T> try_receive() const {
    if (state_ == nullptr) return channel_status::empty;
    std::optional<item> into;
    const channel_status status = state_->attempt_receive(into);
    if (status == channel_status::empty) state_->unlock_out(detail::ends::both);
    std::optional<T> value;
    state::unpack(into, value);
    return {std::move(value), status};
  }

  /// As send, for at most `d`: ok, timeout or closed. What is not positive tries once.
  template <class Rep, class Period>
  channel_status send_for(const T& value, std::chrono::duration<Rep, Period> d) const {
    return send_copy(value, detail::deadline_after(d));
  }
  template <class Rep, class Period>
  channel_status send_for(T&& value, std::chrono::duration<Rep, Period> d) const {
    return send_item(value, detail::deadline_after(d));
  }
  /// As send_for, until a time point of any clock; one that is not steady is asked again.
  template <class Clock, class Duration>
  channel_status send_until(const T& value, std::chrono::time_point<Clock, Duration> at) const {
    channel_status status = channel_status::timeout;
    detail::turn mine = 0;
    detail::attempt_until(at, [&](std::int64_t deadline_ns) {
      status = send_copy(value, deadline_ns, &mine);
      return status != channel_status::timeout;
    });
    return status;
  }
  template <class Clock, class Duration>
  channel_status send_until(T&& value, std::chrono::time_point<Clock, Duration> at) const {
    channel_status status = channel_status::timeout;
    detail::turn mine = 0;
    detail::attempt_until(at, [&](std::int64_t deadline_ns) {
      status = send_item(value, deadline_ns, &mine);
      return status != channel_status::timeout;
    });
    return status;
  }
  /// As receive, for at most `d`: status() is ok, timeout or closed.
  template <class Rep, class Period>
  received<T> receive_for(std::chrono::duration<Rep, Period> d) const {
    std::optional<T> into;
    const channel_status status = receive_into(into, detail::deadline_after(d));
    return {std::move(into), status};
  }
  /// As receive_for, until a time point of any clock; one that is not steady is asked again.
  template <class Clock, class Duration>
  received<T> receive_until(std::chrono::time_point<Clock, Duration> at) const {
    std::optional<T> into;
    channel_status status = channel_status::timeout;
    detail::turn mine = 0;
    detail::attempt_until(at, [&](std::int64_t deadline_ns) {
      status = receive_into(into, deadline_ns, &mine);
      return status != channel_status::timeout;
    });
    return {std::move(into), status};
  }

  /// No more values; wakes everybody. False: it was closed already (or is nil). No error, unlike
  /// Go.
  bool close() const noexcept { return state_ != nullptr && state_->close(); }
  /// Whether it is closed now; values may still be buffered. Orders nothing, as size().
  bool closed() const noexcept { return state_ != nullptr && state_->closed(); }
  /// How many values are buffered; 0 for nil and unbuffered ones.
  std::size_t size() const noexcept { return state_ != nullptr ? state_->size() : 0; }
  std::size_t capacity() const noexcept { return state_ != nullptr ? state_->capacity() : 0; }

  /// Receives until the channel is closed and drained: `for (T& v : c)`. \throws cancelled
  iterator begin() const { return iterator(*this); }
  sentinel end() const noexcept { return {}; }

  /// Whether both refer to one channel.
  friend bool operator==(const channel&, const channel&) noexcept = default;

 private:
  friend class detail::channel_use<T>;

  // A value that waits is moved from by whoever receives it; so what must survive a failure to send
  // is copied (once), and what may be moved is moved only then.
  channel_status send_copy(const T& value, std::int64_t deadline_ns,
                           detail::turn* mine = nullptr) const {
    detail::agent& self = detail::cancellation_point();
    if constexpr (state::boxed) {
      item box = std::make_unique<T>(value);
      return send_prepared(self, box, deadline_ns, mine);
    } else {
      T copy(value);
      return send_prepared(self, copy, deadline_ns, mine);
    }
  }
  channel_status send_item(T& value, std::int64_t deadline_ns, detail::turn* mine = nullptr) const {
    if constexpr (state::boxed) {
      // Its move may throw, so it is copied; "moved from" is a copy's right.
      return send_copy(value, deadline_ns, mine);
    } else {
      return send_prepared(detail::cancellation_point(), value, deadline_ns, mine);
    }
  }
  channel_status send_prepared(detail::agent& self, item& value, std::int64_t deadline_ns,
                               detail::turn* mine) const {
    if (state_ == nullptr) {
      detail::channel_core::wait_at_nothing(deadline_ns);
      return channel_status::timeout;
    }
    const channel_status status = state_->attempt_send(value);
    if (status != channel_status::full) return status;
    if (deadline_ns != detail::no_deadline && deadline_ns <= detail::now_ns()) {
      state_->unlock_in(detail::ends::both);
      return channel_status::timeout;
    }
    // What the receiver does in this fiber's place: it moves the value from here to itself.
    return to_status(state_->wait_to_send(self, std::addressof(value), deadline_ns, mine));
  }
  static channel_status to_status(detail::wait_end how) noexcept {
    return how == detail::wait_end::done     ? channel_status::ok
           : how == detail::wait_end::closed ? channel_status::closed
                                             : channel_status::timeout;
  }

  channel_status attempt_send(item& value) const {
    const channel_status status = state_->attempt_send(value);
    if (status == channel_status::full) state_->unlock_in(detail::ends::both);
    return status;
  }
  channel_status receive_into(std::optional<T>& out, std::int64_t deadline_ns,
                              detail::turn* mine = nullptr) const {
    detail::agent& self = detail::cancellation_point();
    if (state_ == nullptr) {
      detail::channel_core::wait_at_nothing(deadline_ns);
      return channel_status::timeout;
    }
    std::optional<item> into;
    channel_status status = state_->attempt_receive(into);
    if (status == channel_status::empty) {
      if (deadline_ns != detail::no_deadline && deadline_ns <= detail::now_ns()) {
        state_->unlock_out(detail::ends::both);
        return channel_status::timeout;
      }
      status = to_status(state_->wait_to_receive(self, std::addressof(into), deadline_ns, mine));
    }
    state::unpack(into, out);
    return status;
  }

  state* state_;
};

/// An input iterator over what a channel yields.
template <class T>
class channel<T>::iterator {
 public:
  using value_type = T;
  using difference_type = std::ptrdiff_t;

  T& operator*() const noexcept { return *current_; }
  iterator& operator++() {
    current_.reset();
    (void)from_->receive_into(current_, detail::no_deadline);
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
    return !i.current_.has_value();
  }

 private:
  friend class channel;
  explicit iterator(const channel& from) : from_(&from), current_(from.receive()) {}
  const channel* from_;
  mutable std::optional<T> current_;
};

/// A channel's sending half, with the members of channel for sending.
template <class T>
class sender : channel<T> {
  using base = channel<T>;

 public:
  using value_type = T;
  sender(channel<T> c) noexcept : base(std::move(c)) {}
  /// Of a nil channel.
  template <std::same_as<std::nullptr_t> N>
  sender(N) noexcept : base(nullptr) {}
  using base::capacity;
  using base::close;
  using base::closed;
  using base::send;
  using base::send_for;
  using base::send_until;
  using base::size;
  using base::try_send;
  friend bool operator==(const sender& a, const sender& b) noexcept {
    return static_cast<const base&>(a) == static_cast<const base&>(b);
  }

 private:
  friend class detail::channel_use<T>;
};

/// A channel's receiving half, with the members of channel for receiving.
template <class T>
class receiver : channel<T> {
  using base = channel<T>;

 public:
  using value_type = T;
  receiver(channel<T> c) noexcept : base(std::move(c)) {}
  /// Of a nil channel.
  template <std::same_as<std::nullptr_t> N>
  receiver(N) noexcept : base(nullptr) {}
  using base::begin;
  using base::capacity;
  using base::closed;
  using base::end;
  using base::receive;
  using base::receive_for;
  using base::receive_until;
  using base::size;
  using base::try_receive;
  friend bool operator==(const receiver& a, const receiver& b) noexcept {
    return static_cast<const base&>(a) == static_cast<const base&>(b);
  }

 private:
  friend class detail::channel_use<T>;
};

}  // namespace heddle
