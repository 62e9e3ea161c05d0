// SPDX-License-Identifier: BSL-1.0
// once: running a function once, while others wait for its end. Part of <heddle/sync/mutex.hpp>.
//   The flag is one word:
//     idle       nobody runs the function, and it has not returned yet
//     running    a caller runs it, and nobody waits
//     done       it has returned
//     else       a caller runs it; the address of the one who came last of those who wait, each of
//                whom points to the one before
//
//     idle ──begin──> running ──enlist──> last one's address ──enlist──> …
//     either of these two ──end──> done, or idle after an exception; all who waited are woken
//
//   Who runs it touches the flag no more after it has changed the word, and whom it has woken is in
//   no list: any of them may destroy the flag.
#pragma once

#include <heddle/base/assert.hpp>
#include <heddle/sync/lock_owner.hpp>

#include <cstdint>
#include <functional>
#include <utility>

namespace heddle {

/// std::once_flag for fibers ([thread.once.onceflag]): whether call_once has done its work.
class once_flag {
 public:
  constexpr once_flag() noexcept = default;
  once_flag(const once_flag&) = delete;
  once_flag& operator=(const once_flag&) = delete;
#if defined(HEDDLE_ASSERTIONS)
  ~once_flag();
#endif

 private:
  template <class Callable, class... Args>
  friend void call_once(once_flag& flag, Callable&& f, Args&&... args);

  static constexpr std::uintptr_t idle = 0, running = 1, done = 2;
  struct visitor;
  class execution;

  bool is_done() const noexcept {
    // (on.1) acquire: what the function did is seen; pairs with (on.4).
    return word_.load(std::memory_order_acquire) == done;
  }
  /// True: the caller shall run the function, then end(). False: it was done.
  bool begin() noexcept;
  void end(bool returned) noexcept;
  static void enlist(void* who) noexcept;
  void set_active() noexcept;
  void clear_active() noexcept;

  detail::atomic<std::uintptr_t> word_{idle};
#if defined(HEDDLE_ASSERTIONS)
  detail::lock_owner active_{"once_flag"};  // who runs the function
#endif
};

/// One active execution.
class once_flag::execution {
 public:
  explicit execution(once_flag& flag) noexcept : flag_(flag) {}
  execution(const execution&) = delete;
  execution& operator=(const execution&) = delete;
  ~execution() { flag_.end(returned_); }
  void has_returned() noexcept { returned_ = true; }

 private:
  once_flag& flag_;
  bool returned_ = false;
};

/// std::call_once for fibers ([thread.once.callonce]): calls `f(args...)`, unless a call with this
/// flag has returned already; while one is under way, blocks until it ends. If it ends by an
/// exception, that goes to its caller, and the next one tries. What `f` did happens before the
/// return of every call_once with the flag. Not a cancellation point (`f` may have some). `f` must
/// not call call_once with the same flag (builds with HEDDLE_ASSERTIONS check that). \throws what
/// `f` throws
template <class Callable, class... Args>
void call_once(once_flag& flag, Callable&& f, Args&&... args) {
  if (flag.is_done()) [[likely]]
    return;
  if (!flag.begin()) return;
  once_flag::execution active(flag);
  static_cast<void>(std::invoke(std::forward<Callable>(f), std::forward<Args>(args)...));
  active.has_returned();
}

}  // namespace heddle
