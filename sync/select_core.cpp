// SPDX-License-Identifier: BSL-1.0
// select_core: the two phases.
#include <heddle/base/assert.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sync/select_core.hpp>

#include <array>
#include <functional>
#include <stdexcept>

namespace heddle {

namespace detail {

/// One select, on the stack of its caller.
class selection {
 public:
  explicit selection(std::span<select_case> cases);
  /// The index of the case that is taken.
  std::size_t choose();
  void conclude(std::size_t taken);

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  static constexpr std::size_t most_cases = 65'000;  // below the indices that mean something else

  template <class Look>
  std::size_t first_in_random_order(Look look);
  bool attempt(arm& a) noexcept;
  bool attempt_locked(arm& a) noexcept;
  void prepare_to_lock() noexcept;
  bool one_look_is_enough() const noexcept;
  static channel_arm* merge(channel_arm* a, channel_arm* b) noexcept;
  void lock_all() noexcept;
  void unlock_all() noexcept;
  void ask_clocks(bool again);
  std::size_t sleep_locked();

  channel_arm* channel(std::size_t i) const noexcept {
    arm* a = cases_[i].arm_;
    return a != nullptr && a->what == arm::kind::channel ? static_cast<channel_arm*>(a) : nullptr;
  }

  const std::span<select_case> cases_;
  random_source numbers_;
  std::size_t drawn_ = 0;  // so many elements of the random order are drawn
  std::size_t otherwise_ = none;
  bool has_timeouts_ = false;
  bool has_stops_ = false;
  channel_arm* first_locked_ = nullptr;  // those with a channel, in the order of locking
  // Of the timeout that comes first:
  std::size_t earliest_ = none;
  std::int64_t deadline_ns_ = no_deadline;
  bool elapsed_ = false;
};

selection::selection(std::span<select_case> cases) : cases_(cases), numbers_(random_numbers()) {
  if (cases.size() > most_cases) {
    throw std::invalid_argument("heddle: a select has more than 65,000 cases");
  }
  for (std::size_t i = 0; i < cases.size(); ++i) {
    cases[i].drawn_ = static_cast<case_index>(i);
    arm* a = cases[i].arm_;
    if (a == nullptr) continue;
    switch (a->what) {
      case arm::kind::channel:
        static_cast<channel_arm*>(a)->index_ = cases[i].drawn_;
        break;
      case arm::kind::timeout:
        has_timeouts_ = true;
        break;
      case arm::kind::stop:
        has_stops_ = true;
        break;
      case arm::kind::otherwise:
        if (otherwise_ != none) {
          throw std::invalid_argument("heddle: a select has more than one `otherwise`");
        }
        otherwise_ = i;
    }
  }
}

// The first case in the random order for which `look` is true.
template <class Look>
std::size_t selection::first_in_random_order(Look look) {
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    if (i == drawn_) {
      const auto left = static_cast<std::uint32_t>(cases_.size() - i);
      std::swap(cases_[i].drawn_, cases_[i + numbers_.below(left)].drawn_);
      ++drawn_;
    }
    arm* a = cases_[cases_[i].drawn_].arm_;
    if (a != nullptr && look(*a)) return cases_[i].drawn_;
  }
  return none;
}

bool selection::attempt(arm& a) noexcept {
  if (a.what == arm::kind::channel) {
    auto& c = static_cast<channel_arm&>(a);
    c.mine_ = 0;
    return c.attempt();
  }
  return a.what == arm::kind::stop && static_cast<stop_arm&>(a).token_.stop_requested();
}

bool selection::attempt_locked(arm& a) noexcept {
  if (a.what == arm::kind::channel) {
    auto& c = static_cast<channel_arm&>(a);
    return c.core_ != nullptr && c.attempt_locked();
  }
  return a.what == arm::kind::stop && static_cast<stop_arm&>(a).token_.stop_requested();
}

std::size_t selection::choose() {
  if (otherwise_ == none) cancellation_point();
  std::size_t taken = first_in_random_order([this](arm& a) { return attempt(a); });
  if (taken != none) return taken;

  prepare_to_lock();
  if (otherwise_ != none && one_look_is_enough()) return otherwise_;
  for (bool again = false;; again = true) {
    if (has_timeouts_) ask_clocks(again);
    lock_all();
    taken = first_in_random_order([this](arm& a) { return attempt_locked(a); });
    if (taken != none) {
      channel_arm* partners = channel(taken);
      unlock_all();
      if (partners != nullptr) partners->conclude();
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

void selection::conclude(std::size_t taken) {
  arm& a = *cases_[taken].arm_;
  // Whoever cancels stops the fiber's token too, which may be that of the case.
  if (a.what == arm::kind::stop && otherwise_ == none) cancellation_point();
  a.run();
}

// A single channel was looked at under its only lock; what is ready at different times, one after
// the other, is another matter.
bool selection::one_look_is_enough() const noexcept {
  return !has_timeouts_ && !has_stops_ &&
         (first_locked_ == nullptr ||
          (first_locked_->next_ == nullptr && !first_locked_->core_->buffered()));
}

// The list of those that have a channel, by its address: a merge sort, since there may be many.
void selection::prepare_to_lock() noexcept {
  std::array<channel_arm*, 17> runs{};  // the i-th is null or of 2^i arms
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    channel_arm* run = channel(i);
    if (run == nullptr || run->core_ == nullptr) continue;
    HEDDLE_DCHECK(run->index_ == i, "case %zu of a select is also its case %d", i, run->index_);
    run->next_ = nullptr;
    std::size_t k = 0;
    for (; runs[k] != nullptr; ++k) run = merge(std::exchange(runs[k], nullptr), run);
    runs[k] = run;
  }
  for (channel_arm* run : runs) first_locked_ = merge(run, first_locked_);
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
  waiting wait(true);
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
    s.case_.emplace(s.token_, static_cast<case_index>(i));
    s.case_->next = std::exchange(stops, &*s.case_);
  }
  const commit publish{[](void* self) noexcept { static_cast<selection*>(self)->unlock_all(); },
                       this};
  const case_index winner = wait.sleep(publish, deadline_ns_, stops);
  for (channel_arm* c = first_locked_; c != nullptr; c = c->next_) {
    // The channel of the one that won may be gone.
    if (c->index_ != winner) c->withdraw();
    c->closed_ = c->waiter_->closed;
    c->waiter_.reset();
  }
  if (winner == case_cancelled) throw_cancelled();
  if (winner != case_timeout) return winner;
  return static_cast<timeout_arm*>(cases_[earliest_].arm_)->foreign() ? none : earliest_;
}

}  // namespace detail

std::size_t select(std::span<select_case> cases) {
  detail::selection one(cases);
  const std::size_t taken = one.choose();
  one.conclude(taken);
  return taken;
}

}  // namespace heddle
