// SPDX-License-Identifier: BSL-1.0
// boost_fiber_waits: the cases of the rival boost_fiber in which tasks wait: for a time, for an
// event, for another worker.
#include <boost/fiber/all.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "boost_fiber_world.hpp"

namespace rival {
namespace {

// With launch::dispatch each task sleeps as soon as it is started, not when all are.
figures sleepers(const call& of) {
  const std::int64_t n = of["n"];
  require_stacks(n);
  world w(of.workers(), idle_worker::sleeps);
  const double cpu_before = bench::cpu_seconds();
  const double seconds = w.run([n] {
    return timed([n] {
      wait_group ended(n);
      for (std::int64_t i = 0; i < n; ++i)
        ended.go([] { boost::this_fiber::sleep_for(std::chrono::seconds(1)); }, launch::dispatch);
      ended.wait();
    });
  });
  const double cpu = bench::cpu_seconds() - cpu_before;
  return {{"seconds", seconds}, {"cpu", cpu}, {"peak_mib", peak_mib()}};
}

// Stacks from malloc for one worker too: they touch fewer pages than the pool's. Neither have
// guards: protected_fixedsize_stack's do, and cost a system call and a mapping each.
figures parked_memory(const call& of) {
  const std::int64_t n = of["n"];
  require_stacks(n);
  world w(of.workers());
  pool.reset();
  return w.run([n] {
    bench::memory before, after;
    const double seconds = timed([&] {
      before = bench::memory_now();
      event go_on;
      wait_group ended(n);
      std::atomic<std::int64_t> arrived{0};  // the fibers count, the first reads
      for (std::int64_t i = 0; i < n; ++i)
        ended.go([&] {
          arrived.fetch_add(1, std::memory_order_relaxed);
          go_on.wait();
        });
      // The last to arrive may not have parked yet: one in n.
      while (arrived.load(std::memory_order_relaxed) != n) boost::this_fiber::yield();
      after = bench::memory_now();
      go_on.set();
      ended.wait();
    });
    const std::int64_t bytes = after.resident_bytes - before.resident_bytes +
                               after.page_table_bytes - before.page_table_bytes;
    return figures{{"bytes_each", static_cast<double>(bytes) / static_cast<double>(n)},
                   {"mappings", static_cast<double>(after.mappings)},
                   {"guard_pages", 0},
                   {"seconds", seconds}};
  });
}

std::int64_t now_ns() { return bench::clock::now().time_since_epoch().count(); }

void spin_until(std::int64_t time) {
  while (now_ns() < time) {
  }
}

// Wakes a waiter n times; returns the microseconds that each took. Runs in the waker, which never
// lets go of its worker once the waiter has the other one: an idle worker steals no fiber from
// behind another's dispatcher, so that the waiter must have come there before. No watchdog looks
// for busy workers here: the waker need not sleep now and then, as heddle's does.
std::vector<double> wake_often(std::int64_t n, std::int64_t every_ns) {
  buffered signal(2);  // holds one: the waker never waits
  std::vector<double> latencies;
  latencies.reserve(static_cast<std::size_t>(n));
  std::atomic<int> waiting_on{-1};     // a worker; the waiter writes, the waker reads
  std::atomic<std::int64_t> woken{0};  // the waiter counts, the waker reads
  fibers::fiber waiter = start([&] {
    for (std::int64_t at;;) {
      waiting_on.store(this_worker(), std::memory_order_relaxed);
      if (signal.pop(at) != success) break;
      latencies.push_back(static_cast<double>(now_ns() - at) * 1e-3);
      // (bf.1) release: latencies, and that the waiter is back; pairs with (bf.2).
      woken.fetch_add(1, std::memory_order_release);
    }
  });
  for (std::int64_t i = 0; i < n; ++i) {
    const auto is_elsewhere = [&] {
      const int worker = waiting_on.load(std::memory_order_relaxed);
      return worker != -1 && worker != this_worker();
    };
    while (!is_elsewhere()) boost::this_fiber::yield();
    spin_until(now_ns() + every_ns);
    signal.push(now_ns());
    // (bf.2) acquire: the waiter has noted this wake, (bf.1).
    while (woken.load(std::memory_order_acquire) != i + 1) {
    }
  }
  signal.close();
  waiter.join();
  return latencies;
}

figures wake_latency(const call& of) {
  world w(2);
  const auto found = w.run([&] { return wake_often(of["n"], of["every_us"] * 1'000); });
  double sum = 0;
  for (const double latency : found) sum += latency;
  figures result{{"seconds", sum * 1e-6}};
  for (const unsigned p : {1u, 10u, 25u, 50u, 75u, 90u, 99u})
    result.emplace_back("p" + std::to_string(p) + "_us", percentile(found, p));
  return result;
}

figures idle(const call& of) {
  const std::int64_t n = of["n"];
  world w(of.workers(), idle_worker::sleeps);
  return w.run([n] {
    event go_on;
    wait_group ended(n);
    for (std::int64_t i = 0; i < n; ++i) ended.go([&] { go_on.wait(); });
    boost::this_fiber::sleep_for(std::chrono::milliseconds(100));  // all wait
    const double cpu_before = bench::cpu_seconds();
    const double seconds = timed([] { boost::this_fiber::sleep_for(std::chrono::seconds(1)); });
    const double cpu_ms = (bench::cpu_seconds() - cpu_before) * 1e3 / seconds;
    go_on.set();
    ended.wait();
    return figures{{"cpu_ms", cpu_ms}, {"seconds", seconds}};
  });
}

}  // namespace

void register_waits() {
  register_case("sleepers", {"w", "n"}, sleepers);
  register_case("parked_memory", {"w", "n"}, parked_memory);
  register_case("wake_latency", {"every_us", "n"}, wake_latency);
  register_case("idle", {"w", "n"}, idle);
}

}  // namespace rival
