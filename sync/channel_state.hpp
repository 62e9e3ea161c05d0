// SPDX-License-Identifier: BSL-1.0
// channel_state: a channel with its ring of values. Whatever moves a value into the ring, or out of
//   it, holds the lock of that end.
#pragma once

#include <heddle/sync/channel_core.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace heddle::detail {

/// A channel's state with its ring. What cannot be moved without risk of an exception lies in a
/// box: a half-moved value could neither be kept nor given back.
template <class T>
class channel_state : public channel_core {
 public:
  static constexpr bool boxed = !std::is_nothrow_move_constructible_v<T>;
  using item = std::conditional_t<boxed, std::unique_ptr<T>, T>;

  static channel_state* make(std::size_t capacity) {
    if (capacity > (std::size_t{1} << 40) / sizeof(item)) throw std::bad_array_new_length();
    return new channel_state(capacity);
  }
  ~channel_state() {
    // Whoever released the last party may be about to open a lock, with which it is through.
    lock_out(ends::both);
    while (has_value_locked()) take_from_ring();
  }

  item take_from_ring() noexcept {
    item* at = slot(pop_index_locked());
    item value = std::move(*at);
    std::destroy_at(at);
    popped_locked();
    return value;
  }
  void put_into_ring(item&& value) noexcept {
    std::construct_at(slot(push_index_locked()), std::move(value));
    pushed_locked();
  }

 private:
  struct alignas(item) cell {
    std::byte bytes[sizeof(item)];
  };
  explicit channel_state(std::size_t capacity)
      : channel_core(capacity), ring_(capacity == 0 ? nullptr : new cell[capacity]) {}
  item* slot(std::size_t i) noexcept { return std::launder(reinterpret_cast<item*>(&ring_[i])); }

  std::unique_ptr<cell[]> ring_;
};

}  // namespace heddle::detail
