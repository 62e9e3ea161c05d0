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
      if constexpr (std::is_void_v<T>) {
        std::forward<F>(f)();
      } else if constexpr (std::is_reference_v<T>) {
        auto&& result = f();
        value_ = std::addressof(result);
      } else {
        value_.emplace(std::in_place, f);
      }
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  T take() {
    if (error_) std::rethrow_exception(std::move(error_));
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(value_->it);
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
