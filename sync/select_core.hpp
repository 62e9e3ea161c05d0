// SPDX-License-Identifier: BSL-1.0
// select_core: choosing one of several cases, without their values. A case is an arm; the typed
//   ones are in select.hpp. Two phases:
//
//     1 one of the arms that seem ready, by hints that need no lock, is drawn and attempted, under
//       its own channel's lock alone;
//     2 if there was none, all channels are locked, where the hints are the truth, and one is drawn
//       again. If there still is none, an elapsed timeout is taken, or `otherwise`; else each arm
//       links a waiter into its channel's list, and the caller sleeps. The locks open when it is
//       off its stack: a partner that came before could not claim it, and would pass it by.
//       Afterwards the arms that did not win take their waiters out again.
//
//   The first alone is wrong (a case may become ready behind its back), the second alone is slow (a
//   lock for each arm, also where one is ready). Drawing is by one walk over the arms: the k-th
//   that is ready takes the place of the one before with probability 1/k (Vitter's algorithm R, for
//   a sample of one). A random start with the others in a circle would favour whoever follows those
//   that are not ready; a random permutation of all arms draws numbers also where none is.
//
//   One select uses an arm at a time; nothing is allocated, also for many arms.
//   Lock order: the channels by address, each one's locks in its own order; then nothing.
#pragma once

#include <heddle/sched/wait.hpp>
#include <heddle/sync/channel_core.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace heddle {

class select_case;

namespace detail {

class selection;
struct borrowed {};

/// A case of a select as the algorithm sees it.
class arm {
 public:
  enum class kind : std::uint8_t { channel, timeout, stop, otherwise };

  explicit arm(kind k) noexcept : what(k) {}
  arm(arm&&) = default;
  virtual ~arm() = default;

  /// At the beginning of a select, of which it is the i-th case.
  virtual void begin(std::size_t) noexcept {}
  /// After it was taken, with no lock held: calls the handler.
  virtual void run() = 0;
  /// It will outlive what it refers to.
  virtual void keep_alive() {}

  const kind what;
};

/// Sending to a channel, or receiving from it.
class channel_arm : public arm {
 public:
  explicit channel_arm(bool sends) noexcept : arm(kind::channel), sends_(sends) {}
  channel_arm(channel_arm&& other) noexcept : channel_arm(other.sends_) {}

 protected:
  /// What begin() does: `core` is what it refers to now.
  void begin_at(std::size_t i, channel_core* core) noexcept {
    index_ = static_cast<case_index>(i);
    core_ = core;
  }
  /// True: it was taken. Takes the channel's locks itself, and is through with the channel.
  virtual bool attempt() noexcept = 0;
  /// True: it was taken. With both ends of core_ locked; conclude() must follow when they are open.
  virtual bool attempt_locked() noexcept = 0;
  virtual void conclude() noexcept = 0;
  /// As channel_waiter::value.
  virtual void* place() noexcept = 0;

  // Of one select; not set before.
  channel_core* core_;       // the channel that it refers to now; null: it can never be ready
  channel_waiter* partner_;  // claimed by attempt_locked(), for conclude()
  bool closed_;              // taken, since the channel was closed

 private:
  friend class selection;
  friend class select_wait;
  bool seems_ready() const noexcept {
    return core_ != nullptr && (sends_ ? core_->may_send() : core_->may_receive());
  }
  void enqueue_locked() noexcept {
    sends_ ? core_->enqueue_sender_locked(*waiter_, &mine_)
           : core_->enqueue_receiver_locked(*waiter_, &mine_);
  }
  void withdraw() noexcept {
    sends_ ? core_->withdraw_sender(*waiter_) : core_->withdraw_receiver(*waiter_);
  }

  const bool sends_;
  case_index index_;                      // among the cases
  channel_arm* next_;                     // of a list in the order of locking
  turn mine_;                             // its turn in the channel's list
  std::optional<channel_waiter> waiter_;  // while this select sleeps
};

/// What a select is in (wait_reason::what), told apart by its address.
extern const char in_a_select[];

/// The wait of a select.
class select_wait : public waiting {
 public:
  explicit select_wait(const channel_arm* first) noexcept
      : waiting(true, {in_a_select}), first_(first) {}
  /// Calls `visit(core)` with each channel that it waits at; of those held where they are.
  template <class Visit>
  void for_each_channel(Visit&& visit) const {
    for (const channel_arm* each = first_; each != nullptr; each = each->next_) visit(each->core_);
  }

 private:
  const channel_arm* const first_;
};

/// A deadline.
class timeout_arm : public arm {
 public:
  timeout_arm() noexcept : arm(kind::timeout) {}

  /// On heddle's clock, when to look again; 0 if the time has passed already. `again`: this select
  /// has asked before. May throw what the user's clock throws.
  virtual std::int64_t deadline_ns(bool again) = 0;
  /// Whether its clock is not heddle's: then it must be asked again when deadline_ns() has passed.
  virtual bool foreign() const noexcept = 0;
};

/// A stop token.
class stop_arm : public arm {
 public:
  explicit stop_arm(std::stop_token token) noexcept : arm(kind::stop), token_(std::move(token)) {}
  stop_arm(stop_arm&& other) noexcept : arm(kind::stop), token_(std::move(other.token_)) {}

 private:
  friend class selection;
  std::stop_token token_;
  case_index index_;               // among the cases
  std::optional<stop_case> case_;  // while this select sleeps
};

/// What the functions that make cases return.
template <class C>
concept some_case = std::derived_from<std::remove_cvref_t<C>, arm> ||
    std::same_as<std::remove_cvref_t<C>, select_case>;

}  // namespace detail

/// A case of a select whose number, or kind, of cases is known only at run time. What on_receive
/// and the others return converts to it; it owns the channel that it refers to. Movable; can be
/// used again, but by one select at a time. An empty or moved-from one is never ready, nor is a
/// send case that was taken.
class select_case {
 public:
  select_case() noexcept = default;
  /// \throws std::bad_alloc; what moving the handler, or the value, throws
  template <class C>
  requires std::derived_from<C, detail::arm> select_case(C&& from)
      : arm_(new C(std::move(from))), owns_(true) {
    arm_->keep_alive();
  }
  select_case(select_case&& other) noexcept
      : arm_(std::exchange(other.arm_, nullptr)), owns_(std::exchange(other.owns_, false)) {}
  select_case& operator=(select_case other) noexcept {
    std::swap(arm_, other.arm_);
    std::swap(owns_, other.owns_);
    return *this;
  }
  ~select_case() {
    if (owns_) delete arm_;
  }
  // For select(): the i-th case of one that begins, and ends before `from` does. Where its type is
  // known no virtual function is called.
  template <std::derived_from<detail::arm> C>
  select_case(detail::borrowed, C& from, std::size_t i) noexcept : arm_(&from) {
    from.begin(i);
  }
  select_case(detail::borrowed, select_case& from, std::size_t i) noexcept : arm_(from.arm_) {
    begin(i);
  }

 private:
  friend class detail::selection;
  friend std::size_t select(std::span<select_case> cases);
  void begin(std::size_t i) noexcept {
    if (arm_ != nullptr) arm_->begin(i);
  }

  detail::arm* arm_ = nullptr;
  bool owns_ = false;
};

namespace detail {
/// A select whose cases have begun.
std::size_t select_begun(std::span<select_case> cases);
}  // namespace detail

/// As select(cases...), over cases known only at run time; there may be none.
/// \throws std::invalid_argument for more than one `otherwise`, or more than 65,000 cases
std::size_t select(std::span<select_case> cases);

}  // namespace heddle
