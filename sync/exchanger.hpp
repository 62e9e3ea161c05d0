// SPDX-License-Identifier: BSL-1.0
// exchanger: a meeting place for two, who swap what they bring.
//   Whoever comes and finds nobody waits; the next one claims him, and swaps while he sleeps.
//   I1  at most one is linked in the list, and offer_ is what he brought: who comes takes off all
//       whose waits were ended otherwise, before he links himself.
//   Lock order: the list's lock, then nothing.
#pragma once

#include <heddle/sync/wait_list.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {

/// An exchanger without its values.
class exchanger_core {
 public:
  constexpr exchanger_core() noexcept = default;
  exchanger_core(const exchanger_core&) = delete;
  exchanger_core& operator=(const exchanger_core&) = delete;
  ~exchanger_core() { waiting_.expect_empty("exchanger", this); }

  /// One who has been met.
  struct partner {
    agent* who;
    void* offer;
  };
  /// The partner who waits: he sleeps until the caller, who has swapped what they offer, makes him
  /// ready, and touches the exchanger no more. Nobody (who is null): the caller has waited, and a
  /// partner has swapped. \throws cancelled, with no effect
  partner meet(void* offer);

 private:
  wait_list waiting_;
  void* offer_ = nullptr;  // guarded by the list's lock
};

}  // namespace detail

/// A meeting place for two fibers or threads: each brings a T, and goes with the other's. Pairs are
/// made in the order they come, again and again. What each did before happens before the other's
/// return. May be destroyed by either of a pair, if nobody else uses it.
///
/// T can be moved, or copied. A T whose move may throw is put into a box first, so that nobody is
/// left with half a value; only then is memory allocated.
template <class T>
class exchanger {
  static_assert(std::is_object_v<T> && std::is_move_constructible_v<T>,
                "exchanger<T>: T must be an object type that can be moved, or copied");

 public:
  constexpr exchanger() noexcept = default;
  exchanger(const exchanger&) = delete;
  exchanger& operator=(const exchanger&) = delete;

  /// Gives `value` away, and returns what the partner gave; blocks until there is one. A
  /// cancellation point, also where a partner waits already: who throws has met nobody.
  /// \throws cancelled; where T needs a box, std::bad_alloc and what moving T throws: before it has
  /// met anybody, or, as what it got is returned, after that
  T exchange(T value) {
    if constexpr (boxed) {
      return std::move(*swap(std::make_unique<T>(std::move(value))));
    } else {
      return swap(std::move(value));
    }
  }

 private:
  static constexpr bool boxed = !std::is_nothrow_move_constructible_v<T>;
  using item = std::conditional_t<boxed, std::unique_ptr<T>, T>;
  struct offer {
    item given;
    std::optional<item> got{};
  };

  item swap(item given) {
    offer mine{std::move(given)};
    const auto met = core_.meet(&mine);
    if (met.who != nullptr) {
      auto& theirs = *static_cast<offer*>(met.offer);
      mine.got.emplace(std::move(theirs.given));
      theirs.got.emplace(std::move(mine.given));
      detail::ready(*met.who);
    }
    return *std::move(mine.got);
  }

  detail::exchanger_core core_;
};

}  // namespace heddle
