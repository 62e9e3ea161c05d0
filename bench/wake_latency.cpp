// SPDX-License-Identifier: BSL-1.0
// How long until a task that waits on an idle worker runs, once another worker wakes it? Row 12.
// The waker keeps its own worker busy meanwhile, so that only the other one can run the waiter;
// it wakes it `every_us` after the waiter went back to wait, `n` times. The counters are
// percentiles of microseconds from the wake to the first instruction after the wait. The floors are
// two threads on two cores: one that spins on a cache line, one that sleeps on a futex.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "heddle_world.hpp"
#include "measure.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

using stamp = std::int64_t;  // nanoseconds of the steady clock; negative: the end

stamp now_ns() { return clock::now().time_since_epoch().count(); }

// A word with the stamp of the last wake. Floors: the waiter spins on it, or sleeps on it.
template <bool Sleeps>
class word_signal {
 public:
  void wake(stamp at) {
    at_ = at;
    // (wl.1) release: at_ is visible to who sees this count; pairs with (wl.2).
    count_.fetch_add(1, std::memory_order_release);
    if (Sleeps) ::syscall(SYS_futex, &count_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  std::optional<stamp> wait() {
    // (wl.2) acquire: sees the at_ of (wl.1).
    while (count_.load(std::memory_order_acquire) == seen_)
      if (Sleeps) ::syscall(SYS_futex, &count_, FUTEX_WAIT_PRIVATE, seen_, nullptr, nullptr, 0);
    ++seen_;
    if (at_ < 0) return std::nullopt;
    return at_;
  }
  void close() { wake(-1); }

 private:
  alignas(64) std::atomic<std::uint32_t> count_{0};  // the waker writes, the waiter reads
  stamp at_ = 0;                                     // handed over by count_
  alignas(64) std::uint32_t seen_ = 0;               // the waiter's own
};

// A channel with room for one: the waker never waits.
template <class World>
class channel_signal {
 public:
  void wake(stamp at) { channel_.send(at); }
  std::optional<stamp> wait() { return channel_.receive(); }
  void close() { channel_.close(); }

 private:
  typename World::template channel<stamp> channel_{1};
};

void spin_until(stamp time) {
  while (now_ns() < time) {
  }
}

// The waker sleeps a moment after so long: past 10 ms the watchdog would rightly take its queue
// away, and the latency would be that of a spare worker.
constexpr stamp burst_ns = 5'000'000;

// Wakes the waiter n times; returns the latencies. Runs in the waker.
template <class World, class Signal, class OnStart>
std::vector<stamp> wake_often(std::int64_t n, stamp every_ns, OnStart on_start) {
  Signal signal;
  std::vector<stamp> latencies;
  latencies.reserve(static_cast<std::size_t>(n));
  std::atomic<std::int64_t> woken{0};  // the waiter counts, the waker reads
  const typename World::task waiter([&] {
    on_start();
    while (const auto at = signal.wait()) {
      const stamp took = now_ns() - *at;
      latencies.push_back(took);
      // (wl.3) release: latencies, and that the waiter is back; pairs with (wl.4).
      woken.fetch_add(1, std::memory_order_release);
    }
  });
  stamp burst_ends = now_ns() + burst_ns;
  for (std::int64_t i = 0; i < n; ++i) {
    if (now_ns() > burst_ends) {
      World::sleep_for(std::chrono::microseconds(200));
      burst_ends = now_ns() + burst_ns;
    }
    spin_until(now_ns() + every_ns);
    signal.wake(now_ns());
    // (wl.4) acquire: the waiter has noted this wake, (wl.3).
    while (woken.load(std::memory_order_acquire) != i + 1) {
    }
  }
  signal.close();
  return latencies;
}

template <class World, class Signal, class OnStart>
void report(benchmark::State& state, World& world, OnStart on_start) {
  if (!has_cores(state, 2)) return;
  const std::int64_t n = state.range(1);
  std::vector<stamp> all;
  for (auto _ : state) {
    const auto found =
        world.run([&] { return wake_often<World, Signal>(n, state.range(0) * 1'000, on_start); });
    double sum = 0;
    for (const stamp latency : found) sum += static_cast<double>(latency);
    state.SetIterationTime(sum * 1e-9);
    all.insert(all.end(), found.begin(), found.end());
  }
  std::sort(all.begin(), all.end());
  const auto percentile = [&](std::size_t p) {
    return static_cast<double>(all[(all.size() - 1) * p / 100]) * 1e-3;
  };
  for (const std::size_t p : {1u, 10u, 25u, 50u, 75u, 90u, 99u})
    state.counters["p" + std::to_string(p) + "_us"] = percentile(p);
}

void heddle(benchmark::State& state) {
  heddle_world world(2);
  report<heddle_world, channel_signal<heddle_world>>(state, world, [] {});
}

// Waker and waiter on a core each.
template <class Signal>
void threads(benchmark::State& state) {
  thread_world world(1);
  report<thread_world, Signal>(state, world, [] {
    thread_local std::optional<pinned> pin;
    pin.emplace(1);
  });
}

void cases(benchmark::internal::Benchmark* b) {
  b->ArgNames({"every_us", "n"})
      ->UseManualTime()
      ->Iterations(1)
      ->Args({5, 10'000})
      ->Args({100, 2'000});
}
BENCHMARK(threads<word_signal<false>>)->Name("wake_latency/cache_line")->Apply(cases);
BENCHMARK(threads<word_signal<true>>)->Name("wake_latency/futex")->Apply(cases);
BENCHMARK(heddle)->Name("wake_latency/heddle")->Apply(cases);
BENCHMARK(threads<channel_signal<thread_world>>)->Name("wake_latency/thread")->Apply(cases);

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
