// SPDX-License-Identifier: BSL-1.0
// once: who runs the function, and who waits for its end.
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/once.hpp>

namespace heddle {

/// Who waits for the end; on its stack.
struct once_flag::visitor : detail::waiter {
  visitor(once_flag& f, detail::agent& caller) noexcept
      : waiter(caller, detail::ticket()), flag(f) {}
  once_flag& flag;
};

#if defined(HEDDLE_ASSERTIONS)
void once_flag::set_active() noexcept { active_.set(this, true); }
void once_flag::clear_active() noexcept { active_.clear(this); }
once_flag::~once_flag() {
  const auto now = word_.load(std::memory_order_relaxed);
  HEDDLE_CHECK(now == idle || now == done || detail::process_exits(),
               "once_flag %p is destroyed while its function runs", static_cast<void*>(this));
  detail::forget_lock(this);
}
#else
void once_flag::set_active() noexcept {}
void once_flag::clear_active() noexcept {}
#endif

bool once_flag::begin() noexcept {
  for (;;) {
    std::uintptr_t now = idle;
    // (on.2) acquire: as (on.1), and what a failed execution has left; pairs with (on.4).
    if (word_.compare_exchange_strong(now, running, std::memory_order_acquire,
                                      std::memory_order_acquire)) {
      set_active();
      return true;
    }
    if (now == done) return false;
    HEDDLE_DCHECK(!active_.is_caller(),
                  "once_flag %p: call_once is called by the function that it runs, and would wait "
                  "for itself",
                  static_cast<void*>(this));
    visitor me(*this, detail::this_agent());
    detail::wait_note note({"for the call that runs under once_flag", this});
    detail::sleep_unclaimed(*me.who, note, {&once_flag::enlist, &me});
  }
}

// Runs when the visitor is off its stack, where it may be woken as soon as it is linked.
void once_flag::enlist(void* who) noexcept {
  auto& me = *static_cast<visitor*>(who);
  std::uintptr_t now = me.flag.word_.load(std::memory_order_relaxed);
  while (now != idle && now != done) {
    me.next = now == running ? nullptr : reinterpret_cast<visitor*>(now);
    // (on.3) release: the links of this one, for who wakes it; pairs with (on.4).
    if (me.flag.word_.compare_exchange_weak(now, reinterpret_cast<std::uintptr_t>(&me),
                                            std::memory_order_release, std::memory_order_relaxed)) {
      return;
    }
  }
  detail::ready(*me.who);  // it has ended meanwhile
}

void once_flag::end(bool returned) noexcept {
  clear_active();
  // (on.4) acq_rel: sees those who wait, and shows what the function did; pairs with (on.1),
  // (on.2), (on.3).
  const auto last = word_.exchange(returned ? done : idle, std::memory_order_acq_rel);
  detail::ready_list waited;
  for (auto* w = last == running ? nullptr : reinterpret_cast<visitor*>(last); w != nullptr;) {
    auto* before = static_cast<visitor*>(w->next);
    waited.push(*w);
    w = before;
  }
  waited.wake_all();
}

}  // namespace heddle
