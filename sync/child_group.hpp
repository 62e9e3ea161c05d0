// SPDX-License-Identifier: BSL-1.0
// child_group: fibers that share a fate: they are waited for, and cancelled, together. What
//   task_group, gather, race and the parallel loops have in common.
//
//   To cancel a fiber runs users' stop callbacks, so no lock may be held over it:
//     who cancels the group                          a child that ends
//       1 moves the next child from live_ to told_,    a waits while in_hand_ names it: its record
//         names it in in_hand_, the lock held            is in use
//       2 opens the lock, and cancels that child       b takes itself off its list, the lock held
//       3 until live_ is empty                         c counts itself out; the last one wakes who
//                                                        waits, and touches the group no more
//   Who cancels counts as a child meanwhile: who waits may destroy the group. A child that starts
//   when the group was cancelled goes to told_ at once, and is cancelled before it runs.
//   Lock order: the list's lock, then the idle bell's, then nothing.
#pragma once

#include <heddle/base/intrusive_list.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/ending.hpp>
#include <heddle/sched/spawn.hpp>
#include <heddle/sync/wait_list.hpp>

#include <cstddef>
#include <exception>
#include <stop_token>
#include <utility>

namespace heddle::detail {

class child_group;
class idle_bell;

/// One who waits for its children, and can start more of them for workers that have nothing to do.
class sharer {
 public:
  /// Whether there is work that could be shared.
  virtual bool can_share() noexcept = 0;
  /// A worker may be idle: start children for it. The caller is the one who waits.
  virtual void share() noexcept = 0;

 protected:
  ~sharer() = default;
};

/// A child's place in its group. Part of the child's callable, and destroyed after all that the
/// user gave; it destroys the fiber's locals, and does what was put off to its end: then the child
/// has ended.
class child : public list_hook {
 public:
  child() noexcept = default;
  ~child();
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  child_group& group() const noexcept { return *group_; }

 private:
  friend class child_group;
  child_group* group_ = nullptr;  // set when it starts
  fiber_record* record_ = nullptr;
};

class child_group {
 public:
  child_group() noexcept = default;
  /// cancel() and wait, dropping the exception. No cancellation point. While the process exits,
  /// children that stand still are left.
  ~child_group();
  child_group(const child_group&) = delete;
  child_group& operator=(const child_group&) = delete;

  /// Starts a child, in the runtime where a fiber started here and now belongs, that calls
  /// `Work(parts...)(group, its record)`. A Work lets no exception out. `from`: whose code starts
  /// it. Throws as heddle::go.
  template <class Work, class... Parts>
  void spawn(const void* from, Parts&&... parts);

  /// The child `who` failed: its exception is what wait() throws, if it is the first; the others
  /// are cancelled.
  void fail(std::exception_ptr why, const fiber_record& who) noexcept;
  /// Cancels every child but `but`, and whoever starts later, and stops the group's token. False:
  /// that was done before.
  bool cancel(cancel_reason why, const fiber_record* but = nullptr) noexcept;
  bool is_cancelled() noexcept;
  /// The group's own; made on first use. Without memory for it one without a state.
  std::stop_token get_stop_token() noexcept;

  /// Blocks until there is no child; then rethrows the first exception of one, each time. A
  /// cancellation point: if the caller is cancelled, so are the children, for the same reason; it
  /// throws when they have ended, on entry too. What children did happens before its return. While
  /// it waits, `work` is asked to share (see idle_bell), if it can.
  void wait(sharer* work = nullptr);

 private:
  friend class child;

  void start(fiber_record* r, child& place) noexcept;
  void end(child& c) noexcept;
  void count_out_and_unlock() noexcept;
  bool sleep(bool is_cancellation_point, idle_bell* bell);
  bool is_over() noexcept;
  bool stands_still_at_exit() noexcept;

  wait_list waiting_;
  // Guarded by waiting_.lock, as all down to stop_: children that were not cancelled, and those
  // that were, or are being.
  intrusive_list<child> live_;
  intrusive_list<child> told_;
  std::size_t count_ = 0;  // children, and one more while somebody cancels
  const child* in_hand_ = nullptr;
  bool is_cancelled_ = false;
  cancel_reason reason_{};
  std::exception_ptr first_;
  std::stop_source stop_{std::nostopstate};
  atomic<std::uint32_t> inside_{0};  // of wait(), where the group is still in use
};

/// What a child's fiber runs.
template <class Work>
class child_call {
 public:
  template <class... Parts>
  explicit child_call(std::in_place_t, Parts&&... parts) : work_(std::forward<Parts>(parts)...) {}
  void operator()(fiber_record& self) { work_(place_.group(), self); }
  child& place() noexcept { return place_; }

 private:
  child place_;  // before work_, so that it is destroyed after it
  Work work_;
};

template <class Work, class... Parts>
void child_group::spawn(const void* from, Parts&&... parts) {
  using call = child_call<Work>;
  fiber_record* r = make_fiber<call>(from, spawning_runtime(), 0, 1, {}, std::in_place,
                                     std::forward<Parts>(parts)...);
  start(r, static_cast<call*>(r->callable())->place());
}

inline child::~child() {
  if (group_ == nullptr) return;
  settle(*record_);  // its locals may refer to what ends when the group has been waited for
  group_->end(*this);
}

}  // namespace heddle::detail
