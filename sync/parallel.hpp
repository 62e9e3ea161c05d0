// SPDX-License-Identifier: BSL-1.0
// parallel: loops that spread over the workers. How, stands in parallel_core.hpp; here the values
//   that an iteration is called with, and what becomes of its result.
#pragma once

#include <heddle/sched/spawn.hpp>
#include <heddle/sched/stop.hpp>
#include <heddle/sync/parallel_core.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle {

namespace detail {

/// `f(x)`, or `f(token, x)` where F takes one.
template <class F, class X>
inline constexpr bool takes_token_and = std::is_invocable_v<F&, std::stop_token, X>;

template <class F, class X>
struct loop_result : std::invoke_result<F&, X> {};
template <class F, class X>
requires takes_token_and<F, X>
struct loop_result<F, X> : std::invoke_result<F&, std::stop_token, X> {
};

/// Runs `visit(i, call)` for each i in [0, count), where `call(x)`, for an X, calls `f`. `from`:
/// whose code wants it.
template <class X, class F, class Visit>
void run_parallel(const void* from, std::uint64_t count, F& f, Visit visit) {
  refuse_null(f);
  auto body_for = [&f, &visit](fiber_record& self) {
    if constexpr (takes_token_and<F, X>) {
      return [&f, visit, token = stop_source_of(self).get_token()](std::uint64_t i) {
        visit(i,
              [&](X&& x) -> decltype(auto) { return std::invoke(f, token, static_cast<X&&>(x)); });
      };
    } else {
      return [&f, visit](std::uint64_t i) {
        visit(i, [&](X&& x) -> decltype(auto) { return std::invoke(f, static_cast<X&&>(x)); });
      };
    }
  };
  parallel_loop loop(from, count, body_for);
  loop.run();
}

/// The elements of a range by number. Where they cannot be had so, the range is read to its end
/// first: iterators into it are kept or, if it can be read only once, its elements.
template <class R>
class numbered {
  using reference = std::ranges::range_reference_t<R>;
  static constexpr bool is_random =
      std::ranges::random_access_range<R> && std::ranges::sized_range<R>;
  static constexpr bool is_forward = std::ranges::forward_range<R>;
  using element =
      std::conditional_t<std::is_reference_v<reference>, std::ranges::range_value_t<R>, reference>;
  using kept = std::conditional_t<is_forward, std::ranges::iterator_t<R>, element>;
  // Not std::vector<bool>, which has no bool to refer to.
  using list = std::conditional_t<std::is_same_v<kept, bool>, std::deque<kept>, std::vector<kept>>;
  using source = std::conditional_t<is_random, std::ranges::iterator_t<R>, list>;

 public:
  explicit numbered(R& range) : source_(read(range)), size_(size_of(range)) {}

  std::uint64_t size() const noexcept { return size_; }
  reference operator[](std::uint64_t i) {
    if constexpr (is_random) {
      return source_[static_cast<std::iter_difference_t<std::ranges::iterator_t<R>>>(i)];
    } else if constexpr (is_forward) {
      return *source_[static_cast<std::size_t>(i)];
    } else {
      return static_cast<reference&&>(source_[static_cast<std::size_t>(i)]);
    }
  }

 private:
  static source read(R& range) {
    if constexpr (is_random) {
      return std::ranges::begin(range);
    } else {
      source all;
      auto end = std::ranges::end(range);
      for (auto at = std::ranges::begin(range); at != end; ++at) {
        if constexpr (is_forward) {
          all.push_back(at);
        } else {
          all.push_back(std::ranges::iter_move(at));
        }
      }
      return all;
    }
  }
  std::uint64_t size_of(R& range) const {
    if constexpr (is_random) {
      return static_cast<std::uint64_t>(std::ranges::size(range));
    } else {
      return source_.size();
    }
  }

