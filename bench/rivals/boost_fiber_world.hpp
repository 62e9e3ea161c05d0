// SPDX-License-Identifier: BSL-1.0
// boost_fiber_world: the threads, schedulers and stacks of the rival boost_fiber, and what it waits
// with. One worker: round_robin, the default scheduler, and a pool of stacks. Two workers:
// work_stealing on two threads, as in the library's own performance programs, and stacks from
// malloc, the default: the pool may be used by one thread only.
#pragma once

#include <boost/fiber/all.hpp>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "rival.hpp"

namespace rival {

namespace fibers = boost::fibers;
using fibers::launch;
using buffered = fibers::buffered_channel<std::int64_t>;
constexpr auto success = fibers::channel_op_status::success;

// Which worker runs this. Not inline: a fiber may go on in another thread, and the compiler would
// keep the address of the first one's variable.
inline thread_local int worker_of_thread = 0;
[[gnu::noinline]] inline int this_worker() {
  asm volatile("" ::: "memory");
  return worker_of_thread;
}

// The stacks of one worker's fibers; none while there are two.
inline std::optional<fibers::pooled_fixedsize_stack> pool;

// What an idle worker of two does: the scheduler's option `suspend`. One that sleeps is not woken
// when fibers become ready on the other worker: from then on it steals nothing. So it spins, which
// is the default too, except where the processor time of waiting is measured.
enum class idle_worker { spins, sleeps };

class world {
 public:
  explicit world(unsigned workers, idle_worker when_idle = idle_worker::spins) {
    require_cores(workers);
    if (workers == 1) {
      // At most 1,024 stacks more at a time. By default it doubles: it touches stacks that nobody
      // needs, and for a million it asks malloc for 64 GiB at once.
      pool.emplace(fibers::pooled_fixedsize_stack::traits_type::default_size(), 32, 1'024);
      return;
    }
    const auto steal = [workers, when_idle] {
      fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(
          workers, when_idle == idle_worker::sleeps);
    };
    for (unsigned i = 1; i < workers; ++i)
      threads_.emplace_back([this, steal, i] {
        worker_of_thread = static_cast<int>(i);
        steal();
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return over_; });
      });
    steal();  // waits for the others
  }
  ~world() {
    {
      const std::scoped_lock lock(mutex_);
      over_ = true;
    }
    ended_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    pool.reset();
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  // Runs `body` in a fiber and returns its result.
  template <class Fn>
  auto run(Fn&& body) {
    return fibers::async(launch::post, std::forward<Fn>(body)).get();
  }

 private:
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  fibers::condition_variable_any ended_;
  bool over_ = false;  // guarded by mutex_
};

// Where memory ends the process does too: who has fibers already cannot unwind beneath them.
// launch::post, the default, queues the new fiber; with launch::dispatch it runs at once, and its
// parent is queued. post here, but where a comment says why not.
template <class Fn>
fibers::fiber start(Fn&& f, launch how = launch::post) {
  try {
    if (pool) return fibers::fiber(how, std::allocator_arg, *pool, std::forward<Fn>(f));
    return fibers::fiber(how, std::forward<Fn>(f));
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "boost_fiber: no memory for the stack of one more fiber\n");
    std::_Exit(1);
  }
}

// For one event that many wait for.
class event {
 public:
  void set() {
    // Notified under the lock: the waiter may destroy this as soon as it has it.
    const std::scoped_lock lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return set_; });
  }

 private:
  fibers::mutex mutex_;
  fibers::condition_variable changed_;
  bool set_ = false;  // guarded by mutex_
};

// For the end of `n` fibers, which are detached: a fiber's stack goes back when it ends, where a
// vector of fibers to join would keep them all. The library's barrier would keep each fiber too.
class wait_group {
 public:
  explicit wait_group(std::int64_t n) : left_(n) {}
  template <class Fn>
  void go(Fn&& f, launch how = launch::post) {
    auto task = [this, f = std::forward<Fn>(f)]() mutable {
      f();
      // acq_rel, with itself: the last one hands on what all others did.
      if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) zero_.set();
    };
    start(std::move(task), how).detach();
  }
  void wait() { zero_.wait(); }

 private:
  std::atomic<std::int64_t> left_;
  event zero_;
};

// For n fibers at once. Each touches three pages, two of its stack and the allocator's word below,
// and its share of the page tables.
inline void require_stacks(std::int64_t n) { require_memory(n * (3 * 4096 + 512)); }

}  // namespace rival
