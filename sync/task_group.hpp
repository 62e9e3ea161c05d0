// SPDX-License-Identifier: BSL-1.0
// task_group: structured concurrency: children that none outlives; gather and race, which are
//   groups for one call.
#pragma once

#include <heddle/sched/outcome.hpp>
#include <heddle/sync/child_group.hpp>
#include <heddle/sync/semaphore.hpp>

#include <array>
#include <cstddef>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace heddle {

/// A group of fibers that are waited for together, and of which one that fails cancels the others:
/// Go's errgroup.Group, a nursery. No child outlives the group. Any fiber or thread may use it, its
/// children too.
///
/// A group that was cancelled, or has failed, stays so: what is spawned then runs, cancelled from
/// the start. Otherwise it can be used again after wait(). May be destroyed by whom wait() has just
/// released. A child that waits for its own group waits for ever.
class task_group {
 public:
  /// With no limit.
  task_group() noexcept : task_group(0) {}
  /// At most `limit` children at once, from the spawn until all that the child owned is destroyed;
  /// 0: no limit.
  explicit task_group(std::size_t limit) noexcept;
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  /// cancel() and wait, dropping the exception. No cancellation point. While the process exits,
  /// children of the default runtime are left where they stand still.
  ~task_group() = default;

  /// Starts `f()` as a child: in the current fiber's runtime, from a plain thread in the default
  /// one. `f` may take a std::stop_token, its fiber's; its result is dropped. Blocks while the
  /// limit is reached (who spawn first are served first), and is a cancellation point only then: a
  /// child that spawns into its own full group waits for another one to end. An exception that
  /// leaves `f` cancels the other children (cancel_reason::sibling_failed) and is thrown by wait(),
  /// if it is the first. heddle::cancelled is no failure if the group or that child had been
  /// cancelled; else (its own deadline) an exception like any other.
  /// \throws cancelled; std::invalid_argument for a null callable; std::system_error,
  ///   std::bad_alloc; what moving `f` throws. Then nothing was started.
  template <class F>
  [[gnu::always_inline]] void spawn(F&& f) {
    spawn_from(detail::this_place(), std::forward<F>(f));
  }

  /// Blocks until all children have ended and what they owned is destroyed, which happens before
  /// the return; then rethrows the first exception that left one: each time, as errgroup does. A
  /// cancellation point: if the caller is cancelled, on entry or while it waits, the children are
  /// cancelled for the caller's reason and waited for before it throws; their exceptions are then
  /// dropped. \throws cancelled; what a child threw
  void wait() { children_.wait(); }

  /// Cancels the children, and those that come later (cancel_reason::requested), and stops the
  /// group's token. True for the call that did so first; false also once a child has failed or a
  /// waiter was cancelled. Returns when all stop callbacks have. No cancellation point.
  bool cancel() noexcept { return children_.cancel(cancel_reason::requested); }

  /// The group's own token, stopped when it is cancelled or fails. Made on first use: without
  /// memory for it stop_possible() is false.
  std::stop_token get_stop_token() const noexcept { return children_.get_stop_token(); }

 private:
  template <class Call>
  class task;

  template <class F>
  void spawn_from(const void* place, F&& f);

  void take_room() {
    // Only who waits is at a cancellation point.
    if (is_limited_ && !room_.try_acquire()) room_.acquire();
  }
  void give_room() noexcept;
  static void note_exception(detail::child_group& group, detail::fiber_record& self) noexcept;

  const bool is_limited_;
  detail::semaphore_core room_;
  mutable detail::child_group children_;  // destroyed first: children give back their room
};

/// A child's call: an exception goes to the group; room is given back when all that the child owned
/// is destroyed.
template <class Call>
class task_group::task {
 public:
  template <class F>
  explicit task(task_group& group, F&& f) : call_(std::in_place, std::forward<F>(f)) {
    room_.of = &group;  // not before the call stands: what throws has not been started
  }
  void operator()(detail::child_group& group, detail::fiber_record& self) noexcept {
    room_.self = &self;
    try {
      static_cast<void>(call_(self));
    } catch (...) {
      note_exception(group, self);
    }
  }

 private:
  struct room {
    task_group* of = nullptr;
    detail::fiber_record* self = nullptr;
    ~room() {
      if (of == nullptr) return;
      detail::settle(*self);
      of->give_room();
    }
  };
  room room_;  // before call_, so that it is destroyed after it
  Call call_;
};

