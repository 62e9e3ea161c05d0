// SPDX-License-Identifier: BSL-1.0
// sticky_lock: how a lock comes to stick, and how it is parted.
#include <heddle/base/chaos.hpp>
#include <heddle/base/sticky_lock.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>

namespace heddle::detail {

#if defined(HEDDLE_TSAN)

grip_of_thread::grip_of_thread() noexcept = default;
grip_of_thread::~grip_of_thread() = default;
grip_at_rest::grip_at_rest() noexcept = default;
grip_at_rest::~grip_at_rest() = default;

#else

namespace {

// The fence that loosens a grip interrupts each processor for some 10 us. Where locks had stuck for
// less than this, and for as many threads as there are, they were not worth it, and the grip rests
// for twice as long as before.
constexpr std::int64_t worth_a_fence_ns = 2'000'000;
// In locks passed over, each of which was taken 32 times in a row: from some 0.3 ms to 0.2 s.
constexpr std::uint32_t shortest_rest = 512, longest_rest = 262'144;

constinit std::array<grip, grip::places - 1> grips;
constinit grip common_grip(grips.size());
constinit spin_lock places_lock;
constinit std::array<bool, grips.size()> taken{};   // guarded by places_lock
constinit atomic<std::uint32_t> how_many_taken{0};  // written under places_lock

// The empty assembly keeps the compiler from remembering where the thread's variables are.
[[gnu::noinline]] void set_grip_here(grip& g) noexcept {
  asm volatile("");
  heddle_grip_of_this_thread = &g;
}

std::int64_t now_ns() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

void count_taken(std::uint32_t change) noexcept {
  how_many_taken.store(how_many_taken.load(std::memory_order_relaxed) + change,
                       std::memory_order_relaxed);
}

}  // namespace

extern "C" {
// thread_local: locks stick to the thread, whatever fiber it runs. Used by assembly in the header,
// which the linker cannot see.
[[gnu::used]] constinit thread_local grip* heddle_grip_of_this_thread = &common_grip;
}

#if !defined(HEDDLE_THREAD_WORD)
[[gnu::noinline]] grip& grip_here() noexcept {
  asm volatile("");
  return *heddle_grip_of_this_thread;
}
#endif

grip_of_thread::grip_of_thread() noexcept {
  if (!fences_are_asymmetric) return;
  const std::lock_guard hold(places_lock);
  const auto free = std::find(taken.begin(), taken.end(), false);
  if (free == taken.end()) return;
  *free = true;
  count_taken(1);
  const auto place = static_cast<std::uint32_t>(free - taken.begin());
  grip& mine = grips[place];
  if (mine.number() == 0) mine.number_.store(grip::first_number(place), std::memory_order_relaxed);
  mine.pass(mine.number());
  set_grip_here(mine);
}

grip_of_thread::~grip_of_thread() {
  grip& mine = grip_here();
  if (&mine == &common_grip) return;
  set_grip_here(common_grip);
  {
    // Whoever finds it loosened comes after all that this thread did: no fence is needed.
    const std::lock_guard hold(mine.lock_);
    mine.loosen_locked();
    mine.rest_ = 0;
    mine.to_do_.store(0, std::memory_order_relaxed);
  }
  mine.pass(grip::at_rest);
  const std::lock_guard hold(places_lock);
  taken[static_cast<std::size_t>(&mine - grips.data())] = false;
  count_taken(-1u);
}

grip_at_rest::grip_at_rest() noexcept { grip_here().pass(grip::at_rest); }
// If the grip was loosened meanwhile, the number says so: a fence came after that.
grip_at_rest::~grip_at_rest() { grip_here().pass(grip_here().number()); }

// By its own thread, which is through with all that it began by an older number.
void grip::pass(std::uint32_t as) noexcept {
  // (sk.5) release: what it stored in a lock() that came too late; pairs with (sk.6).
  if (this != &common_grip) seen_.store(as, std::memory_order_release);
}

// Whether no thread can be about to store what it found out before the grip there was loosened.
bool grip::is_past(std::uint32_t place) noexcept {
  if (place == grips.size()) return true;
  const auto number = grips[place].number();
  // (sk.6) acquire: its stores are seen, and cannot come later; pairs with (sk.5).
  const auto seen = grips[place].seen_.load(std::memory_order_acquire);
  return seen == number || seen == at_rest;
}

// By its own thread: whether a lock that it took often enough may stick to it.
bool grip::may_stick() noexcept {
  if (this == &common_grip) return false;
  const auto left = to_do_.load(std::memory_order_relaxed);
  if (left > 0 && !chaos(2)) {
    to_do_.store(left - 1, std::memory_order_relaxed);
    return false;
  }
  if (since_ns_.load(std::memory_order_relaxed) == 0)
    since_ns_.store(now_ns(), std::memory_order_relaxed);
  return true;
}

void grip::loosen_locked() noexcept {
  number_.store(number() + next_number, std::memory_order_relaxed);
  const auto since = since_ns_.exchange(0, std::memory_order_relaxed);
  const auto worth = worth_a_fence_ns * how_many_taken.load(std::memory_order_relaxed);
  const bool was_worth_it = now_ns() - since >= worth;
  rest_ = was_worth_it ? shortest_rest : std::clamp(2 * rest_, shortest_rest, longest_rest);
  to_do_.store(rest_, std::memory_order_relaxed);
}

// True: nothing sticks to `number` any more, since its grip has another one, and whoever is inside
// by it can be seen. False: another is at it, and this one does not wait.
bool grip::loosen(std::uint32_t number, bool waits) noexcept {
  grip& one = grips[place_in(number)];
  if (!one.lock_.try_lock()) {
    if (!waits) return false;
    one.lock_.lock();
  }
  const std::lock_guard hold(one.lock_, std::adopt_lock);
  if (one.number() != number) return true;
  one.loosen_locked();
  heavy_fence();
  return true;
}

// What is rare of lock(), with held_.
void sticky_lock::lock_held(grip& mine, std::uint32_t number) noexcept {
  mine.pass(number);
  const auto word = word_.load(std::memory_order_relaxed);
  if (sticks(word)) {
    (void)grip::loosen(word, true);
    // (sk.3) acquire: sees what was done inside; pairs with (sk.1), (sk.2).
    for (backoff wait; inside_.load(std::memory_order_acquire);) wait.pause();
  }
  const auto place = grip::place_in(number), last = last_stuck(word);
  const bool again = was_taken_by(number, word);
  const auto times = again && times_of(word) < enough ? times_of(word) + 1 : 0;
  word_.store(2 * place + stuck_at * last + once_more * times, std::memory_order_relaxed);
  if (!again || times != 0) return;
  if ((last != place && !grip::is_past(last)) || !mine.may_stick()) return;
  // If the grip was loosened since `number` was read, it is for whoever comes next to find that.
  inside_.store(true, std::memory_order_relaxed);
  word_.store(number, std::memory_order_relaxed);
  held_.unlock();
}

bool sticky_lock::try_lock() noexcept {
  if (!held_.try_lock()) return false;
  const auto word = word_.load(std::memory_order_relaxed);
  if (sticks(word)) {
    // (sk.4) acquire: as (sk.3); pairs with (sk.1), (sk.2).
    if (!grip::loosen(word, false) || inside_.load(std::memory_order_acquire)) {
      held_.unlock();
      return false;
    }
    word_.store(2 * nobody + stuck_at * last_stuck(word), std::memory_order_relaxed);
  }
  return true;
}

#endif

}  // namespace heddle::detail
