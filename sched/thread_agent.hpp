// SPDX-License-Identifier: BSL-1.0
// thread_agent: a plain OS thread, as one who waits: it sleeps on a word of its own. Those that
//   sleep for as long as nobody wakes them are in one list, for who looks at them.
//   Lock order: the list's lock, then nothing.
#pragma once

#include <heddle/base/futex.hpp>
#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/random.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/fiber/agent.hpp>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

struct wait_note;

struct thread_agent : agent, list_hook {
  thread_agent() noexcept;

  atomic<std::uint32_t> notified{0};  // 1: go on; the word it sleeps on
  atomic<random_source> choices;
  // Own; seen by others while it sleeps, in the list.
  const wait_note* note = nullptr;
  bool is_tied = false;  // only the owner of what it waits for, or who works for it, ends the wait
  const void* works_for = nullptr;  // the blocking() call that it runs
  const std::byte* stack_bottom = nullptr;
  const std::byte* stack_top = nullptr;  // null: not known (yet)
  const void* registers = nullptr;       // while it sleeps, for addresses_from(); below is nobody's
  long thread_id = 0;
  bool is_over = false;  // a runtime's, that ends: only its thread-locals are left to be destroyed
};

/// Sleeps until it is notified, or `deadline_ns` has come. With `has_stops` others may notify it
/// than who has what it waits for.
void sleep_until_notified(thread_agent& self, const wait_note& note, bool has_stops,
                          std::int64_t deadline_ns) noexcept;

/// Has some watchdog, if one sleeps, look into who waits for ever. Defined in process.cpp.
void look_again() noexcept;

/// The threads that sleep until they are notified, as they are while this lives: none of those that
/// are not notified yet goes on.
class sleeping_threads {
 public:
  sleeping_threads() noexcept;
  ~sleeping_threads();
  sleeping_threads(const sleeping_threads&) = delete;
  sleeping_threads& operator=(const sleeping_threads&) = delete;

  /// Calls `visit(thread)` with each.
  template <class Visit>
  void for_each(Visit&& visit) {
    all().for_each([&](thread_agent& each) {
      if (each.notified.load(std::memory_order_relaxed) == 0) visit(each);
    });
  }
  /// How often one has begun to sleep so, ever.
  static std::uint64_t begun() noexcept;

 private:
  static intrusive_list<thread_agent>& all() noexcept;
};

}  // namespace heddle::detail
