// SPDX-License-Identifier: BSL-1.0
// boost_fiber: Boost.Fiber's fibers, which have stacks as heddle's have. How they are scheduled
// says boost_fiber_world.hpp. Those cases that measure waiting are in boost_fiber_waits.cpp.
#include <boost/fiber/all.hpp>
#include <boost/version.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "boost_fiber_world.hpp"

namespace rival {

void register_waits();  // boost_fiber_waits.cpp

namespace {

using unbuffered = fibers::unbuffered_channel<std::int64_t>;

// What the documentation has for fibers in a row: a vector of them, joined.
void join_all(std::vector<fibers::fiber>& all) {
  for (fibers::fiber& one : all) one.join();
  all.clear();
}

// One of two fibers that yield to each other. Now and then it notes on which worker it is, and
// whether the other one is there too.
struct party {
  std::atomic<int> worker{0};  // this party writes, the other one reads
  int samples = 0, together = 0;

  void run(const party& other, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += 2) {
      if (i % 64 == 0) {
        worker.store(this_worker(), std::memory_order_relaxed);
        ++samples;
        together += other.worker.load(std::memory_order_relaxed) == this_worker();
      }
      boost::this_fiber::yield();
    }
  }
};

// With two workers each may come to have one of the two, which then yields to nobody: such a pass
// does not count, as in bench/switch.cpp. `switched` is the share of the time that both were on
// one.
figures switches(const call& of) {
  world w(of.workers());
  const std::int64_t n = of["n"];
  double switched = 0;
  figures found = w.run([&] {
    return measure(of, n, [&] {
      for (int again = 0;; ++again) {
        party one, two;
        const double spent = timed([&] {
          fibers::fiber a = start([&] { one.run(two, n); });
          fibers::fiber b = start([&] { two.run(one, n); });
          a.join();
          b.join();
        });
        switched = static_cast<double>(one.together + two.together) / (one.samples + two.samples);
        if (switched >= 0.9 || again == 100) return spent;
      }
    });
  });
  found.emplace_back("switched", switched);
  return found;
}

// Not launch::dispatch: each new fiber would run the others for a round, and the first would have
// ended before a hundred are there.
figures yield_many(const call& of) {
  world w(of.workers());
  const std::int64_t n = of["n"], yields = of["yields"];
  return w.run([&] {
    return measure(of, n * yields, [n, yields] {
      return timed([n, yields] {
        wait_group ended(n);
        for (std::int64_t i = 0; i < n; ++i)
          ended.go([yields] {
            for (std::int64_t k = 0; k < yields; ++k) boost::this_fiber::yield();
          });
        ended.wait();
      });
    });
  });
}

figures chan_pingpong(const call& of) {
  world w(of.workers());
  const std::int64_t trips = of["n"];
  return w.run([&] {
    return measure(of, trips, [trips] {
      unbuffered there, back;
      fibers::fiber echo = start([&] {
        for (std::int64_t value; there.pop(value) == success;) back.push(value);
      });
      std::int64_t sum = 0;
      const auto trip = [&](std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) {
          there.push(i);
          sum += back.value_pop();
        }
      };
      trip(trips / 10);
      sum = 0;
      const double seconds = timed([&] { trip(trips); });
      there.close();
      echo.join();
      if (sum != trips * (trips - 1) / 2) throw std::logic_error("chan_pingpong: wrong sum");
      return seconds;
    });
  });
}

