// SPDX-License-Identifier: BSL-1.0
// outcome: the result of a call that ran elsewhere: a value, a reference, nothing, or an exception.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace heddle::detail {

template <class T>
class outcome {
 public:
  /// Stores what `f()` returns or throws; `cancelled` too: it is the outcome.
  template <class F>
  void set_from(F&& f) noexcept {
    try {
      set_value_from(std::forward<F>(f));
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  /// Stores what `f()` returns; nothing, if it throws.
  template <class F>
  void set_value_from(F&& f) {
    if constexpr (std::is_void_v<T>) {
      std::forward<F>(f)();
    } else if constexpr (std::is_reference_v<T>) {
      auto&& result = f();
      value_ = std::addressof(result);
    } else {
      value_.emplace(std::in_place, f);
    }
  }
  void set_error(std::exception_ptr e) noexcept { error_ = std::move(e); }
  /// What `f()` threw, until it is taken; null: it returned.
  const std::exception_ptr& error() const noexcept { return error_; }
  T take() {
    if (error_) std::rethrow_exception(std::move(error_));
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(value_->it);
    }
  }
  /// As take(), which leaves the outcome here: for several who look.
  using shared_type =
      std::conditional_t<std::is_void_v<T>, T, std::add_lvalue_reference_t<const T>>;
  shared_type look() const {
    if (error_) std::rethrow_exception(error_);
    if constexpr (std::is_reference_v<T>) {
      return *value_;
    } else if constexpr (!std::is_void_v<T>) {
      return value_->it;
    }
  }

 private:
  /// Made in place, once, by calling `f`; never by a conversion: a T that can be made from anything
  /// (std::any) would swallow whatever converts.
  struct made {
    template <class F>
    made(std::in_place_t, F& f) : it(f()) {}
    T it;
  };
  struct nothing {};
  using stored = std::conditional_t<std::is_void_v<T>, nothing, std::optional<made>>;

  std::exception_ptr error_;
  std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, stored> value_{};
};

}  // namespace heddle::detail
