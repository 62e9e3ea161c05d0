// SPDX-License-Identifier: BSL-1.0
// timer: the wheel.
#include <heddle/sched/clock.hpp>
#include <heddle/sched/timer.hpp>

#include <bit>
#include <mutex>

namespace heddle::detail {

timer_store::timer_store() noexcept : tick_(static_cast<std::uint64_t>(now_ns()) >> tick_shift) {}

bool timer_store::add(timer_node& node) noexcept {
  const std::lock_guard hold(lock_);
  node.store = this;
  const std::uint64_t deadline =
      node.deadline_ns < 0 ? 0 : static_cast<std::uint64_t>(node.deadline_ns);
  node.tick = (deadline + (std::uint64_t{1} << tick_shift) - 1) >> tick_shift;  // never too early
  if (size() == 0) {
    // An empty wheel may have stood still for long.
    const auto now = static_cast<std::uint64_t>(now_ns()) >> tick_shift;
    if (now > tick_) tick_ = now;
  }
  place_locked(node);
  size_.store(size() + 1, std::memory_order_relaxed);
  const std::int64_t at = static_cast<std::int64_t>(node.tick << tick_shift);
  if (at >= earliest()) return false;
  earliest_.store(at, std::memory_order_relaxed);
  return true;
}

void timer_store::cancel(timer_node& node) noexcept {
  const std::lock_guard hold(lock_);
  if (node.linked()) remove_locked(node);
}

std::size_t timer_store::expire(std::int64_t now_ns, agent** out, std::size_t room) noexcept {
  const std::lock_guard hold(lock_);
  advance_locked(static_cast<std::uint64_t>(now_ns) >> tick_shift);
  std::size_t count = 0;
  while (count < room) {
    timer_node* node = due_.front();
    if (node == nullptr) break;
    remove_locked(*node);
    agent* who = node->who;
    if (who->claim.try_claim(node->claim, case_timeout)) out[count++] = who;
  }
  publish_locked();
  return count;
}

void timer_store::remove_locked(timer_node& node) noexcept {
  node.unlink();
  size_.store(size() - 1, std::memory_order_relaxed);
}

void timer_store::place_locked(timer_node& node) noexcept {
  if (node.tick <= tick_) {
    due_.push_back(node);
    return;
  }
  const unsigned highest = 63 - static_cast<unsigned>(std::countl_zero(node.tick ^ tick_));
  const unsigned level = highest / digit_bits;
  const unsigned slot = static_cast<unsigned>(node.tick >> (level * digit_bits)) % slots;
  wheel_[level][slot].push_back(node);
  occupied_[level][slot / 64] |= std::uint64_t{1} << slot % 64;
}

void timer_store::advance_locked(std::uint64_t target) noexcept {
  while (tick_ < target) {
    // The next tick at which a slot falls due or moves down, but not past the target.
    const std::uint64_t next = next_tick_locked();
    if (next > target) {
      tick_ = target;
      return;
    }
    tick_ = next;
    for (unsigned level = 0; level < levels; ++level) {
      const unsigned slot = static_cast<unsigned>(tick_ >> (level * digit_bits)) % slots;
      std::uint64_t& marks = occupied_[level][slot / 64];
      const std::uint64_t mark = std::uint64_t{1} << slot % 64;
      if ((marks & mark) != 0) {
        marks &= ~mark;
        if (level == 0) {
          // All at once: each costs a cache miss, since it lies on a stack that slept.
          due_.splice_back(wheel_[0][slot]);
          break;
        }
        intrusive_list<timer_node> moving;
        moving.splice_back(wheel_[level][slot]);
        while (timer_node* node = moving.pop_front()) place_locked(*node);
      }
      // A higher level moves only when all lower digits are zero.
      if (slot != 0) break;
    }
  }
}

std::uint64_t timer_store::next_tick_locked() const noexcept {
  for (unsigned level = 0; level < levels; ++level) {
    const unsigned shift = level * digit_bits;
    const unsigned now = static_cast<unsigned>(tick_ >> shift) % slots;
    // Slots later in this turn of the level; those at or before `now` hold nothing.
    for (unsigned first = now + 1; first < slots; first = (first / 64 + 1) * 64) {
      const std::uint64_t later = occupied_[level][first / 64] >> first % 64;
      if (later == 0) continue;
      const std::uint64_t slot = first + static_cast<unsigned>(std::countr_zero(later));
      const std::uint64_t turn = tick_ >> (shift + digit_bits) << (shift + digit_bits);
      return turn | slot << shift;
    }
  }
  return UINT64_MAX;
}

void timer_store::publish_locked() noexcept {
  std::int64_t at = no_deadline;
  if (!due_.empty()) {
    at = 0;
  } else if (size() > 0) {
    const std::uint64_t tick = next_tick_locked();
    if (tick <= static_cast<std::uint64_t>(INT64_MAX) >> tick_shift) {
      at = static_cast<std::int64_t>(tick << tick_shift);
    }
  }
  earliest_.store(at, std::memory_order_relaxed);
}

}  // namespace heddle::detail