// A buffered channel's capacity must be a power of two, and it holds one value less: 127.
figures chan_buffered(const call& of) {
  world w(of.workers());
  const std::int64_t ends = of["ends"], each = of["n"] / ends;
  figures found = w.run([&] {
    return measure(of, of["n"], [ends, each] {
      buffered channel(128);
      std::vector<fibers::fiber> senders, receivers;
      std::deque<std::int64_t> sums(static_cast<std::size_t>(ends));
      const double seconds = timed([&] {
        for (std::int64_t& sum : sums)
          receivers.push_back(start([&channel, &sum] {
            std::int64_t mine = 0;
            for (std::int64_t value; channel.pop(value) == success;) mine += value;
            sum = mine;
          }));
        for (std::int64_t i = 0; i < ends; ++i)
          senders.push_back(start([&channel, each] {
            for (std::int64_t value = 0; value < each; ++value) channel.push(value);
          }));
        join_all(senders);
        channel.close();
        join_all(receivers);
      });
      std::int64_t sum = 0;
      for (const std::int64_t one : sums) sum += one;
      if (sum != ends * (each * (each - 1) / 2)) throw std::logic_error("chan_buffered: wrong sum");
      return seconds;
    });
  });
  found.emplace_back("million_per_s", 1e3 / figure(found, "ns"));
  return found;
}

// launch::dispatch saves the way to the scheduler and back.
figures spawn_join(const call& of) {
  world w(of.workers());
  const std::int64_t n = of["n"];
  return w.run([&] {
    return measure(of, n, [n] {
      return timed([n] {
        for (std::int64_t i = 0; i < n; ++i) start([] {}, launch::dispatch).join();
      });
    });
  });
}

// With launch::dispatch, a task has ended before the next one starts, and its stack serves again.
// Queued, a million stacks would be touched: several times as slow, and in 12 GiB.
figures spawn_batch(const call& of) {
  world w(of.workers());
  const std::int64_t n = of["n"];
  figures found = w.run([n] {
    return measure_times(5, n, [n] {
      return timed([n] {
        wait_group ended(n);
        for (std::int64_t i = 0; i < n; ++i) ended.go([] {}, launch::dispatch);
        ended.wait();
      });
    });
  });
  found.emplace_back("peak_mib", peak_mib());
  return found;
}

// Sends to `parent` the sum of the leaves [first, first + leaves).
void grow(unbuffered& parent, std::int64_t first, std::int64_t leaves) {
  constexpr std::int64_t fan_out = 10;
  if (leaves == 1) {
    parent.push(first);
    return;
  }
  unbuffered children;
  std::vector<fibers::fiber> all;
  const std::int64_t each = leaves / fan_out;
  for (std::int64_t i = 0; i < fan_out; ++i)
    all.push_back(start([&, i] { grow(children, first + i * each, each); }));
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < fan_out; ++i) sum += children.value_pop();
  parent.push(sum);
  join_all(all);
}

figures skynet(const call& of) {
  const std::int64_t leaves = of["n"];
  require_stacks(leaves + leaves / 9);  // leaves, and the tree above them
  world w(of.workers());
  figures found = w.run([leaves] {
    return measure_times(3, leaves, [leaves] {
      std::int64_t sum = 0;
      const double seconds = timed([&] {
        unbuffered result;
        fibers::fiber root = start([&] { grow(result, 0, leaves); });
        sum = result.value_pop();
        root.join();
      });
      if (sum != leaves * (leaves - 1) / 2) throw std::logic_error("skynet: wrong sum");
      return seconds;
    });
  });
  found.emplace_back("peak_mib", peak_mib());
  return found;
}

template <bool YieldInside>
figures contend(const call& of) {
  world w(of.workers());
  const std::int64_t tasks = of["tasks"], times = of["times"];
  fibers::mutex mutex;
  std::int64_t counter = 0, expected = 0;  // counter: guarded by mutex
  const figures found = w.run([&] {
    return measure(of, tasks * times, [&] {
      expected += tasks * times;
      return timed([&] {
        std::vector<fibers::fiber> all;
        for (std::int64_t i = 0; i < tasks; ++i)
          all.push_back(start([&] {
            for (std::int64_t k = 0; k < times; ++k) {
              const std::scoped_lock lock(mutex);
              ++counter;
              if constexpr (YieldInside) boost::this_fiber::yield();
            }
          }));
        join_all(all);
      });
    });
  });
  if (counter != expected) throw std::logic_error("an increment was lost");
  return found;
}

