// SPDX-License-Identifier: BSL-1.0
// select_core: the two phases.
#include <heddle/base/assert.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sync/select_core.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <stdexcept>

namespace heddle {

namespace detail {

const char in_a_select[] = "in a select";

/// One select, on the stack of its caller.
class selection {
 public:
  explicit selection(std::span<select_case> cases) noexcept : cases_(cases) {}
  /// The index of the case that is taken.
  std::size_t choose();
  void conclude(std::size_t taken);

  static constexpr std::size_t most_cases = 65'000;  // below the indices that mean something else

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  /// One of those that it is shown, each as likely as the others.
  class lot {
   public:
    void show(std::size_t i) noexcept {
      if (++shown_ == 1) {
        drawn_ = i;
        return;
      }
      if (shown_ == 2) numbers_.emplace(random_numbers());
      if (numbers_->below(shown_) == 0) drawn_ = i;
    }
    std::size_t drawn() const noexcept { return drawn_; }

   private:
    std::size_t drawn_ = none;
    std::uint32_t shown_ = 0;
    std::optional<random_source> numbers_;
  };

  std::size_t attempt_one();
  std::size_t attempt_one_locked() noexcept;
  void prepare_to_lock() noexcept;
  static channel_arm* merge(channel_arm* a, channel_arm* b) noexcept;
  void lock_all() noexcept;
  void unlock_all() noexcept;
  void ask_clocks(bool again);
  std::size_t sleep_locked();

  channel_arm* channel(std::size_t i) const noexcept {
    arm* a = cases_[i].arm_;
    return a != nullptr && a->what == arm::kind::channel ? static_cast<channel_arm*>(a) : nullptr;
  }
  static bool is_stopped(const arm& a) noexcept {
    return static_cast<const stop_arm&>(a).token_.stop_requested();
  }

  const std::span<select_case> cases_;
  std::size_t otherwise_ = none;
  bool has_timeouts_ = false;
  bool has_stops_ = false;
  channel_arm* first_locked_ = nullptr;  // those with a channel, in the order of locking
  // Of the timeout that comes first:
  std::size_t earliest_ = none;
  std::int64_t deadline_ns_ = no_deadline;
  bool elapsed_ = false;
};

std::size_t selection::choose() {
  std::size_t taken = attempt_one();
  if (taken != none) return taken;
  prepare_to_lock();
  for (bool again = false;; again = true) {
    if (has_timeouts_) ask_clocks(again);
    lock_all();
    taken = attempt_one_locked();
    if (taken != none) {
      unlock_all();
      if (channel_arm* c = channel(taken)) c->conclude();
      return taken;
    }
    if (elapsed_ || otherwise_ != none) {
      unlock_all();
      return elapsed_ ? earliest_ : otherwise_;
    }
    taken = sleep_locked();
    if (taken != none) return taken;
  }
}

// The first phase; a walk over the cases, to know them.
std::size_t selection::attempt_one() {
  lot ready;
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    arm* a = cases_[i].arm_;
    if (a == nullptr) continue;
    if (a->what == arm::kind::channel) [[likely]] {
      if (static_cast<channel_arm&>(*a).seems_ready()) ready.show(i);
    } else if (a->what == arm::kind::timeout) {
      has_timeouts_ = true;
    } else if (a->what == arm::kind::stop) {
      has_stops_ = true;
      static_cast<stop_arm&>(*a).index_ = static_cast<case_index>(i);
      if (is_stopped(*a)) ready.show(i);
    } else if (otherwise_ == none) {
      otherwise_ = i;
    } else {
      throw std::invalid_argument("heddle: a select has more than one `otherwise`");
    }
  }
  if (otherwise_ == none) cancellation_point();
  if (ready.drawn() == none) return none;
  channel_arm* c = channel(ready.drawn());
  return c == nullptr || c->attempt() ? ready.drawn() : none;
}

std::size_t selection::attempt_one_locked() noexcept {
  for (;;) {
    lot ready;
    for (channel_arm* c = first_locked_; c != nullptr; c = c->next_) {
      if (c->seems_ready()) ready.show(c->index_);
    }
    for (std::size_t i = 0; has_stops_ && i < cases_.size(); ++i) {
      const arm* a = cases_[i].arm_;
      if (a != nullptr && a->what == arm::kind::stop && is_stopped(*a)) ready.show(i);
    }
    if (ready.drawn() == none) return none;
    channel_arm* c = channel(ready.drawn());
    if (c == nullptr || c->attempt_locked()) return ready.drawn();
    // Those who waited there had been claimed by others, and are off its list: it is ready no more.
  }
}

void selection::conclude(std::size_t taken) {
  arm& a = *cases_[taken].arm_;
  // Whoever cancels stops the fiber's token too, which may be that of the case.
  if (a.what == arm::kind::stop && otherwise_ == none) cancellation_point();
  a.run();
}

// The list of those that have a channel, by its address: a merge sort, since there may be many; of
// runs that go up or down already, as those of channels made one after the other do.
void selection::prepare_to_lock() noexcept {
  std::array<channel_arm*, 17> sorted{};  // the i-th is null or of 2^i runs
  std::size_t used = 0;
  const auto add = [&](channel_arm* run) {
    std::size_t i = 0;
    for (; sorted[i] != nullptr; ++i) run = merge(std::exchange(sorted[i], nullptr), run);
    sorted[i] = run;
    used = std::max(used, i + 1);
  };
  channel_arm* first = nullptr;
  channel_arm* last = nullptr;
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    channel_arm* c = channel(i);
    if (c == nullptr || c->core_ == nullptr) continue;
    HEDDLE_DCHECK(c->index_ == i, "case %zu of a select is also its case %d", i, c->index_);
    c->mine_ = 0;
    if (first != nullptr && std::less<>{}(c->core_, first->core_)) {
      c->next_ = std::exchange(first, c);
      continue;
    }
    if (first != nullptr && std::less<>{}(c->core_, last->core_))
      add(std::exchange(first, nullptr));
    (first != nullptr ? last->next_ : first) = c;
    c->next_ = nullptr;
    last = c;
  }
  while (used > 0) first = merge(sorted[--used], first);
  first_locked_ = first;
}

