// SPDX-License-Identifier: BSL-1.0
// synchronized: a monitor: a value that can be reached only under its lock.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sync/mutex.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

// Where the compiler can tell, it warns of `auto& value = *s.lock();`, which outlives the lock.
#if defined(__clang__)
#define HEDDLE_LIFETIME_BOUND [[clang::lifetimebound]]
#else
#define HEDDLE_LIFETIME_BOUND
#endif

namespace heddle {

template <class T>
class synchronized;

namespace detail {

template <class T, class... Args>
concept makes_value = (!std::same_as<std::remove_cvref_t<Args>, synchronized<T>> && ...) &&
                      std::constructible_from<T, Args...>;

/// What synchronized::lock() returns: a pointer that keeps its value locked while it lives. Can be
/// moved: the one moved from points to nothing (builds with HEDDLE_ASSERTIONS check that).
template <class T>
class [[nodiscard]] locked_pointer {
 public:
  T& operator*() const noexcept HEDDLE_LIFETIME_BOUND { return *held(); }
  T* operator->() const noexcept HEDDLE_LIFETIME_BOUND { return held(); }

 private:
  template <class>
  friend class heddle::synchronized;
  locked_pointer(mutex& m, T& value) noexcept : hold_(m), value_(std::addressof(value)) {}

  T* held() const noexcept {
    HEDDLE_DCHECK(hold_.owns_lock(),
                  "the value of synchronized %p is used through a pointer that was moved from",
                  static_cast<const volatile void*>(value_));
    return value_;
  }

  std::unique_lock<mutex> hold_;
  T* value_;
};

}  // namespace detail

/// A T with a heddle::mutex around it: a monitor. Each access happens before the next one. Locking
/// is no cancellation point. Not copyable, not movable.
template <class T>
class synchronized {
  static_assert(std::is_object_v<T>, "synchronized<T> holds a value");

 public:
  /// The value is made in place from `args`; without any it is value-initialised. \throws what that
  /// throws
  template <class... Args>
  requires detail::makes_value<T, Args...>
  explicit(sizeof...(Args) != 0)
      synchronized(Args&&... args) noexcept(std::is_nothrow_constructible_v<T, Args...>)
      : value_(std::forward<Args>(args)...) {}
  synchronized(const synchronized&) = delete;
  synchronized& operator=(const synchronized&) = delete;

  /// Blocks until nobody else holds the lock (nor may the caller: builds with HEDDLE_ASSERTIONS
  /// check that). What it returns is used as a pointer to the value, `p->x` or `*p`, const if this
  /// is; it holds the lock until its end, and no reference to the value may be used after that.
  detail::locked_pointer<T> lock() & noexcept { return {mutex_, value_}; }
  detail::locked_pointer<const T> lock() const& noexcept { return {mutex_, value_}; }
  void lock() const&& = delete;  // the pointer would outlive the value

  /// f(value), under the lock. Returns its result by value, also where `f` returns a reference: it
  /// might lead past the lock. \throws what `f` throws
  template <class F>
  auto with_lock(F&& f) {
    const std::lock_guard hold(mutex_);
    return std::invoke(std::forward<F>(f), value_);
  }
  template <class F>
  auto with_lock(F&& f) const {
    const std::lock_guard hold(mutex_);
    return std::invoke(std::forward<F>(f), value_);
  }

 private:
  mutable mutex mutex_;
  T value_;  // guarded by mutex_
};

template <class T>
synchronized(T) -> synchronized<T>;

}  // namespace heddle

#undef HEDDLE_LIFETIME_BOUND
