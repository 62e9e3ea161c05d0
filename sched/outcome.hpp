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
        value_ = std::addressof(f());
      } else {
        value_.emplace(maker<F>{f});
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
      return std::move(*value_);
    }
  }

 private:
  struct nothing {};
  using stored = std::conditional_t<
      std::is_void_v<T>, nothing,
      std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

  /// Converts to the value by calling `f`, so that it is made in place, once.
  template <class F>
  struct maker {
    std::remove_reference_t<F>& f;
    operator T() const { return f(); }
  };
  std::exception_ptr error_;
  std::conditional_t<std::is_reference_v<T> || std::is_void_v<T>, stored, std::optional<stored>>
      value_{};
};

}  // namespace heddle::detail