  source source_;
  std::uint64_t size_;
};

template <class I, class F>
void parallel_for_from(const void* place, I first, I last, F&& f) {
  static_assert((std::integral<I> && !std::same_as<I, bool>) || std::random_access_iterator<I>,
                "parallel_for counts with integers or random-access iterators");
  if constexpr (std::integral<I>) {
    // Unsigned, where nothing overflows: from the lowest to the highest value it is 2^64 - 1.
    using number = std::make_unsigned_t<I>;
    static_assert(sizeof(I) <= sizeof(std::uint64_t), "parallel_for counts up to 64 bits");
    const auto low = static_cast<number>(first);
    const std::uint64_t count =
        first < last ? static_cast<number>(static_cast<number>(last) - low) : number{0};
    run_parallel<I>(place, count, f, [low](std::uint64_t i, auto&& call) {
      static_cast<void>(call(static_cast<I>(static_cast<number>(low + static_cast<number>(i)))));
    });
  } else {
    const auto count = first < last ? static_cast<std::uint64_t>(last - first) : 0;
    run_parallel<I>(place, count, f, [first](std::uint64_t i, auto&& call) {
      static_cast<void>(call(first + static_cast<std::iter_difference_t<I>>(i)));
    });
  }
}

template <class R, class F>
void parallel_for_each_from(const void* place, R&& range, F&& f) {
  static_assert(std::ranges::input_range<R>, "parallel_for_each goes over a range");
  cancellation_point();
  refuse_null(f);
  numbered<std::remove_reference_t<R>> elements(range);
  run_parallel<std::ranges::range_reference_t<R>>(
      place, elements.size(), f,
      [&](std::uint64_t i, auto&& call) { static_cast<void>(call(elements[i])); });
}

template <class R, class F>
auto parallel_map_from(const void* place, R&& range, F&& f) {
  static_assert(std::ranges::input_range<R>, "parallel_map goes over a range");
  using reference = std::ranges::range_reference_t<R>;
  using result = std::decay_t<typename loop_result<std::remove_reference_t<F>, reference>::type>;
  static_assert(!std::is_void_v<result>, "parallel_map needs results; see parallel_for_each");
  cancellation_point();
  refuse_null(f);
  numbered<std::remove_reference_t<R>> elements(range);
  // Each in an object of its own: neighbours in a std::vector<bool> cannot be written at once.
  std::vector<std::optional<result>> results(static_cast<std::size_t>(elements.size()));
  run_parallel<reference>(place, elements.size(), f, [&](std::uint64_t i, auto&& call) {
    results[static_cast<std::size_t>(i)].emplace(call(elements[i]));
  });
  std::vector<result> all;
  all.reserve(results.size());
  for (auto& each : results) all.push_back(*std::move(each));
  return all;
}

}  // namespace detail

/// Calls `f(i)` for each i in [first, last), an integer or a random-access iterator; for none where
/// last is not after first. Both are of one type: `std::size_t{0}, v.size()`. As OpenMP's parallel
/// for, but that iterations may block.
///
/// They run in no order, in a few fibers: in the current fiber's runtime, from a plain thread in
/// the default one. Workers that are idle take part, each with a piece of what is left; on one
/// worker the loop costs half a nanosecond an iteration more than a plain one. While an iteration
/// blocks others go on with what is left: each may wait for every other one, as far as stacks last.
///
/// `f` is called by several fibers at once, and not copied. It may take a std::stop_token first:
/// that of the fiber which it runs in. What it returns is dropped.
///
/// The first exception that leaves an iteration, heddle::cancelled included, cancels the others
/// (cancel_reason::sibling_failed), and none begins any more; it is rethrown when all have ended.
/// All iterations happen before the return. A cancellation point: a caller that is cancelled on
/// entry begins nothing; for one that is cancelled while it waits, the iterations are cancelled for
/// its reason and waited for before it throws.
/// \throws cancelled; what an iteration threw; std::invalid_argument for a null callable;
///   std::system_error or std::bad_alloc if not even one fiber can be had
template <class I, class F>
[[gnu::always_inline]] inline void parallel_for(I first, I last, F&& f) {
  detail::parallel_for_from(detail::this_place(), first, last, std::forward<F>(f));
}

/// Calls `f(element)` for each element of a range; otherwise as parallel_for. A sized random-access
/// range is reached into by several fibers at once; of any other one the iterators are collected
/// first, and of one that can be read only once the elements. What its iteration throws then goes
/// to the caller before any element was worked on. Elements of a std::vector<bool> share bytes: to
/// write them is a race.
template <class R, class F>
[[gnu::always_inline]] inline void parallel_for_each(R&& range, F&& f) {
  detail::parallel_for_each_from(detail::this_place(), std::forward<R>(range), std::forward<F>(f));
}

/// As parallel_for_each, and returns what `f(element)` returned, decayed: a std::vector in the
/// range's order (bool too). The results need be movable, nothing more.
template <class R, class F>
[[gnu::always_inline]] inline auto parallel_map(R&& range, F&& f) {
  return detail::parallel_map_from(detail::this_place(), std::forward<R>(range),
                                   std::forward<F>(f));
}

}  // namespace heddle
