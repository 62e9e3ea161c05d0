// SPDX-License-Identifier: BSL-1.0
// sticky_lock: a spin_lock that sticks to the worker that takes it again and again. That one takes
//   and opens it by plain stores, until somebody else comes: without an atomic read-modify-write,
//   which takes 2 to 9 ns, and holds up whatever comes after it. For what mostly stays on one
//   worker, and may be used by any: a channel, a fiber's end.
//
//   What a lock sticks to is a grip; each worker's thread has one. To part a lock from a grip takes
//   a fence that interrupts all processors. So the grip is loosened as a whole, by a new number:
//   whatever stuck to it is free, and for a while nothing new sticks.
//
//   word_: odd, the number of the grip that it sticks to (or stuck to: it may have another by now);
//          even, it sticks to none: whose grip took it last, how often in a row, and to which grip
//          it stuck last.
//   I1  whoever is inside holds held_, and word_ is even; or inside_ is set, and word_ is odd.
//   I2  word_ changes under held_; from odd to even only when the grip has another number, and
//       inside_ is not set.
//   I3  inside_ is written by the thread to which the lock stuck last, if late: in 2 and 5. So it
//       sticks to another only when that one has been seen elsewhere since (grip::is_past()).
//
//   By the grip                              Anybody else
//     1 word_ is my number?                    1 takes held_; word_ is odd:
//     2 inside_ := true                        2 gives the grip another number
//     3 light fence                            3 heavy fence
//     4 my number as in 1? inside.             4 waits while inside_
//     5 else inside_ := false; as anybody      5 word_ := even; inside
//   Between the fences one of the two sees the other's store. (Kawachiya, Koseki, Onodera, "Lock
//   reservation", 2002; Russell, Detlefs, "Biased locking and bulk rebiasing", 2006.)
//   Lock order: held_, then the grip's.
//
//   biased_lock is for the other case: an owner for ever, and visitors so often that each may cost
//   it this one lock only.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/base/thread_word.hpp>

#include <cstdint>

namespace heddle::detail {

/// While it lives, locks may stick to the thread that made it: if the kernel has asymmetric fences,
/// and fewer than 255 others live.
class grip_of_thread {
 public:
  grip_of_thread() noexcept;
  ~grip_of_thread();
  grip_of_thread(const grip_of_thread&) = delete;
  grip_of_thread& operator=(const grip_of_thread&) = delete;
};

/// While it lives, the thread that made it takes no lock: it sleeps.
class grip_at_rest {
 public:
  grip_at_rest() noexcept;
  ~grip_at_rest();
  grip_at_rest(const grip_at_rest&) = delete;
  grip_at_rest& operator=(const grip_at_rest&) = delete;
};

#if defined(HEDDLE_TSAN)

// ThreadSanitizer does not know fences.
using sticky_lock = spin_lock;

#else

/// What locks stick to: one thread's, or that of all threads that have none of their own, to which
/// nothing sticks.
class grip {
 public:
  static constexpr std::uint32_t places = 256;

  constexpr grip() noexcept = default;
  constexpr explicit grip(std::uint32_t place) noexcept : number_(first_number(place)) {}

 private:
  friend class grip_at_rest;
  friend class grip_of_thread;
  friend class sticky_lock;

  // A number is odd: a bit that is set, the place, and how often it was loosened. (That it comes
  // again after 2^23 times does no harm: a lock that has it still was taken by nobody meanwhile.)
  static constexpr std::uint32_t next_number = 2 * places;
  static constexpr std::uint32_t first_number(std::uint32_t place) noexcept {
    return 2 * place + 1;
  }
  static constexpr std::uint32_t place_in(std::uint32_t number) noexcept {
    return number % next_number / 2;
  }
  static constexpr std::uint32_t at_rest = 0;  // as what was seen_

  std::uint32_t number() const noexcept { return number_.load(std::memory_order_relaxed); }
  bool may_stick() noexcept;
  static bool loosen(std::uint32_t number, bool waits) noexcept;
  void loosen_locked() noexcept;
  void pass(std::uint32_t as) noexcept;
  static bool is_past(std::uint32_t place) noexcept;

