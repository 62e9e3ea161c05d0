// SPDX-License-Identifier: BSL-1.0
// cancellation_points: every one that there is, as a table: tests go through it.
#pragma once

#include "world.hpp"

#include <heddle/heddle.hpp>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace heddle_test {

/// Something to wait for, for ever.
struct obstacles {
  obstacles() {
    full.send(1);
    group.add();
  }
  ~obstacles() { group.done(); }

  heddle::channel<int> empty, full{1}, room{1}, unbuffered, nil{nullptr};
  heddle::wait_group group;
  heddle::mutex mutex;
  heddle::condition_variable condition;
  heddle::condition_variable_any condition_any;
  heddle::counting_semaphore<> permits{0};
  heddle::latch latch{1};
  heddle::event event;
  heddle::exchanger<int> exchanger;
  heddle::promise<int> promise;
  heddle::future<int> future = promise.get_future();
};

struct point {
  std::string name;
  std::function<void(obstacles&)> wait;
  bool sleeps = true;  // false: it never waits, only looks
};

/// Each waits for ever.
inline const std::vector<point>& points() {
  static const auto* all = new std::vector<point>{
      {"check_cancel", [](obstacles&) { heddle::this_fiber::check_cancel(); }, false},
      {"sleep_for", [](obstacles&) { heddle::this_fiber::sleep_for(1h); }},
      {"sleep_for zero", [](obstacles&) { heddle::this_fiber::sleep_for(0s); }, false},
      {"sleep_until",
       [](obstacles&) { heddle::this_fiber::sleep_until(heddle::clock::now() + 1h); }},
      {"sleep_until the past",
       [](obstacles&) { heddle::this_fiber::sleep_until(heddle::clock::time_point{}); }, false},
      {"sleep_until system_clock",
       [](obstacles&) { heddle::this_fiber::sleep_until(std::chrono::system_clock::now() + 1h); }},
      {"join",
       [](obstacles& o) {
         std::atomic<bool> over{false};
         heddle::fiber f([&, from = o.empty]() mutable {
           while (!over) heddle::this_fiber::yield();
         });
         try {
           f.join();
         } catch (...) {
           EXPECT_TRUE(f.joinable()) << "it was not joined";
           over = true;
           throw;
         }
       }},
      {"receive", [](obstacles& o) { o.empty.receive(); }},
      {"receive from nil", [](obstacles& o) { o.nil.receive(); }},
      {"receive_for", [](obstacles& o) { (void)o.empty.receive_for(1h); }},
      {"receive_until",
       [](obstacles& o) { (void)o.empty.receive_until(heddle::clock::now() + 1h); }},
      {"range-for over a channel",
       [](obstacles& o) {
         for (const int each : o.empty) FAIL() << each;
       }},
      {"send, full", [](obstacles& o) { o.full.send(2); }},
      {"send, unbuffered", [](obstacles& o) { o.unbuffered.send(2); }},
      {"send to nil", [](obstacles& o) { o.nil.send(2); }},
      {"send_for", [](obstacles& o) { (void)o.full.send_for(2, 1h); }},
      {"wait_group::wait", [](obstacles& o) { o.group.wait(); }},
      {"condition_variable::wait",
       [](obstacles& o) {
         std::unique_lock lock(o.mutex);
         try {
           o.condition.wait(lock);
         } catch (const heddle::cancelled&) {
           EXPECT_TRUE(lock.owns_lock());
           EXPECT_FALSE(o.mutex.try_lock()) << "it must be held again";
           throw;
         }
       }},
      {"condition_variable::wait, predicate",
       [](obstacles& o) {
         std::unique_lock lock(o.mutex);
         o.condition.wait(lock, [] { return false; });
       }},
      {"condition_variable::wait_for",
       [](obstacles& o) {
         std::unique_lock lock(o.mutex);
         (void)o.condition.wait_for(lock, 1h);
       }},
      {"condition_variable_any::wait",
       [](obstacles& o) {
         std::unique_lock lock(o.mutex);
         try {
           o.condition_any.wait(lock);
         } catch (const heddle::cancelled&) {
           EXPECT_TRUE(lock.owns_lock());
           EXPECT_FALSE(o.mutex.try_lock()) << "it must be held again";
           throw;
         }
       }},
      {"condition_variable_any::wait, token",
       [](obstacles& o) {
         std::unique_lock lock(o.mutex);
         (void)o.condition_any.wait(lock, heddle::this_fiber::get_stop_token(),
                                    [] { return false; });
       }},
      {"counting_semaphore::acquire", [](obstacles& o) { o.permits.acquire(); }},
      {"counting_semaphore::acquire, token",
       [](obstacles& o) { (void)o.permits.acquire(heddle::this_fiber::get_stop_token()); }},
      {"counting_semaphore::try_acquire_for",
       [](obstacles& o) { (void)o.permits.try_acquire_for(1h); }},
      {"latch::wait", [](obstacles& o) { o.latch.wait(); }},
      {"event::wait", [](obstacles& o) { o.event.wait(); }},
      {"event::wait_for", [](obstacles& o) { (void)o.event.wait_for(1h); }},
      {"exchanger::exchange", [](obstacles& o) { (void)o.exchanger.exchange(1); }},
      {"future::get", [](obstacles& o) { (void)o.future.get(); }},
      {"future::wait", [](obstacles& o) { o.future.wait(); }},
      {"future::wait_for", [](obstacles& o) { (void)o.future.wait_for(1h); }},
      {"select",
       [](obstacles& o) {
         heddle::select(heddle::on_receive(o.empty), heddle::on_send(o.full, 2),
                        heddle::on_send(o.unbuffered, 2), heddle::on_receive(o.unbuffered));
       }},
      {"select, with a timeout and its own token",
       [](obstacles& o) {
         heddle::select(heddle::on_receive(o.empty), heddle::on_timeout(1h),
                        heddle::on_stop(heddle::this_fiber::get_stop_token()));
       }},
      {"select over nothing", [](obstacles&) { heddle::select(std::span<heddle::select_case>{}); }},
      {"task_group::wait",
       [](obstacles&) {
         heddle::task_group children;
         children.spawn([] { heddle::this_fiber::sleep_for(1h); });
         children.wait();
       }},
      {"task_group::spawn, full",
       [](obstacles&) {
         heddle::task_group children(1);
         children.spawn([] { heddle::this_fiber::sleep_for(1h); });
         children.spawn([] { FAIL(); });
       }},
      {"gather", [](obstacles&) { heddle::gather([] { heddle::this_fiber::sleep_for(1h); }); }},
      {"race", [](obstacles&) { heddle::race([] { heddle::this_fiber::sleep_for(1h); }); }},
      {"blocking", [](obstacles&) { heddle::blocking([] {}); }, false},
  };
  return *all;
}