template <class F>
void task_group::spawn_from(const void* place, F&& f) {
  take_room();
  try {
    children_.spawn<task<detail::bound_call_for<F>>>(place, *this, std::forward<F>(f));
  } catch (...) {
    give_room();
    throw;
  }
}

namespace detail {

/// What a fiber keeps of a call's result: references stay references, as in a future.
template <class F>
using kept_result = std::remove_cv_t<call_result<F>>;

/// A child of gather(): what comes of it stands in the frame of who gathers.
template <class Call, class Result>
class gathered_call {
 public:
  template <class F>
  explicit gathered_call(outcome<Result>& out, F&& f)
      : out_(out), call_(std::in_place, std::forward<F>(f)) {}
  void operator()(child_group& group, fiber_record& self) noexcept {
    out_.set_from([&]() -> Result { return static_cast<Result>(call_(self)); });
    if (out_.error()) group.fail(out_.error(), self);
  }

 private:
  outcome<Result>& out_;
  Call call_;
};

/// A child of race(): the first to finish cancels the others.
template <class Call, class Result>
class racing_call {
 public:
  template <class F>
  explicit racing_call(outcome<Result>& out, outcome<Result>*& winner, F&& f)
      : out_(out), winner_(winner), call_(std::in_place, std::forward<F>(f)) {}
  void operator()(child_group& group, fiber_record& self) noexcept {
    out_.set_from([&]() -> Result { return call_(self); });
    if (group.cancel(cancel_reason::requested, &self)) winner_ = &out_;
  }

 private:
  outcome<Result>& out_;
  outcome<Result>*& winner_;
  Call call_;
};

template <class R>
using gathered = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

template <class R>
gathered<R> take_gathered(outcome<R>& out) {
  if constexpr (std::is_void_v<R>) {
    return {};
  } else {
    return out.take();
  }
}

template <class... F>
auto gather_from(const void* place, F&&... f) {
  cancellation_point();
  std::tuple<outcome<kept_result<F>>...> outcomes;
  return std::apply(
      [&](auto&... out) -> std::tuple<gathered<kept_result<F>>...> {
        {
          child_group children;
          (children.spawn<gathered_call<bound_call_for<F>, kept_result<F>>>(place, out,
                                                                            std::forward<F>(f)),
           ...);
          children.wait();
        }
        return {take_gathered(out)...};
      },
      outcomes);
}

template <class... F>
auto race_from(const void* place, F&&... f) {
  static_assert(sizeof...(F) > 0, "a race() of nothing would never end");
  using result = std::common_type_t<call_result<F>...>;
  cancellation_point();
  std::array<outcome<result>, sizeof...(F)> outcomes;
  outcome<result>* winner = nullptr;
  {
    child_group runners;
    std::size_t next = 0;
    (runners.spawn<racing_call<bound_call_for<F>, result>>(place, outcomes[next++], winner,
                                                           std::forward<F>(f)),
     ...);
    runners.wait();
  }
  return winner->take();
}

}  // namespace detail

/// Runs all of `f()...` at once, each in a fiber of its own, and returns their results in order: a
/// std::tuple, with std::monostate for void; a reference stays one, and must outlive its callable.
/// They are started in the current fiber's runtime, from a plain thread in the default one, and may
/// take a std::stop_token each. The first exception that leaves one, heddle::cancelled included,
/// cancels the others (cancel_reason::sibling_failed) and is rethrown when all have ended. All that
/// they did and owned is done and destroyed before the return. A cancellation point: a caller that
/// is cancelled on entry starts nothing; one that is cancelled while it waits cancels them for its
/// own reason, waits for them and throws.
/// \throws cancelled; what one of them threw; as task_group::spawn, when those that were started
///   have been cancelled and have ended
template <class... F>
[[gnu::always_inline]] inline auto gather(F&&... f) {
  return detail::gather_from(detail::this_place(), std::forward<F>(f)...);
}

/// Runs all of `f()...` at once, each in a fiber of its own; the first to finish wins, by its
/// result or its exception (heddle::cancelled included). The others are cancelled
/// (cancel_reason::requested) and waited for; what they return or throw is dropped. Returns the
/// winner's result as the std::common_type_t of all (void if all are void). Otherwise as gather().
template <class... F>
[[gnu::always_inline]] inline auto race(F&&... f) {
  return detail::race_from(detail::this_place(), std::forward<F>(f)...);
}

}  // namespace heddle
