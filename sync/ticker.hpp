// SPDX-License-Identifier: BSL-1.0
// ticker: time that comes over a channel: once (after), or again and again (ticker). Each is a
//   fiber that sleeps, in the current fiber's runtime, from a plain thread in the default one: it
//   costs what a sleeping fiber costs, a stack's first pages. Where its runtime ends before it is
//   due, it closes the channel: nobody shall wait for what does not come.
#pragma once

#include <heddle/sched/clock.hpp>
#include <heddle/sync/channel.hpp>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <stop_token>

namespace heddle {

namespace detail {

receiver<clock::time_point> after(std::int64_t deadline_ns);

/// Rounded up, and cut to what is never over.
template <class Rep, class Period>
std::int64_t period_ns(std::chrono::duration<Rep, Period> d) {
  using namespace std::chrono;
  if (!(d > duration<Rep, Period>::zero())) {
    throw std::invalid_argument("heddle: the period of a ticker must be longer than zero");
  }
  if (!(duration_cast<duration<double, std::nano>>(d).count() < 9.0e18)) return no_deadline;
  return ceil<nanoseconds>(d).count();
}

}  // namespace detail

/// Go's time.After: a channel that gets one value, the time, when `d` has passed; at once if `d` is
/// not positive. It is not closed then. To be used in a select, or to be received from; whoever
/// does neither leaves a fiber asleep until the time has passed, or its runtime ends.
/// \throws std::bad_alloc, or std::system_error, as heddle::go
template <class Rep, class Period>
[[nodiscard]] receiver<clock::time_point> after(std::chrono::duration<Rep, Period> d) {
  return detail::after(detail::deadline_after(d));
}

/// Go's time.Ticker: a channel that gets the time, again and again, a period apart. It holds one
/// value: who is slow misses ticks, and what follows comes at whole periods from the start. A
/// channel that was closed ends `for (auto& time : t.channel())`.
class ticker {
 public:
  /// The first tick comes when a period has passed. \throws std::invalid_argument for a period that
  /// is not positive; std::bad_alloc, or std::system_error, as heddle::go
  template <class Rep, class Period>
  explicit ticker(std::chrono::duration<Rep, Period> period) {
    start(detail::period_ns(period));
  }
  ~ticker() { stop(); }
  ticker(const ticker&) = delete;
  ticker& operator=(const ticker&) = delete;

  /// Where the ticks come from; it may outlive the ticker.
  receiver<clock::time_point> channel() const noexcept { return ticks_; }
  /// Ends the ticks, and closes the channel: a tick that nobody has received yet still can be. Any
  /// fiber or thread may call, any number of times. Whoever sees the channel closed may destroy the
  /// ticker at once.
  void stop() noexcept;

 private:
  void start(std::int64_t period_ns);

  heddle::channel<clock::time_point> ticks_{1};
  std::stop_source stop_;
};

}  // namespace heddle
