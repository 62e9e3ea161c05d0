// SPDX-License-Identifier: BSL-1.0
// mutex: waiting and waking.
#include <heddle/sched/clock.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/mutex.hpp>

#include <mutex>
#include <optional>

namespace heddle {

namespace detail {

/// Who waits for a mutex; on its stack. Without a ticket nothing but an unlock ends the wait, and
/// being taken off the queue is the claim.
struct mutex_waiter : waiter {
  using waiter::waiter;
  turn came = 0;      // guarded by the mutex's lock_, as all below
  bool owns = false;  // the mutex was handed over
};

}  // namespace detail

namespace {
// How often in a row those who wait are passed over for the sake of who competes.
constexpr unsigned pass_over_at_most = 256;
// Who spins gives up after so many pauses, and sooner where nobody unlocks it in one that is long
// enough to tell.
constexpr unsigned turns_at_most = 15, turns_to_tell = 6;
// More unlocks than these while somebody spun: they want it all the time.
constexpr std::uint8_t few_in_dense_looks = 1, few_in_rare_looks = 8;
}  // namespace

// One attempt to lock, which clears `clear` with it.
bool mutex::take_locked(std::uint32_t clear) noexcept {
  if ((state() & locked) != 0) return false;
  set_state_locked((state() | locked) & ~clear);
  return true;
}

// The caller owns the mutex; others may wait for it already.
bool mutex::owned() noexcept {
  owners_stamp_.store(detail::switch_stamp(), std::memory_order_relaxed);
  return true;
}

bool mutex::barge(std::uint32_t clear) noexcept {
  if ((state() & locked) != 0) return false;  // a hint
  const std::lock_guard hold(lock_);
  return take_locked(clear) && owned();
}

// What is left of lock_if_free(), where somebody owns the mutex, or others seek it. Opens lock_.
bool mutex::lock_sought_locked() noexcept {
  // Those who seek one mutex all the time are best left on one worker (steal.cpp).
  detail::count_call(detail::current_worker());
  const bool got = take_locked(0) && owned();
  lock_.unlock();
  return got;
}

// Whether the caller is the one that unlocks leave it to from now on.
bool mutex::compete() noexcept {
  const auto may = [this] { return (state() & (locked | woken)) == locked; };
  if (!may()) return false;  // a hint
  const std::lock_guard hold(lock_);
  if (!may()) return false;
  set_state_locked(state() | woken);
  return true;
}

// For one who would leave its worker idle. While it spins `woken` is set, so that unlocks need wake
// nobody. Looks are dense at first, and only where nobody else waits; where others unlock it again
// and again meanwhile, they are rare.
bool mutex::spin(bool& competes) noexcept {
  if (!detail::may_spin()) return false;
  detail::backoff wait = patience_.begin();
  const bool dense = wait.turns() == 0;
  const auto unlocks = [this] { return passed_over_.load(std::memory_order_relaxed); };
  const std::uint8_t before = unlocks();
  for (int soon = dense ? detail::spins_for_a_lock : 0;; --soon) {
    if (dense && (state() & queued) != 0) return false;
    competes = competes || compete();
    const std::uint8_t last = unlocks();
    soon > 0 ? detail::cpu_relax() : wait.pause();
    const bool got = barge(competes ? woken : 0);
    const bool stands = competes && wait.turns() >= turns_to_tell && unlocks() == last;
    if (!got && !stands && wait.turns() < turns_at_most) continue;
    const auto seen = static_cast<std::uint8_t>(unlocks() - before);
    patience_.learn(seen > (dense ? few_in_dense_looks : few_in_rare_looks));
    return got;
  }
}

[[gnu::always_inline]] inline bool mutex::wait_within(const detail::wait_limits& limits) noexcept {
  owner_.expect_not_caller(this);
  const bool is_timed = limits.deadline_ns != detail::no_deadline;
  if (is_timed && limits.deadline_ns <= detail::now_ns()) return false;
  bool competes = false;
  if (spin(competes)) return true;
  detail::turn own = 0;
  detail::turn& mine = limits.mine != nullptr ? *limits.mine : own;
  for (;;) {
    std::optional<detail::waiting> wait;
    if (is_timed || limits.token != nullptr)
      wait.emplace(false, detail::wait_reason{"to lock mutex", this, owner_.word()});
    detail::mutex_waiter w(detail::this_agent(), wait ? wait->claim() : detail::ticket());
    lock_.lock();
    if (take_locked(competes ? woken : 0)) {
      owned();
      lock_.unlock();
      return true;
    }
    set_state_locked(competes ? (state() & ~woken) | queued | hand_off : state() | queued);
    detail::enqueue_in_turn(queue_, w, turns_, &mine);
    if (!wait) {
      detail::wait_note note({"to lock mutex", this, owner_.word()});
      detail::sleep_unclaimed(*w.who, note, detail::unlocking(lock_));
    } else if (wait->sleep(detail::unlocking(lock_), limits.deadline_ns, limits.token) != 0) {
      return withdraw(w);
    }
    if (w.owns) return owned();
    competes = true;
    if (barge(woken) || spin(competes)) return true;
  }
}

// Two copies of one body: without limits there is nothing to arm, to claim or to take back.
void mutex::lock_slow() noexcept { (void)wait_within({}); }
bool mutex::lock_slow_within(const detail::wait_limits& limits) noexcept {
  return wait_within(limits);
}

// The limits ended the wait. (They claimed it, so no unlock has taken it off the queue to wake it.)
// Returns false.
bool mutex::withdraw(detail::mutex_waiter& w) noexcept {
  const std::lock_guard hold(lock_);
  if (w.linked()) w.unlink();
  if (queue_.empty()) set_state_locked(state() & ~(queued | hand_off));
  return false;
}

// By the owner, who is about to unlock: whether nobody is to be woken.
bool mutex::may_leave_locked(std::uint32_t now, bool switched) noexcept {
  if ((now & woken) == 0) return (now & queued) == 0;
  const unsigned left = passed_over_.load(std::memory_order_relaxed) + 1u;
  passed_over_.store(static_cast<std::uint8_t>(left), std::memory_order_relaxed);
  return (now & queued) == 0 || ((now & hand_off) == 0 && !switched && left < pass_over_at_most);
}

// What is left of release(), where others seek it. Opens lock_.
void mutex::unlock_sought_locked() noexcept {
  const std::uint32_t now = state();
  const auto stamp = owners_stamp_.load(std::memory_order_relaxed);
  const bool switched = (now & queued) != 0 && stamp != 0 && stamp != detail::switch_stamp();
  if (!may_leave_locked(now, switched)) {
    wake_next_locked(switched);
    return;
  }
  set_state_locked(now & ~locked);
  lock_.unlock();
}

// The same, where the first of those who wait is to be woken.
void mutex::wake_next_locked(bool switched) noexcept {
  const std::uint32_t now = state();
  // If the one who was woken cannot run (pinned to a busy worker), the next one can, perhaps.
  // While the process exits, who waits may stand still: the mutex stays free for who goes on.
  const bool hand_over = (switched || (now & (hand_off | woken)) != 0) && !detail::process_exits();
  detail::agent* next = nullptr;
  while (detail::mutex_waiter* w = queue_.pop_front()) {
    // A waiter whose time or token has claimed it goes by itself.
    if (w->claim && !w->try_claim()) continue;
    next = w->who;
    w->owns = hand_over;
    break;
  }
  std::uint32_t to = now & ~(hand_off | (queue_.empty() ? queued : 0));
  if (next == nullptr || !hand_over) to &= ~locked;
  if (next != nullptr && !hand_over) to |= woken;
  set_state_locked(to);
  lock_.unlock();
  if (next != nullptr) detail::ready(*next);
}

}  // namespace heddle
