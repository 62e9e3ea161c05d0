// SPDX-License-Identifier: BSL-1.0
// wait_graph: who waits for whom, among those whose wait only certain others can end: the owner of
//   the lock, the fiber that is joined, the children of the group, the fiber of the async call.
//   Fibers that wait for each other so, in a circle, wait for ever, unless one can be cancelled.
//
//   A circle is found among what was seen at different instants; what it says is then asked again
//   of all its members while they are held where they are, and then it is so: none of them can let
//   go of what the one before it waits for.
//   Any thread may use it, not several at once.
#pragma once

#include <heddle/debug/roll_call.hpp>
#include <heddle/sched/thread_agent.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heddle::detail {

/// One who waits, a fiber or a plain thread.
struct party {
  /// Of one that is held, or else the thing is not what it was. False: it does not wait so.
  bool look(fiber_record& r) noexcept;
  bool look(thread_agent& thread) noexcept;

  bool is_fiber() const noexcept { return who->is_fiber; }
  fiber_record& fiber() const noexcept { return static_cast<fiber_record&>(*who); }
  bool waits_for(const party& other) const noexcept;
  /// Whether it shares the lock that `other` waits to have alone. Never in builds without
  /// HEDDLE_ASSERTIONS, where nobody knows.
  bool shares_what_is_wanted_by(const party& other) const noexcept;
  bool is_in_same_wait(const party& other) const noexcept {
    return who == other.who && id == other.id && since_ns == other.since_ns;
  }
  std::string label() const;

  agent* who = nullptr;
  std::uint64_t id = 0;  // the fiber's; the thread's as the system has it
  const char* what = nullptr;
  const void* object = nullptr;
  const void* owner = nullptr;  // as in owner_word
  bool is_lock = false;         // what it waits for: then it cannot be cancelled
  bool is_group = false;        // it waits for those who work for the object, whoever they are
  std::int64_t since_ns = 0;
  const void* works_for = nullptr;
  const std::byte* stack_bottom = nullptr;
  const std::byte* stack_top = nullptr;
#if defined(HEDDLE_ASSERTIONS)
  held_locks held;
#endif
};

/// Each member waits for the next, the last for the first.
struct circle {
  std::vector<party> members;
  std::vector<sighting> sightings;  // of them; those of fibers first
};

/// The circles that there are now; of those that share members one. While no runtime ends.
/// `is_complete`: all who wait so could be looked at; no circle was missed that was there before.
std::vector<circle> find_circles(bool& is_complete);

}  // namespace heddle::detail