channel_arm* selection::merge(channel_arm* a, channel_arm* b) noexcept {
  channel_arm* first = nullptr;
  for (channel_arm** end = &first;; end = &(*end)->next_) {
    if (a == nullptr || b == nullptr) {
      *end = a != nullptr ? a : b;
      return first;
    }
    channel_arm*& lesser = std::less<>{}(b->core_, a->core_) ? b : a;
    *end = lesser;
    lesser = lesser->next_;
  }
}

void selection::lock_all() noexcept {
  const channel_core* last = nullptr;
  for (channel_arm* c = first_locked_; c != nullptr; c = c->next_) {
    if (c->core_ != last) c->core_->lock_out(ends::both);
    last = c->core_;
  }
}

// Whoever gets in may release the caller; but in sleep() that stays until this has returned.
void selection::unlock_all() noexcept {
  const channel_core* last = nullptr;
  for (channel_arm* c = first_locked_; c != nullptr; c = c->next_) {
    if (c->core_ != last) c->core_->unlock_out(ends::both);
    last = c->core_;
  }
}

// With no lock held: some of the clocks are the user's.
void selection::ask_clocks(bool again) {
  earliest_ = none;
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    arm* a = cases_[i].arm_;
    if (a == nullptr || a->what != arm::kind::timeout) continue;
    const std::int64_t at = static_cast<timeout_arm*>(a)->deadline_ns(again);
    if (earliest_ != none && at >= deadline_ns_) continue;
    earliest_ = i;
    deadline_ns_ = at;
  }
  elapsed_ = deadline_ns_ != no_deadline && deadline_ns_ <= now_ns();
}

// With all channels locked, which are open afterwards. `none`: a clock is to be asked again.
std::size_t selection::sleep_locked() {
  select_wait wait(first_locked_);
  for (channel_arm* c = first_locked_; c != nullptr; c = c->next_) {
    c->waiter_.emplace(wait.who(), wait.claim(), c->place(), c->index_);
    c->enqueue_locked();
  }
  stop_case* stops = nullptr;
  for (std::size_t i = 0; has_stops_ && i < cases_.size(); ++i) {
    arm* a = cases_[i].arm_;
    if (a == nullptr || a->what != arm::kind::stop) continue;
    auto& s = static_cast<stop_arm&>(*a);
    if (!s.token_.stop_possible()) continue;
    HEDDLE_DCHECK(s.index_ == i, "case %zu of a select is also its case %d", i, s.index_);
    s.case_.emplace(s.token_, static_cast<case_index>(i));
    s.case_->next = std::exchange(stops, &*s.case_);
  }
  const commit publish{[](void* self) noexcept { static_cast<selection*>(self)->unlock_all(); },
                       this};
  const case_index winner = wait.sleep(publish, deadline_ns_, stops);
  for (channel_arm* c = first_locked_; c != nullptr; c = c->next_) {
    // The channel of the one that won may be gone.
    if (c->index_ == winner) {
      c->closed_ = c->waiter_->closed;
    } else {
      c->withdraw();
    }
    c->waiter_.reset();
  }
  if (winner == case_cancelled) throw_cancelled();
  if (winner != case_timeout) return winner;
  return static_cast<timeout_arm*>(cases_[earliest_].arm_)->foreign() ? none : earliest_;
}

}  // namespace detail

std::size_t select(std::span<select_case> cases) {
  if (cases.size() > detail::selection::most_cases) {
    throw std::invalid_argument("heddle: a select has more than 65,000 cases");
  }
  for (std::size_t i = 0; i < cases.size(); ++i) cases[i].begin(i);
  return detail::select_begun(cases);
}

std::size_t detail::select_begun(std::span<select_case> cases) {
  detail::selection one(cases);
  const std::size_t taken = one.choose();
  one.conclude(taken);
  return taken;
}

}  // namespace heddle
