// SPDX-License-Identifier: BSL-1.0
// at_end: what a fiber or plain thread does last: after its locals (of a thread, all thread_locals)
//   are destroyed and, for a fiber, before who joins it goes on. The newest first. Of the threads
//   that the end of the process cuts short only the one that calls exit does it.
#pragma once

namespace heddle::detail {

/// Something to do, once; lies in what it is about, which must live until then.
struct at_end_node {
  constexpr explicit at_end_node(void (*what)(at_end_node&) noexcept) noexcept : run(what) {}

  at_end_node* next = nullptr;
  void (*run)(at_end_node&) noexcept;
};

/// Makes sure that the calling fiber or thread can add_at_end(). Throws std::bad_alloc, or
/// std::system_error where the system has no memory or no key for it.
void reserve_at_end();
/// The caller will do it at its end. After reserve_at_end().
void add_at_end(at_end_node& what) noexcept;

/// Does all that is linked from here.
void run_all(at_end_node* first) noexcept;

}  // namespace heddle::detail
