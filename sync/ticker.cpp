// SPDX-License-Identifier: BSL-1.0
// ticker: the fibers that send the time.
#include <heddle/sched/fiber.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sync/select.hpp>
#include <heddle/sync/ticker.hpp>

#include <utility>

namespace heddle {

namespace {

using times = channel<clock::time_point>;

/// Closes a channel, unless it was let go.
class closing {
 public:
  explicit closing(times& c) noexcept : channel_(&c) {}
  ~closing() {
    if (channel_ != nullptr) channel_->close();
  }
  closing(const closing&) = delete;
  closing& operator=(const closing&) = delete;
  void let_go() noexcept { channel_ = nullptr; }

 private:
  times* channel_;
};

std::int64_t later(std::int64_t at_ns, std::int64_t by_ns) noexcept {
  return by_ns > detail::no_deadline - at_ns ? detail::no_deadline : at_ns + by_ns;
}

void tick(times& ticks, const std::stop_token& stopped, std::int64_t next_ns,
          std::int64_t period_ns) {
  const closing at_the_end(ticks);
  for (;;) {
    const clock::time_point next{std::chrono::nanoseconds(next_ns)};
    if (select(on_stop(stopped), on_timeout(next)) == 0) return;
    const clock::time_point now = clock::now();
    (void)ticks.try_send(now);
    this_fiber::yield();  // where the period is so short that the next one has passed already
    // The next whole period that is to come.
    const std::int64_t late_ns = std::chrono::nanoseconds(now - next).count();
    next_ns = later(next_ns, late_ns - late_ns % period_ns);
    next_ns = later(next_ns, period_ns);
  }
}

}  // namespace

receiver<clock::time_point> detail::after(std::int64_t deadline_ns) {
  times once(1);
  if (deadline_ns <= now_ns()) {
    (void)once.try_send(clock::now());
  } else {
    go({.name = "heddle::after"}, [once, deadline_ns]() mutable {
      closing if_cancelled(once);
      sleep_until_ns(deadline_ns);
      if_cancelled.let_go();
      (void)once.try_send(clock::now());
    });
  }
  return once;
}

void ticker::start(std::int64_t period_ns) {
  go({.name = "heddle::ticker"},
     [ticks = ticks_, stopped = stop_.get_token(), first_ns = later(detail::now_ns(), period_ns),
      period_ns]() mutable { tick(ticks, stopped, first_ns, period_ns); });
}

// Whoever sees the channel closed may destroy the ticker: the fiber that ticks closes it too, and
// may do so before request_stop() returns.
void ticker::stop() noexcept {
  std::stop_source stopping = stop_;
  times ticks = ticks_;
  stopping.request_stop();
  ticks.close();
}

}  // namespace heddle
