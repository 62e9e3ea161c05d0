// SPDX-License-Identifier: BSL-1.0
// clock_changes: trap 37: somebody sets the clock of the system while fibers and threads wait.
//   What waits until a time of system_clock follows it, forward and back; what waits by the steady
//   clock, or for a duration, does not notice. The program sees a system clock of its own: it
//   defines clock_gettime(), which the library and std's clocks call. Prints what is wrong; then
//   exit status 1.
#include <heddle/heddle.hpp>

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<std::int64_t> set_by_s{0};  // how far the system's clock was set

}  // namespace

extern "C" int clock_gettime(clockid_t which, timespec* now) noexcept {
  const long result = ::syscall(SYS_clock_gettime, which, now);
  if (which == CLOCK_REALTIME) now->tv_sec += set_by_s.load(std::memory_order_relaxed);
  return static_cast<int>(result);
}

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

/// What there is to wait for, for ever. The main thread makes it, and owns what is locked.
struct obstacles {
  obstacles() {
    mutex.lock();
    recursive.lock();
    shared.lock();
    for_readers.lock();
    full.send(0);
  }
  ~obstacles() {
    mutex.unlock();
    recursive.unlock();
    shared.unlock();
    for_readers.unlock();
  }
  heddle::channel<int> empty{}, full{1};
  heddle::timed_mutex mutex{};
  heddle::recursive_timed_mutex recursive{};
  heddle::shared_timed_mutex shared{}, for_readers{};
  heddle::mutex guard{};
  heddle::condition_variable condition{};
  heddle::condition_variable_any condition_any{};
  heddle::counting_semaphore<> permits{0};
  heddle::event event{};
  heddle::promise<int> promise{};
  heddle::shared_future<int> future = promise.get_future().share();
  std::stop_source stop{};
};

/// Everything that waits until a time point, or for a duration; each ends by its time only.
template <class When>
struct timed_wait {
  const char* name;
  void (*wait)(obstacles& o, When when);
};

template <class Clock>
constexpr timed_wait<std::chrono::time_point<Clock>> until[] = {
    {"sleep_until", [](obstacles&, auto at) { heddle::this_fiber::sleep_until(at); }},
    {"receive_until", [](obstacles& o, auto at) { (void)o.empty.receive_until(at); }},
    {"send_until", [](obstacles& o, auto at) { (void)o.full.send_until(1, at); }},
    {"select",
     [](obstacles& o, auto at) {
       heddle::select(heddle::on_receive(o.empty), heddle::on_timeout(at));
     }},
    {"timed_mutex", [](obstacles& o, auto at) { (void)o.mutex.try_lock_until(at); }},
    {"recursive_timed_mutex", [](obstacles& o, auto at) { (void)o.recursive.try_lock_until(at); }},
    {"shared_timed_mutex", [](obstacles& o, auto at) { (void)o.shared.try_lock_until(at); }},
    {"shared_timed_mutex, reader",
     [](obstacles& o, auto at) { (void)o.for_readers.try_lock_shared_until(at); }},
    {"condition_variable",
     [](obstacles& o, auto at) {
       std::unique_lock hold(o.guard);
       (void)o.condition.wait_until(hold, at, [] { return false; });
     }},
    {"condition_variable_any",
     [](obstacles& o, auto at) {
       std::unique_lock hold(o.guard);
       (void)o.condition_any.wait_until(hold, at, [] { return false; });
     }},
    {"condition_variable_any, token",
     [](obstacles& o, auto at) {
       std::unique_lock hold(o.guard);
       (void)o.condition_any.wait_until(hold, o.stop.get_token(), at, [] { return false; });
     }},
    {"counting_semaphore", [](obstacles& o, auto at) { (void)o.permits.try_acquire_until(at); }},
    {"event", [](obstacles& o, auto at) { (void)o.event.wait_until(at); }},
    {"future", [](obstacles& o, auto at) { (void)o.future.wait_until(at); }},
};

using duration = std::chrono::milliseconds;
constexpr timed_wait<duration> lasting[] = {
    {"sleep_for", [](obstacles&, auto d) { heddle::this_fiber::sleep_for(d); }},
    {"receive_for", [](obstacles& o, auto d) { (void)o.empty.receive_for(d); }},
    {"send_for", [](obstacles& o, auto d) { (void)o.full.send_for(1, d); }},
    {"select, duration",
     [](obstacles& o, auto d) {
       heddle::select(heddle::on_receive(o.empty), heddle::on_timeout(d));
     }},
    {"after", [](obstacles&, auto d) { heddle::after(d).receive(); }},
    {"ticker", [](obstacles&, auto d) { heddle::ticker(d).channel().receive(); }},
    {"timed_mutex, duration", [](obstacles& o, auto d) { (void)o.mutex.try_lock_for(d); }},
    {"shared_timed_mutex, reader, duration",
     [](obstacles& o, auto d) { (void)o.for_readers.try_lock_shared_for(d); }},
    {"condition_variable, duration",
     [](obstacles& o, auto d) {
       std::unique_lock hold(o.guard);
       (void)o.condition.wait_for(hold, d, [] { return false; });
     }},
    {"condition_variable_any, duration",
     [](obstacles& o, auto d) {
       std::unique_lock hold(o.guard);
       (void)o.condition_any.wait_for(hold, d, [] { return false; });
     }},
    {"counting_semaphore, duration",
     [](obstacles& o, auto d) { (void)o.permits.try_acquire_for(d); }},
    {"event, duration", [](obstacles& o, auto d) { (void)o.event.wait_for(d); }},
    {"future, duration", [](obstacles& o, auto d) { (void)o.future.wait_for(d); }},
};