  // Read by its thread for each lock.
  alignas(cache_line) atomic<std::uint32_t> number_{0};  // 0: no thread has had it yet
  // Changed with a lock_, but for those that its thread counts down, or says.
  alignas(cache_line) spin_lock lock_{};
  atomic<std::uint32_t> seen_{at_rest};  // all that its thread began by older numbers is over
  atomic<std::uint32_t> to_do_{0};       // how often a lock is to be passed over before one sticks
  atomic<std::int64_t> since_ns_{0};     // when the first one stuck; 0: none does
  std::uint32_t rest_ = 0;               // guarded by lock_: to_do_ after the last time
};

extern "C" {
// thread_local: what locks stick to is the thread, whatever fiber it runs. For grip_here() alone.
extern constinit thread_local grip* heddle_grip_of_this_thread;
}

/// The calling thread's. Never remembered over a switch, as thread_word.hpp says.
#if defined(HEDDLE_THREAD_WORD)
inline grip& grip_here() noexcept {
  grip* found;
  HEDDLE_THREAD_WORD(found, heddle_grip_of_this_thread);
  return *found;
}
#else
grip& grip_here() noexcept;
#endif

/// Any thread or fiber may take it, and opens it on the thread that it took it on. Held as a
/// spin_lock is: for a few dozen instructions, in which no fiber switches but by the commit that
/// opens it.
class sticky_lock {
 public:
  constexpr sticky_lock() noexcept = default;
  sticky_lock(const sticky_lock&) = delete;
  sticky_lock& operator=(const sticky_lock&) = delete;

  void lock() noexcept {
    prefetch_to_write(&word_);
    grip& mine = grip_here();
    const auto number = mine.number();
    if (word_.load(std::memory_order_relaxed) == number) [[likely]] {
      HEDDLE_DCHECK(!inside_.load(std::memory_order_relaxed) || mine.number() != number,
                    "lock %p is taken by a thread that is inside", static_cast<void*>(this));
      inside_.store(true, std::memory_order_relaxed);
      light_fence();
      if (mine.number() == number) [[likely]]
        return;
      // (sk.1) release: nothing was done inside; pairs with (sk.3), (sk.4).
      inside_.store(false, std::memory_order_release);
    }
    if (held_.try_lock()) [[likely]] {
      const auto word = word_.load(std::memory_order_relaxed);
      if (was_taken_by(number, word) && times_of(word) < enough) [[likely]] {
        word_.store(word + once_more, std::memory_order_relaxed);
        return;
      }
    } else {
      held_.lock();
    }
    lock_held(mine, number);
  }
  /// Never waits, neither for who has it, who may be the caller, nor for who parts it.
  bool try_lock() noexcept;
  void unlock() noexcept {
    if (sticks(word_.load(std::memory_order_relaxed))) {
      // (sk.2) release: what this holder wrote is seen by who parts it; pairs with (sk.3), (sk.4).
      inside_.store(false, std::memory_order_release);
    } else {
      held_.unlock();
    }
  }

 private:
  // An even word: 0, 8 bits of the place of who took it last, 8 of that to which it stuck last, and
  // how often it was taken in a row. At first nobody's.
  static constexpr std::uint32_t stuck_at = 2 * grip::places;
  static constexpr std::uint32_t once_more = stuck_at * grip::places;
  static constexpr std::uint32_t nobody = grip::places - 1;
  static constexpr std::uint32_t enough = 32;  // so often, and it sticks

  static constexpr bool sticks(std::uint32_t word) noexcept { return word % 2 != 0; }
  static constexpr std::uint32_t times_of(std::uint32_t word) noexcept { return word / once_more; }
  static constexpr std::uint32_t last_stuck(std::uint32_t word) noexcept {
    return sticks(word) ? grip::place_in(word) : word / stuck_at % grip::places;
  }
  // Whether it sticks to none, and was taken last by the grip that has this number.
  static constexpr bool was_taken_by(std::uint32_t number, std::uint32_t word) noexcept {
    return word % stuck_at == number % stuck_at - 1;
  }
  [[gnu::noinline]] void lock_held(grip& mine, std::uint32_t number) noexcept;

  atomic<std::uint32_t> word_{2 * nobody + stuck_at * nobody};
  atomic<bool> inside_{false};
  spin_lock held_;
};

#endif

}  // namespace heddle::detail
