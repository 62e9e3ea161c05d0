// SPDX-License-Identifier: BSL-1.0
// tbb: oneTBB's tasks, for what starts tasks and waits for their end. They are stackless: a task
// runs from begin to end, so there are no channels, no sleep, no yield and no lock that parks.
// (tbb::task::suspend gives a thread's whole stack away; oneTBB builds nothing of these on it.)
// `w` is the size of a task_arena; the calling thread is one of its threads.
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_invoke.h>
#include <oneapi/tbb/spin_mutex.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/version.h>

#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>

#include "rival.hpp"

namespace rival {
namespace {

namespace tbb = oneapi::tbb;

// Runs `body` in an arena of `workers` threads and returns its result.
template <class Fn>
auto run_in_arena(unsigned workers, Fn&& body) {
  require_cores(workers);
  tbb::task_arena arena(static_cast<int>(workers));
  return arena.execute(body);
}

figures spawn_join(const call& of) {
  const std::int64_t n = of["n"];
  return run_in_arena(of.workers(), [&] {
    return measure(of, n, [n] {
      tbb::task_group group;
      return timed([&] {
        for (std::int64_t i = 0; i < n; ++i) {
          group.run([] {});
          group.wait();
        }
      });
    });
  });
}

figures spawn_batch(const call& of) {
  const std::int64_t n = of["n"];
  figures found = run_in_arena(of.workers(), [n] {
    return measure_times(5, n, [n] {
      return timed([n] {
        tbb::task_group group;
        for (std::int64_t i = 0; i < n; ++i) group.run([] {});
        group.wait();
      });
    });
  });
  found.emplace_back("peak_mib", peak_mib());
  return found;
}

// spin_mutex: for two workers the fastest of it, tbb::mutex and std::mutex; for one a nanosecond
// behind the last. A task that waits for it keeps its worker.
figures contend(const call& of) {
  const std::int64_t tasks = of["tasks"], times = of["times"];
  tbb::spin_mutex mutex;
  std::int64_t counter = 0, expected = 0;  // counter: guarded by mutex
  const figures found = run_in_arena(of.workers(), [&] {
    return measure(of, tasks * times, [&] {
      expected += tasks * times;
      return timed([&] {
        tbb::task_group group;
        for (std::int64_t i = 0; i < tasks; ++i)
          group.run([&] {
            for (std::int64_t k = 0; k < times; ++k) {
              const std::scoped_lock lock(mutex);
              ++counter;
            }
          });
        group.wait();
      });
    });
  });
  if (counter != expected) throw std::logic_error("an increment was lost");
  return found;
}

std::int64_t fib(std::int64_t n) {
  if (n < 2) return n;
  std::int64_t one = 0, other = 0;
  tbb::parallel_invoke([&] { one = fib(n - 1); }, [&] { other = fib(n - 2); });
  return one + other;
}

figures fib_tree(const call& of) {
  const std::int64_t n = of["n"];
  const fibonacci expected(n);
  return run_in_arena(of.workers(), [&] {
    return measure(of, expected.tasks, [&] {
      std::int64_t result = 0;
      const double seconds = timed([&] { result = fib(n); });
      if (result != expected.value) throw std::logic_error("fib: wrong number");
      return seconds;
    });
  });
}

double split(unsigned workers, std::int64_t chunks) {
  return run_in_arena(workers, [chunks] {
    const auto all = [](std::int64_t n) {
      tbb::parallel_for(std::int64_t{0}, n, [](std::int64_t) { work(); });
    };
    all(chunks / 10);
    return timed([&] { all(chunks); });
  });
}

figures scaling(const call& of) { return speed_up(of, &split); }

void register_all() {
  register_case("spawn_join", {"w", "n"}, spawn_join);
  register_case("spawn_batch", {"w", "n"}, spawn_batch);
  register_case("mutex", {"w", "tasks", "times"}, contend);
  register_case("fib", {"w", "n"}, fib_tree);
  register_case("scaling", {"n"}, scaling);
  register_lack({"chan_pingpong", "chan_buffered", "skynet", "sieve"},
                "channels, which oneTBB has not for tasks");
  register_lack({"select"}, "channels and a select, which oneTBB has not for tasks");
  register_lack({"switch", "yield_many", "mutex_yield"}, "tasks that yield: oneTBB's do not");
  register_lack({"sleepers"}, "tasks that sleep: oneTBB's do not");
  register_lack({"parked_memory", "wake_latency", "idle"}, "tasks that wait: oneTBB's do not");
}

}  // namespace
}  // namespace rival

int main(int argc, char** argv) {
  rival::register_all();
  return rival::rival_main(
      argc, argv,
      "oneTBB " + std::to_string(TBB_VERSION_MAJOR) + "." + std::to_string(TBB_VERSION_MINOR));
}
