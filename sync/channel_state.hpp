// SPDX-License-Identifier: BSL-1.0
// channel_state: a channel with its ring of values. Whatever moves a value into the ring, or out of
//   it, holds the lock of that end.
//
//   An attempt has two halves. Under the locks it finds out what becomes of it, and claims the
//   partner who waits, if it needs one; when they are open it moves the value from hand to hand and
//   makes the partner ready, who may then destroy the channel. A select holds the locks of many
//   channels between the halves.
#pragma once

#include <heddle/sync/channel_core.hpp>
#include <heddle/sync/received.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
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
    expect_unused_locked();
    while (has_value_locked()) static_cast<void>(take_from_ring());
  }

  /// ok, full or closed, of a send with the locks that lock_in() took. `partner` gets who is to be
  /// given the value by give(), if anybody.
  channel_status send_locked(item& value, channel_waiter*& partner) noexcept {
    if (closed_locked()) return channel_status::closed;
    partner = claim_receiver_locked();
    if (partner != nullptr) return channel_status::ok;
    if (!has_room_locked()) return channel_status::full;
    put_into_ring(std::move(value));
    return channel_status::ok;
  }
  static void give(item& value, channel_waiter* partner) noexcept {
    if (partner == nullptr) return;
    static_cast<std::optional<item>*>(partner->value)->emplace(std::move(value));
    ready(*partner->who);
  }
  /// ok, full or closed. If it returns full, the locks `held` are still held.
  channel_status attempt_send(item& value, ends held) noexcept {
    channel_waiter* partner = nullptr;
    lock_in(held);
    const channel_status status = send_locked(value, partner);
    if (status != channel_status::full) {
      unlock_in(held);
      give(value, partner);
    }
    return status;
  }
  /// If it returns full, both ends are still locked. They must be, also for one who will not wait:
  /// to itself an end may seem full when it is not any more.
  channel_status attempt_send(item& value) noexcept {
    if (buffered()) {
      const channel_status status = attempt_send(value, ends::own);
      if (status != channel_status::full) return status;
      unlock_in(ends::own);
    }
    return attempt_send(value, ends::both);
  }

  /// ok, empty or closed, of a receive with the locks that lock_out(held) took; it may have to take
  /// the other one too. `partner` gets who has given the value, or is to by take().
  channel_status receive_locked(std::optional<item>& into, channel_waiter*& partner,
                                ends& held) noexcept {
    if (has_value_locked()) {
      if (!senders_wait_locked()) [[likely]] {
        into.emplace(take_from_ring());
        return channel_status::ok;
      }
      // The first of them takes the place that comes free, before anybody else may.
      if (held == ends::own) lock_in(ends::own);
      held = ends::both;
      into.emplace(take_from_ring());
      partner = claim_sender_locked();
      if (partner != nullptr) put_into_ring(std::move(*static_cast<item*>(partner->value)));
      return channel_status::ok;
    }
    if (!buffered()) {
      partner = claim_sender_locked();
      if (partner != nullptr) return channel_status::ok;
    }
    return closed_locked() ? channel_status::closed : channel_status::empty;
  }
  static void take(std::optional<item>& into, channel_waiter* partner) noexcept {
    if (partner == nullptr) return;
    if (!into) into.emplace(std::move(*static_cast<item*>(partner->value)));
    ready(*partner->who);
  }
  /// ok, empty or closed. If it returns empty, the locks `held` are still held.
  channel_status attempt_receive(std::optional<item>& into, ends held) noexcept {
    channel_waiter* partner = nullptr;
    lock_out(held);
    const channel_status status = receive_locked(into, partner, held);
    if (status != channel_status::empty) {
      unlock_out(held);
      take(into, partner);
    }
    return status;
  }
  /// If it returns empty, both ends are still locked; as attempt_send().
  channel_status attempt_receive(std::optional<item>& into) noexcept {
    if (buffered()) {
      const channel_status status = attempt_receive(into, ends::own);
      if (status != channel_status::empty) return status;
      unlock_out(ends::own);
    }
    return attempt_receive(into, ends::both);
  }

  /// A received value as the user wants it; what is boxed is copied.
  static void unpack(std::optional<item>& from, std::optional<T>& to) {
    if (!from) return;
    if constexpr (boxed) {
      to.emplace(std::move_if_noexcept(**from));
    } else {
      to.emplace(std::move(*from));
    }
  }

 private:
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

  struct alignas(item) cell {
    std::byte bytes[sizeof(item)];
  };
  explicit channel_state(std::size_t capacity)
      : channel_core(capacity), ring_(capacity == 0 ? nullptr : new cell[capacity]) {}
  item* slot(std::size_t i) noexcept { return std::launder(reinterpret_cast<item*>(&ring_[i])); }

  std::unique_ptr<cell[]> ring_;
};

}  // namespace heddle::detail
