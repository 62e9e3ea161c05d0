// SPDX-License-Identifier: BSL-1.0
// wait_group: waiting until a number of things are done.
//   The state word: the count in the upper bits; bit 0 is set while waiters are linked (I1), and
//   then the count comes to zero under their lock only.
#pragma once

#include <heddle/sched/ending.hpp>
#include <heddle/sched/runtime.hpp>
#include <heddle/sync/wait_list.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace heddle {

/// Go's sync.WaitGroup: a count of things under way, and waiting until it is zero. What is done
/// before done() happens before the return of the wait() that it releases. May be destroyed by whom
/// wait() has just released, and used again once all waits have returned.
class wait_group {
 public:
  wait_group() noexcept = default;
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;
  ~wait_group();

  /// Adds to the count, also a negative number. Below zero it aborts, with a message.
  void add(std::ptrdiff_t n = 1) noexcept;
  /// add(-1).
  void done() noexcept { add(-1); }
  /// Blocks until the count is zero. A cancellation point. \throws cancelled
  void wait();

  /// add(1), then heddle::go(f); done() when `f` has returned, or was ended by cancellation, and
  /// all that the fiber owned is destroyed. `f` may take a std::stop_token. \throws as heddle::go;
  /// the count is then unchanged.
  template <class F>
  void go(F&& f);

 private:
  static constexpr std::int64_t waiters = 1;
  static constexpr std::int64_t one = 2;

  bool release_waiters(std::ptrdiff_t n) noexcept;
  std::int64_t sum(std::int64_t state, std::int64_t n) const noexcept;

  detail::atomic<std::int64_t> state_{0};
  detail::wait_list waiting_;
};

namespace detail {

/// A call that reports to its group when it is over and destroyed.
template <class Call>
class grouped_call {
 public:
  template <class... Parts>
  explicit grouped_call(wait_group& group, Parts&&... parts)
      : call_(std::in_place, std::forward<Parts>(parts)...) {
    done_.group = &group;  // not before the call stands: what throws has not been started
  }
  void operator()(fiber_record& self) {
    done_.self = &self;
    static_cast<void>(call_(self));
  }
  /// Where the group's address stands.
  const void* group_place() const noexcept { return &done_.group; }

 private:
  struct reporter {
    wait_group* group = nullptr;
    fiber_record* self = nullptr;
    ~reporter() {
      if (group == nullptr) return;
      settle(*self);
      group->done();
    }
  };
  reporter done_;  // before call_, so that it is destroyed after it
  Call call_;
};

}  // namespace detail

template <class F>
[[gnu::always_inline]] inline void wait_group::go(F&& f) {
  using body = detail::grouped_call<detail::bound_call_for<F>>;
  detail::fiber_record* r = detail::make_fiber<body>(
      detail::this_place(), detail::spawning_runtime(), 0, 1, {}, *this, std::forward<F>(f));
  r->set_works_for(static_cast<body*>(r->callable())->group_place());
  add(1);
  detail::start_fiber(r);
}

}  // namespace heddle