std::int64_t fib(std::int64_t n) {
  if (n < 2) return n;
  std::int64_t one = 0;
  fibers::fiber task = start([&one, n] { one = fib(n - 1); });
  const std::int64_t other = fib(n - 2);
  task.join();
  return one + other;
}

figures fib_tree(const call& of) {
  const std::int64_t n = of["n"];
  const fibonacci expected(n);
  require_stacks(expected.tasks / 2);  // as many are alive at once, about
  world w(of.workers());
  return w.run([&] {
    return measure(of, expected.tasks, [&] {
      std::int64_t result = 0;
      const double seconds = timed([&] { result = fib(n); });
      if (result != expected.value) throw std::logic_error("fib: wrong number");
      return seconds;
    });
  });
}

// The clock stops at the last prime. Then the generator ends, and each filter closes after the one
// before it: a channel of this library may be closed by its sender only, for a push that is under
// way meanwhile can miss the close and wait for ever.
double sieve_once(std::int64_t n, std::int64_t expected) {
  wait_group ended(n);
  std::deque<unbuffered> chain(1);
  std::atomic<bool> enough{false};  // the first writes, the generator reads
  std::int64_t last = 0;
  const double seconds = timed([&] {
    ended.go([&out = chain[0], &enough] {
      for (std::int64_t i = 2; !enough.load(std::memory_order_relaxed); ++i) out.push(i);
      out.close();
    });
    for (std::int64_t i = 0; i < n; ++i) {
      last = chain.back().value_pop();
      if (i + 1 == n) break;
      unbuffered& in = chain.back();
      ended.go([&in, &out = chain.emplace_back(), prime = last] {
        for (std::int64_t value; in.pop(value) == success;)
          if (value % prime != 0) out.push(value);
        out.close();
      });
    }
  });
  enough.store(true, std::memory_order_relaxed);
  for (std::int64_t value; chain.back().pop(value) == success;) keep(value);
  ended.wait();
  if (last != expected) throw std::logic_error("sieve: wrong prime");
  return seconds;
}

figures sieve(const call& of) {
  world w(of.workers());
  const std::int64_t n = of["n"];
  return w.run([&] {
    return measure(of, n, [n, expected = nth_prime(n)] { return sieve_once(n, expected); });
  });
}

double split(unsigned workers, std::int64_t chunks) {
  world w(workers);
  return w.run([chunks] {
    const auto all = [](std::int64_t n) {
      wait_group ended(n);
      for (std::int64_t i = 0; i < n; ++i) ended.go(work);
      ended.wait();
    };
    all(chunks / 10);
    return timed([&] { all(chunks); });
  });
}

figures scaling(const call& of) { return speed_up(of, &split); }

void register_all() {
  register_waits();
  register_case("switch", {"w", "n"}, switches);
  register_case("yield_many", {"w", "n", "yields"}, yield_many);
  register_case("chan_pingpong", {"w", "n"}, chan_pingpong);
  register_case("chan_buffered", {"w", "ends", "n"}, chan_buffered);
  register_lack({"select"}, "a select, which Boost.Fiber has not");
  register_case("spawn_join", {"w", "n"}, spawn_join);
  register_case("spawn_batch", {"w", "n"}, spawn_batch);
  register_case("skynet", {"w", "n"}, skynet);
  register_case("mutex", {"w", "tasks", "times"}, contend<false>);
  register_case("mutex_yield", {"w", "tasks", "times"}, contend<true>);
  register_case("fib", {"w", "n"}, fib_tree);
  register_case("sieve", {"w", "n"}, sieve);
  register_case("scaling", {"n"}, scaling);
}

}  // namespace
}  // namespace rival

int main(int argc, char** argv) {
  rival::register_all();
  const int minor = BOOST_VERSION / 100 % 1000;
  return rival::rival_main(
      argc, argv,
      "Boost.Fiber " + std::to_string(BOOST_VERSION / 100'000) + "." + std::to_string(minor));
}
