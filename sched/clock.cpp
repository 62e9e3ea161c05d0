// SPDX-License-Identifier: BSL-1.0
// clock: real time, and the virtual one of tests.
#include <heddle/sched/clock.hpp>
#include <heddle/sched/runtime_state.hpp>

#include <ctime>

namespace heddle {

namespace detail {

namespace {

constexpr std::int64_t real = -1;
// Written by tests, read by everybody.
constinit atomic<std::int64_t> virtual_now{real};

}  // namespace

std::int64_t real_now_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::int64_t now_ns() noexcept {
  const std::int64_t at = virtual_now.load(std::memory_order_relaxed);
  return at == real ? real_now_ns() : at;
}

bool time_is_virtual() noexcept { return virtual_now.load(std::memory_order_relaxed) != real; }

void use_virtual_time() noexcept {
  virtual_now.store(real_now_ns(), std::memory_order_relaxed);
  runtime_state::wake_everybody();
}

void advance_virtual_time(std::chrono::nanoseconds by) noexcept {
  virtual_now.fetch_add(by.count(), std::memory_order_relaxed);
  runtime_state::wake_everybody();
}

void use_real_time() noexcept {
  virtual_now.store(real, std::memory_order_relaxed);
  runtime_state::wake_everybody();
}

}  // namespace detail

clock::time_point clock::now() noexcept {
  return time_point(std::chrono::nanoseconds(detail::now_ns()));
}

}  // namespace heddle