struct waiter {
  std::string name;
  std::function<void(obstacles&)> wait;
  obstacles things{};
  std::atomic<bool> over{false};
};

/// Many that wait, each as a fiber and as a thread, each for things of its own.
class waiters {
 public:
  explicit waiters(heddle::runtime& rt) : rt_(rt) {}
  waiters(const waiters&) = delete;
  waiters& operator=(const waiters&) = delete;
  ~waiters() {
    all_fibers_.wait();
    for (auto& each : threads_) each.join();
  }

  template <class Table, class When>
  void start(const Table& table, When when) {
    for (const auto& each : table) {
      const auto start = [&](const char* as) -> waiter& {
        auto& w = *waiters_.emplace_back(std::make_unique<waiter>());
        w.name = std::string(each.name) + as;
        w.wait = [wait = each.wait, when](obstacles& o) { wait(o, when); };
        return w;
      };
      waiter& fiber = start(", a fiber");
      all_fibers_.add();
      rt_.go([this, &fiber] {
        run(fiber);
        all_fibers_.done();
      });
      waiter& thread = start(", a thread");
      threads_.emplace_back([&thread] { run(thread); });
    }
  }

  std::vector<std::string> those_that_are_over(bool over) const {
    std::vector<std::string> names;
    for (const auto& w : waiters_) {
      if (w->over.load() == over) names.push_back(w->name);
    }
    return names;
  }

 private:
  static void run(waiter& w) {
    w.wait(w.things);
    w.over = true;
  }

  heddle::runtime& rt_;
  std::vector<std::unique_ptr<waiter>> waiters_;
  heddle::wait_group all_fibers_;
  std::vector<std::thread> threads_;
};

int wrong = 0;

void expect_none(const std::vector<std::string>& names, const char* what) {
  for (const auto& name : names) {
    std::fprintf(stderr, "clock_changes: %s: %s\n", name.c_str(), what);
    ++wrong;
  }
}

/// In real time, whatever the system's clock says.
void expect_all_over(const waiters& w, const char* what) {
  const auto give_up = steady_clock::now() + 10s;
  while (!w.those_that_are_over(false).empty() && steady_clock::now() < give_up) {
    std::this_thread::sleep_for(1ms);
  }
  expect_none(w.those_that_are_over(false), what);
}

constexpr std::int64_t two_hours_s = 7'200;

void set_forward(heddle::runtime& rt) {
  set_by_s = 0;
  // The clock is set meanwhile: they end after their time, and not at once.
  constexpr auto limit = 600ms;
  waiters steady(rt);
  const auto start = steady_clock::now();
  steady.start(until<steady_clock>, start + limit);
  steady.start(lasting, duration(limit));
  {
    waiters system(rt);
    system.start(until<system_clock>, system_clock::now() + 1h);
    std::this_thread::sleep_for(60ms);
    expect_none(system.those_that_are_over(true), "ended before the clock was set");
    set_by_s = two_hours_s;
    expect_all_over(system, "did not follow a clock that was set forward");
    if (wrong != 0) std::_Exit(1);  // it would wait for an hour
  }
  const auto early = steady.those_that_are_over(true);
  if (steady_clock::now() < start + limit)
    expect_none(early, "followed a clock that is not its own");
  expect_all_over(steady, "did not end by the steady clock");
}

void set_back(heddle::runtime& rt) {
  constexpr auto limit = 300ms;
  for (bool in_time = false; !in_time;) {
    set_by_s = 0;
    waiters system(rt), steady(rt);
    const auto start = steady_clock::now();
    system.start(until<system_clock>, system_clock::now() + limit);
    steady.start(until<steady_clock>, steady_clock::now() + limit);
    steady.start(lasting, duration(limit));
    set_by_s = -two_hours_s;
    in_time = steady_clock::now() < start + limit;  // or the machine is busy: again
    expect_all_over(steady, "waits longer, as a clock that is not its own was set back");
    if (in_time) {
      std::this_thread::sleep_for(heddle::detail::foreign_clock_slice);
      expect_none(system.those_that_are_over(true), "did not follow a clock that was set back");
    }
    set_by_s = two_hours_s;
    expect_all_over(system, "did not follow a clock that was set back, and forward");
    if (wrong != 0) std::_Exit(1);
  }
}

}  // namespace

int main() {
  for (const unsigned workers : {1u, 2u, 8u}) {
    heddle::runtime rt({.workers = workers});
    set_forward(rt);
    set_back(rt);
  }
  if (wrong == 0) std::puts("all waits follow their own clocks");
  return wrong == 0 ? 0 : 1;
}
