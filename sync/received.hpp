// SPDX-License-Identifier: BSL-1.0
// received: what an attempt to send or receive comes to.
#pragma once

#include <optional>
#include <utility>

namespace heddle {

enum class channel_status {
  ok,      ///< a value was sent, or received
  empty,   ///< nothing to receive now
  full,    ///< nobody to take a value now
  closed,  ///< closed; for receivers: and drained
  timeout  ///< the time ran out first
};

/// An optional<T> that says why it is empty. As there, `*` and `->` need a value, and value()
/// throws std::bad_optional_access without one.
template <class T>
class received {
 public:
  received(channel_status why) noexcept : status_(why) {}
  received(std::optional<T>&& value, channel_status otherwise)
      : value_(std::move(value)), status_(value_ ? channel_status::ok : otherwise) {}

  explicit operator bool() const noexcept { return value_.has_value(); }
  bool has_value() const noexcept { return value_.has_value(); }
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return *std::move(value_); }
  T& value() & { return value_.value(); }
  const T& value() const& { return value_.value(); }
  T&& value() && { return std::move(value_).value(); }
  template <class U>
  T value_or(U&& otherwise) const& {
    return value_.value_or(std::forward<U>(otherwise));
  }
  template <class U>
  T value_or(U&& otherwise) && {
    return std::move(value_).value_or(std::forward<U>(otherwise));
  }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }
  channel_status status() const noexcept { return status_; }

 private:
  std::optional<T> value_;
  channel_status status_;
};

}  // namespace heddle
