// SPDX-License-Identifier: BSL-1.0
// lock_order: what was locked under what.
#include <heddle/fiber/unwind.hpp>
#include <heddle/sync/lock_order.hpp>

#if defined(HEDDLE_ASSERTIONS)

#include <pthread.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::detail {

namespace {

using held_lock = held_locks::one;

constexpr std::uint64_t several = 0;

constinit atomic<bool> any_known{false};  // whether any lock was taken under another one

/// A lock that was waited for under another one.
struct step {
  held_lock under, taken;
  std::uint64_t by;  // the one fiber, or thread, that ever did so, or several
  std::string first_by;
  std::vector<const void*> gates;  // locks that were owned each time
  std::array<const void*, 24> frames;
  std::size_t frame_count;
};

class lock_graph {
 public:
  /// `who` has waited for it, or would have, and owns others.
  void locked(agent& who, held_lock lock);
  void forget(const void* lock);
  /// While the process forks: the child finds it as it is.
  void stand_still() noexcept { lock_.lock(); }
  void go_on() noexcept { lock_.unlock(); }

 private:
  bool note(step& s, const agent& who);
  void look_for_circle(const step& last);
  std::vector<const step*> way(const void* from, const void* to) const;

  // os-lock: only in builds that look for faults, and held over no switch.
  std::mutex lock_;
  std::unordered_map<const void*, std::vector<step>> steps_;  // guarded by lock_: by `under`
  std::vector<std::vector<const void*>> told_;                // guarded by lock_
};

std::uint64_t identity(const agent& who) noexcept {
  return who.is_fiber ? static_cast<const fiber_record&>(who).id.load(std::memory_order_relaxed)
                      : reinterpret_cast<std::uintptr_t>(&who);
}

std::string label_of(agent& who) {
  return who.is_fiber ? fiber_label(static_cast<fiber_record&>(who)).text : "a plain thread";
}

void lock_graph::locked(agent& who, held_lock lock) {
  const std::lock_guard hold(lock_);
  for (std::size_t i = 0; i < who.held.count; ++i) {
    const held_lock under = who.held.all[i];
    if (under.is_shared) continue;
    std::vector<step>& from = steps_[under.lock];
    auto known = std::find_if(from.begin(), from.end(),
                              [&](const step& s) { return s.taken.lock == lock.lock; });
    const bool is_new = known == from.end();
    if (is_new) {
      step first{under, lock, identity(who), label_of(who), {}, {}, 0};
      first.frame_count = addresses_here(first.frames.data(), first.frames.size());
      for (std::size_t j = 0; j < who.held.count; ++j) {
        if (j != i && !who.held.all[j].is_shared) first.gates.push_back(who.held.all[j].lock);
      }
      known = from.insert(from.end(), std::move(first));
    }
    if (note(*known, who) || is_new) look_for_circle(*known);
  }
}

// Whether less is known to keep the others out.
bool lock_graph::note(step& s, const agent& who) {
  const auto* const held_end = who.held.all + who.held.count;
  bool is_less = std::erase_if(s.gates, [&](const void* gate) {
                   return std::none_of(who.held.all, held_end, [&](const held_lock& each) {
                     return each.lock == gate && !each.is_shared;
                   });
                 }) > 0;
  if (s.by != several && s.by != identity(who)) {
    s.by = several;
    is_less = true;
  }
  return is_less;
}

// The shortest way by steps from `from` to `to`; empty: there is none.
std::vector<const step*> lock_graph::way(const void* from, const void* to) const {
  std::unordered_map<const void*, const step*> reached_by{{from, nullptr}};
  std::vector<const void*> next{from};
  for (std::size_t i = 0; i < next.size() && !reached_by.contains(to); ++i) {
    const auto steps = steps_.find(next[i]);
    if (steps == steps_.end()) continue;
    for (const step& each : steps->second) {
      if (reached_by.emplace(each.taken.lock, &each).second) next.push_back(each.taken.lock);
    }
  }
  std::vector<const step*> found;
  if (!reached_by.contains(to)) return found;
  for (const step* s = reached_by[to]; s != nullptr; s = reached_by[s->under.lock]) {
    found.push_back(s);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

// Whether both may be under way at once: no lock keeps them apart, and they are not one fiber's.
bool may_meet(const step& a, const step& b) {
  if (a.by != several && a.by == b.by) return false;
  return std::none_of(a.gates.begin(), a.gates.end(), [&](const void* gate) {
    return std::find(b.gates.begin(), b.gates.end(), gate) != b.gates.end();
  });
}

void lock_graph::look_for_circle(const step& last) {
  std::vector<const step*> ring = way(last.taken.lock, last.under.lock);
  if (ring.empty()) return;
  ring.insert(ring.begin(), &last);
  for (std::size_t i = 0; i < ring.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!may_meet(*ring[i], *ring[j])) return;
    }
  }
  std::vector<const void*> locks;
  for (const step* s : ring) locks.push_back(s->under.lock);
  std::sort(locks.begin(), locks.end());
  if (std::find(told_.begin(), told_.end(), locks) != told_.end()) return;
  told_.push_back(locks);
  std::vector<lock_step> report;
  for (const step* s : ring) {
    report.push_back({s->under.kind, s->under.lock, s->taken.kind, s->taken.lock,
                      s->first_by.c_str(), s->frames.data(), s->frame_count});
  }
  report_lock_order(report.data(), report.size());
}

void lock_graph::forget(const void* lock) {
  const std::lock_guard hold(lock_);
  steps_.erase(lock);
  for (auto& [under, steps] : steps_) {
    std::erase_if(steps, [&](const step& s) { return s.taken.lock == lock; });
  }
  std::erase_if(told_, [&](const std::vector<const void*>& locks) {
    return std::find(locks.begin(), locks.end(), lock) != locks.end();
  });
}

void before_fork() noexcept;
void after_fork() noexcept;

/// Null where there was no memory for it.
lock_graph* all_locks() noexcept {
  static lock_graph* const one = [] {
    lock_graph* const made = new (std::nothrow) lock_graph;  // never destroyed
    if (made != nullptr) ::pthread_atfork(&before_fork, &after_fork, &after_fork);
    return made;
  }();
  return one;
}

// At load: a fork() while the first lock makes it would leave the child with a static that is never
// made.
[[gnu::constructor]] void make_all_locks() noexcept { (void)all_locks(); }

void before_fork() noexcept { all_locks()->stand_still(); }
void after_fork() noexcept { all_locks()->go_on(); }

template <class F>
void with_all_locks(F f) noexcept {
  lock_graph* const all = all_locks();
  if (all == nullptr) return;
  try {
    f(*all);
  } catch (const std::bad_alloc&) {
    // Less is known, then.
  }
}

void add(held_locks& held, held_lock lock) noexcept {
  if (held.count < held_locks::room) {
    held.all[held.count++] = lock;
  } else {
    ++held.unknown;
  }
}

}  // namespace

void note_locked(agent& who, const void* lock, const char* kind, bool would_wait) noexcept {
  if (would_wait && who.held.count > 0) {
    any_known.store(true, std::memory_order_relaxed);
    with_all_locks([&](lock_graph& all) { all.locked(who, {lock, kind, false}); });
  }
  add(who.held, {lock, kind, false});
}

void note_shared(agent& who, const void* lock, const char* kind) noexcept {
  add(who.held, {lock, kind, true});
}

void note_unlocked(agent& who, const void* lock) noexcept {
  held_locks& held = who.held;
  for (std::size_t i = held.count; i-- > 0;) {
    if (held.all[i].lock != lock) continue;
    std::copy(held.all + i + 1, held.all + held.count, held.all + i);
    --held.count;
    return;
  }
  if (held.unknown > 0) --held.unknown;
}

void forget_lock(const void* lock) noexcept {
  if (!any_known.load(std::memory_order_relaxed)) return;
  with_all_locks([&](lock_graph& all) { all.forget(lock); });
}

}  // namespace heddle::detail

#endif
