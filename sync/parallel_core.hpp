// SPDX-License-Identifier: BSL-1.0
// parallel_core: a loop over [0, count) that spreads over the workers as they come free.
//   Runners are children of the loop; each works through a strip of iterations from its low end.
//   Who calls the loop starts one runner, and waits; whenever a worker is idle (idle_bell), because
//   there is no other work or because a runner's body blocks, it starts another. A runner without
//   iterations takes the upper half of a strip whose runner is on a worker, or all that is left of
//   one whose runner waits for something: so no body holds up iterations that others could do.
//
//   A strip: its runner claims iterations, others take them from the high end.
//     the runner, for each iteration i                 who takes, the core's lock held
//       1 next := i + 1                                  a end := lower
//       2 light fence                                    b heavy fence
//       3 i < end? It is claimed.                        c next <= lower? [lower, end) is taken.
//       4 Else again, the lock held.                     d Else end := as it was; again
//   One of the two sees the other (1 and 3, a and c). If both do, the runner waits for the lock,
//   and what is taken back at d it gets at 4.
//   Lock order: the core's lock, then nothing.
#pragma once

#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/child_group.hpp>

#include <cstdint>
#include <exception>

namespace heddle::detail {

class parallel_core;

/// The iterations of one runner; in its frame.
class strip : public list_hook {
 public:
  strip(parallel_core& loop, fiber_record& runner) noexcept : loop_(loop), runner_(runner) {}
  /// What is left of it is not done any more.
  ~strip();
  strip(const strip&) = delete;
  strip& operator=(const strip&) = delete;

  /// The runner's next iteration, after refill(); it counts on from there itself, so as not to read
  /// back each time what it has just written.
  std::uint64_t first() const noexcept { return next_.load(std::memory_order_relaxed); }
  /// For the runner's next iteration. False: it was taken, or there is none.
  bool claim(std::uint64_t i) noexcept {
    next_.store(i + 1, std::memory_order_relaxed);
    light_fence();
    return i < end_.load(std::memory_order_relaxed) || claim_slow(i);
  }

 private:
  friend class parallel_core;
  friend class pace;
  [[gnu::cold, gnu::noinline]] bool claim_slow(std::uint64_t i) noexcept;
  /// How many iterations can be taken; once it is 0 it stays so. The core's lock is held.
  std::uint64_t left_locked() const noexcept {
    const auto low = next_.load(std::memory_order_relaxed);
    const auto high = end_.load(std::memory_order_relaxed);
    return low < high ? high - low : 0;
  }
  /// Whether the runner waits, in the middle of an iteration. A hint.
  bool waits() const noexcept;

  parallel_core& loop_;
  fiber_record& runner_;
  atomic<std::uint64_t> next_{0};  // written by the runner
  atomic<std::uint64_t> end_{0};   // written under the core's lock
  atomic<bool> yields_{false};     // the runner lets others run, between two iterations
};

/// When a runner lets others run: every 100 us or so, whatever an iteration takes; the watchdog
/// would take it for stuck.
class pace {
 public:
  explicit pace(strip& of) noexcept;
  /// So many iterations, then rest().
  std::uint32_t length() const noexcept { return length_; }
  void rest() noexcept;

 private:
  strip& of_;
  std::int64_t last_ns_, last_yield_ns_;
  std::uint32_t length_ = 1;
};

class parallel_core : sharer {
 public:
  parallel_core(const parallel_core&) = delete;
  parallel_core& operator=(const parallel_core&) = delete;

  /// Runs the loop. A cancellation point; throws what an iteration threw.
  void run();
  /// More iterations for a runner whose strip is used up. False: it can end.
  bool refill(strip& mine) noexcept;

 protected:
  parallel_core(const void* from, std::uint64_t count) noexcept
      : started_from(from), unowned_(count) {}
  ~parallel_core() = default;
  /// Starts a child that calls refill() until it is false, and does what it gets.
  virtual void start_runner(child_group& runners) = 0;

  const void* const started_from;  // whose code runs the loop

 private:
  friend class strip;

  bool can_share() noexcept override;
  void share() noexcept override;
  strip* best_to_take_from_locked() noexcept;
  static bool take_locked(strip& from, strip& to) noexcept;

  spin_lock lock_;
  std::uint64_t unowned_;         // guarded by lock_: [0, unowned_) until the first runner comes
  intrusive_list<strip> strips_;  // guarded by lock_: all that may have iterations left
  bool can_start_ = true;         // own: the last runner could be started
  child_group runners_;
};

/// A loop whose runners each call a function that `Make` makes for its fiber.
template <class Make>
class parallel_loop final : public parallel_core {
 public:
  parallel_loop(const void* from, std::uint64_t count, Make& make) noexcept
      : parallel_core(from, count), make_(make) {}

 private:
  class runner {
   public:
    explicit runner(parallel_loop& loop) noexcept : loop_(loop) {}
    void operator()(child_group& group, fiber_record& self) noexcept {
      try {
        strip mine(loop_, self);
        pace steps(mine);
        auto body = loop_.make_(self);
        while (loop_.refill(mine)) go_along(mine, steps, self, body);
      } catch (...) {
        group.fail(std::current_exception(), self);
      }
    }

   private:
    template <class Body>
    static void go_along(strip& mine, pace& steps, fiber_record& self, Body& body) {
      for (std::uint64_t i = mine.first();; steps.rest()) {
        for (std::uint32_t n = steps.length(); n > 0; --n, ++i) {
          if (!mine.claim(i)) return;
          if (self.cancel.load(std::memory_order_relaxed) != 0) [[unlikely]]
            cancellation_point();
          body(i);
        }
      }
    }

    parallel_loop& loop_;
  };

  void start_runner(child_group& runners) override { runners.spawn<runner>(started_from, *this); }

  Make& make_;
};

}  // namespace heddle::detail