/// What could be done at once: they throw all the same.
inline const std::vector<point>& points_that_need_not_wait() {
  static const auto* all = new std::vector<point>{
      {"receive", [](obstacles& o) { o.full.receive(); }},
      {"receive_for", [](obstacles& o) { (void)o.full.receive_for(1h); }},
      {"send", [](obstacles& o) { o.room.send(1); }},
      {"wait_group::wait", [](obstacles&) { heddle::wait_group().wait(); }},
      {"counting_semaphore::acquire",
       [](obstacles&) { heddle::counting_semaphore<>(1).acquire(); }},
      {"latch::wait", [](obstacles&) { heddle::latch(0).wait(); }},
      {"event::wait, set",
       [](obstacles&) {
         heddle::event set;
         set.set();
         set.wait();
       }},
      {"future::get, ready",
       [](obstacles&) {
         heddle::promise<void> kept;
         kept.set_value();
         kept.get_future().get();
       }},
      {"select", [](obstacles& o) { heddle::select(heddle::on_send(o.room, 1)); }},
      {"task_group::wait, empty", [](obstacles&) { heddle::task_group().wait(); }},
      {"latch::arrive_and_wait", [](obstacles& o) { o.latch.arrive_and_wait(); }},
      {"condition_variable::wait, true predicate",
       [](obstacles& o) {
         std::unique_lock lock(o.mutex);
         o.condition.wait(lock, [] { return true; });
       }},
      {"join",
       [](obstacles&) {
         heddle::fiber f([] {});
         f.join();
       }},
  };
  return *all;
}

/// Whether `f` throws heddle::cancelled, for `why`.
template <class F>
bool throws_cancelled(F&& f, heddle::cancel_reason why = heddle::cancel_reason::requested) {
  try {
    f();
  } catch (const heddle::cancelled& c) {
    EXPECT_EQ(c.reason(), why);
    return true;
  }
  return false;
}

/// Expects that nothing is left of a wait at `o` that had no effect.
inline void expect_undisturbed(obstacles& o, const std::string& by) {
  EXPECT_EQ(o.full.size(), 1u) << by;
  EXPECT_EQ(o.room.size(), 0u) << by;
  EXPECT_EQ(o.empty.try_send(1), heddle::channel_status::full) << by;
  EXPECT_FALSE(o.unbuffered.try_receive()) << by;
  EXPECT_TRUE(o.mutex.try_lock()) << by;
  o.mutex.unlock();
  EXPECT_FALSE(o.latch.try_wait()) << by;
  EXPECT_FALSE(o.permits.try_acquire()) << by;
  EXPECT_TRUE(o.future.valid()) << by;
  EXPECT_FALSE(o.event.is_set()) << by;
}

}  // namespace heddle_test
