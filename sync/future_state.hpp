// SPDX-License-Identifier: BSL-1.0
// future_state: what a promise (a packaged task, an async call) shares with its futures: the
//   outcome, and who waits for it. In one allocation, counted by those who refer to it.
//
//        empty ──claim()──> satisfied ──publish()──> ready        no way back
//
//   The state word:
//     bit 0  ready     the outcome stands, and changes no more
//     bit 1  waited    somebody has been linked in waiting_; set under its lock            (I1)
//     bit 2  deferred  the outcome is to be computed by the first who waits without a limit
//   Without waiters it becomes ready by one compare-exchange, the last that publish() does to the
//   state; with any, under the list's lock, which the list's destructor takes. So whoever sees it
//   ready may drop the last reference.
//   I2  satisfied_ is guarded by setting_; the outcome is written by whoever has claimed it.
//   Lock order: setting_ is held over the copying of a value, user code; the list's lock is a leaf.
#pragma once

#include <heddle/sched/at_end.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/outcome.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/wait_list.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <mutex>
#include <utility>

namespace heddle::detail {

/// When an outcome becomes ready: at once, or at the end of the fiber or thread that sets it.
enum class when { now, at_end };

[[noreturn]] void throw_future_error(std::future_errc why);

class future_core : private at_end_node {
 public:
  future_core() noexcept;
  virtual ~future_core();
  future_core(const future_core&) = delete;
  future_core& operator=(const future_core&) = delete;

  void share() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop() noexcept {
    // (fu.1) acq_rel: what all others did to it goes before its end; pairs with itself: (fu.1).
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// For the one who sets the outcome: from here on nobody else can. `store()` is called first, and
  /// nothing has happened if it throws. Throws promise_already_satisfied; for the end, what
  /// reserve_at_end() throws.
  template <class Store>
  void claim(when at, Store&& store) {
    const std::lock_guard hold(setting_);
    expect_unsatisfied_locked();
    if (at == when::at_end) reserve_at_end();
    store();
    satisfied_ = true;
  }
  /// Makes it ready. The caller must not touch the state afterwards but by a reference of its own.
  void publish(when at) noexcept;

  /// True for the first call.
  bool retrieve() noexcept { return !retrieved_.exchange(true, std::memory_order_relaxed); }

  /// These three are cancellation points, on entry too.
  void wait() {
    cancellation_point();
    if (!ready()) wait_slow();
  }
  std::future_status wait_until_ns(std::int64_t deadline_ns);
  template <class Clock, class Duration>
  std::future_status wait_until(const std::chrono::time_point<Clock, Duration>& at) {
    auto status = std::future_status::timeout;
    (void)attempt_until(at, [&](std::int64_t deadline_ns) {
      status = wait_until_ns(deadline_ns);
      return status != std::future_status::timeout;
    });
    return status;
  }

  /// Before anybody else knows the state: run_deferred() is for the first who waits.
  void defer() noexcept { word_.store(is_deferred, std::memory_order_relaxed); }

 protected:
  /// Claims it if nobody has; true if the outcome is wanted, too: somebody may ask for it.
  bool abandoned() noexcept;
  virtual void run_deferred() noexcept {}

 private:
  static constexpr std::uint32_t is_ready = 1;
  static constexpr std::uint32_t is_waited = 2;
  static constexpr std::uint32_t is_deferred = 4;

  bool ready() const noexcept {
    // (fu.2) acquire: sees the outcome, and what went before it; pairs with (fu.3), (fu.4).
    return (word_.load(std::memory_order_acquire) & is_ready) != 0;
  }
  void expect_unsatisfied_locked() const;
  void publish_now() noexcept;
  void wait_slow();
  bool sleep(std::int64_t deadline_ns);

  atomic<std::uint32_t> references_{1};
  atomic<std::uint32_t> word_{0};
  atomic<bool> retrieved_{false};
  bool satisfied_ = false;
  mutex setting_;
  wait_list waiting_;
};

template <class R>
struct future_state : future_core {
  /// For the one who would have set the outcome: if nobody has, it is a broken promise.
  void abandon() noexcept {
    if (!abandoned()) return;
    out.set_error(std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)));
    publish(when::now);
  }

  outcome<R> out;
};

/// A counted reference to a state.
template <class State>
class state_ref {
 public:
  state_ref() noexcept = default;
  /// Takes the reference over that a new state comes with.
  explicit state_ref(State* made) noexcept : state_(made) {}
  state_ref(const state_ref& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->share();
  }
  state_ref(state_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  template <class Derived>
  state_ref(state_ref<Derived>&& other) noexcept : state_(other.release()) {}
  state_ref& operator=(state_ref other) noexcept {
    swap(other);
    return *this;
  }
  ~state_ref() {
    if (state_ != nullptr) state_->drop();
  }
  void swap(state_ref& other) noexcept { std::swap(state_, other.state_); }
  State* release() noexcept { return std::exchange(state_, nullptr); }

  explicit operator bool() const noexcept { return state_ != nullptr; }
  /// Throws no_state.
  State& operator*() const {
    if (state_ == nullptr) throw_future_error(std::future_errc::no_state);
    return *state_;
  }
  State* operator->() const { return &**this; }
  /// Where the state's address stands.
  const void* place() const noexcept { return &state_; }

 private:
  State* state_ = nullptr;
};

}  // namespace heddle::detail
