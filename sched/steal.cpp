// SPDX-License-Identifier: BSL-1.0
// steal: whom to take fibers from, and when.
//   A fiber that was woken last, or stands alone in a ring, will mostly be run by its own worker
//   within nanoseconds; to take it away costs both of them more than it gains (measured elsewhere:
//   a factor of 74 on a ping-pong). So a thief takes from a worker that switches only where several
//   fibers wait, and else only from one that has not switched for `patience`, whether anybody
//   waited all that time or not. And each look takes cache lines away from the worker that writes
//   them, which costs it as much as some ten switches: while others switch, looks become rarer.
//
//   Fibers that talk to each other all the time are best left together: what they share would
//   travel at each call. It takes more of them to be worth it, and more patience. (Eight senders
//   and a select on two processors: 110 ns a value together, 170 to 700 torn apart; and torn apart
//   they stayed, since all took longer then.) To talk is to call what may make one wait, and is
//   told by how often they do so.
#include <heddle/base/chaos.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/worker.hpp>

#include <algorithm>

namespace heddle::detail {

namespace {

// With talkers: longer than 255 locks of one mutex take, or 128 values of a channel, between two
// processors that are far from each other.
constexpr std::int64_t patience_ns = 600, patience_with_talkers_ns = 10'000;
// They talk if they call so often, on average over such a window; a call between two processors
// takes up to 0.6 us. But who starts others for less has work to share.
constexpr std::int64_t talk_every_ns = 800, talk_window_ns = 4'000, calls_a_start = 4;
constexpr std::int64_t shortest_gap_ns = 250, longest_gap_ns = 2'000;  // between looks at others

}  // namespace

fiber_record* worker::steal() noexcept {
  constexpr std::uint32_t room = decltype(queue)::capacity / 2;
  const std::int64_t now = real_now_ns();
  std::uint64_t turns_of_all = 0;
  const unsigned count = rt.worker_count();
  const unsigned start = numbers_.below(count);
  for (unsigned i = 0; i < count; ++i) {
    worker* victim = rt.worker_at((start + i) % count);
    if (victim == this) continue;
    turns_of_all += victim->turns.load(std::memory_order_relaxed);
    const loot worth = victim->worth_a_steal(now);
    if (worth == loot::nothing) continue;
    fiber_record* taken[room];
    const auto got =
        decltype(queue)::thief(victim->queue).steal(taken, room, worth == loot::slot_too);
    if (got == 0) continue;
    bump(steals);
    queue.lock();
    for (std::uint32_t k = 1; k < got; ++k) {
      push_locked(taken[k]);
    }
    queue.unlock();
    return taken[0];
  }
  const bool they_switch = turns_of_all != turns_seen_;
  turns_seen_ = turns_of_all;
  look_gap_ns_ = they_switch ? std::clamp(2 * look_gap_ns_, shortest_gap_ns, longest_gap_ns) : 0;
  look_again_ns_ = now + look_gap_ns_;
  return nullptr;
}

// Renews talks(), if it is old.
void worker::note_talk(std::int64_t now) noexcept {
  auto since = seen_.talk_since_ns.load(std::memory_order_relaxed);
  const std::int64_t window = now - since;
  // One at a time: the counts belong to the window.
  if (window < talk_window_ns ||
      !seen_.talk_since_ns.compare_exchange_strong(since, now, std::memory_order_relaxed,
                                                   std::memory_order_relaxed)) {
    return;
  }
  const auto gone_up = [](const atomic<std::uint64_t>& count, atomic<std::uint64_t>& seen) {
    const std::uint64_t before = seen.load(std::memory_order_relaxed);
    const std::uint64_t after = count.load(std::memory_order_relaxed);
    seen.store(after, std::memory_order_relaxed);
    return static_cast<std::int64_t>(after - before);
  };
  const std::int64_t called = gone_up(calls, seen_.calls);
  const std::int64_t started = gone_up(spawned, seen_.spawned);
  seen_.talk.store(called * talk_every_ns >= window && called > started * calls_a_start,
                   std::memory_order_relaxed);
}

// By one who searches.
worker::loot worker::worth_a_steal(std::int64_t now) noexcept {
  const std::uint64_t turns_now =
      turns.load(std::memory_order_relaxed) + idle_yields.load(std::memory_order_relaxed);
  if (turns_now != seen_.turns.load(std::memory_order_relaxed)) {
    seen_.turns_since_ns.store(now, std::memory_order_relaxed);
    seen_.turns.store(turns_now, std::memory_order_relaxed);
  }
  note_talk(now);
  if (queue.empty()) return loot::nothing;
  const bool talk = talks();
  const std::int64_t stood = now - seen_.turns_since_ns.load(std::memory_order_relaxed);
  if (stood >= (talk ? patience_with_talkers_ns : patience_ns)) return loot::slot_too;
  return queue.size() >= (talk ? enough_of_talkers : enough_to_steal) || chaos(4) ? loot::of_ring
                                                                                  : loot::nothing;
}

// By one who is about to sleep: whether there is something to be had, now or soon.
bool worker::stays_worth_a_steal() noexcept {
  const std::int64_t before = real_now_ns();
  if (worth_a_steal(before) != loot::nothing) return true;
  if (queue.empty() || talks()) return false;
  while (real_now_ns() < before + patience_ns) cpu_relax();
  return worth_a_steal(real_now_ns()) != loot::nothing;
}

}  // namespace heddle::detail
