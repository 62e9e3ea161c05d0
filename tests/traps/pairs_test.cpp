// SPDX-License-Identifier: BSL-1.0
// pairs: trap 26: whoever waits is woken by whomever: the main thread, another thread, a fiber, a
//   fiber of another runtime, each by each of them, by everything that there is to wait for.
#include "sync/crew.hpp"

#include <heddle/heddle.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

namespace {

using namespace heddle_test;

using wait_call = std::function<void()>;
/// Calls what it is given once, to return when the other sleeps in its wait; then ends that wait.
using wake_call = std::function<void(const std::function<void()>& until_asleep)>;

struct scene {
  wait_call wait;
  wake_call wake;
};
struct subject {
  const char* name;
  std::function<scene()> make;
};

/// Both work on a State of their own.
template <class State, class Wait, class Wake>
subject by(const char* name, Wait wait, Wake wake) {
  return {name, [wait, wake] {
            const auto state = std::make_shared<State>();
            return scene{
                [state, wait] { wait(*state); },
                [state, wake](const std::function<void()>& asleep) { wake(*state, asleep); }};
          }};
}

/// The waker owns it.
template <class Mutex, class Wait>
subject by_lock(const char* name, Wait wait) {
  return by<Mutex>(name, wait, [](auto& m, auto& asleep) {
    m.lock();
    asleep();
    m.unlock();
  });
}
template <class Mutex, class Wait>
subject by_shared_lock(const char* name, Wait wait) {
  return by<Mutex>(name, wait, [](auto& m, auto& asleep) {
    m.lock_shared();
    asleep();
    m.unlock_shared();
  });
}
constexpr auto locks = [](auto& m) { const std::lock_guard hold(m); };
constexpr auto locks_in_time = [](auto& m) { EXPECT_TRUE(std::unique_lock(m, 1h).owns_lock()); };
constexpr auto shares = [](auto& m) { const std::shared_lock hold(m); };
constexpr auto shares_in_time = [](auto& m) { EXPECT_TRUE(std::shared_lock(m, 1h).owns_lock()); };

/// Somebody waits, perhaps with a token until it is stopped. Made of `from`.
template <class T, int... from>
struct with_stop {
  T object{from...};
  std::stop_source stop{};
};

template <class Condition>
struct monitor {
  heddle::mutex m{};
  Condition changed{};
  bool ready = false;  // guarded by m
  std::stop_source stop{};

  void wait() {
    std::unique_lock hold(m);
    changed.wait(hold, [this] { return ready; });
  }
  void wait_in_time() {
    std::unique_lock hold(m);
    EXPECT_TRUE(changed.wait_for(hold, 1h, [this] { return ready; }));
  }
  void get_ready() {
    const std::lock_guard hold(m);
    ready = true;
  }
};
template <class Condition>
void add_condition(std::vector<subject>& all, const char* name, const char* timed) {
  all.push_back(by<monitor<Condition>>(
      name, [](auto& s) { s.wait(); },
      [](auto& s, auto& asleep) {
        asleep();
        s.get_ready();
        s.changed.notify_one();
      }));
  all.push_back(by<monitor<Condition>>(
      timed, [](auto& s) { s.wait_in_time(); },
      [](auto& s, auto& asleep) {
        asleep();
        s.get_ready();
        s.changed.notify_all();
      }));
}

using numbers = heddle::channel<int>;
struct full_channel : numbers {
  full_channel() : numbers(1) { EXPECT_TRUE(send(0)); }
};
struct two_channels {
  numbers never{}, c{};
};

struct pledge {
  heddle::promise<int> p{};
  heddle::shared_future<int> f = p.get_future().share();
};
struct task_pledge {
  heddle::packaged_task<int()> t{[] { return 1; }};
  heddle::future<int> f = t.get_future();
};

/// A fiber that waits for nothing, and ends once it may: that is what is waited for.
struct child_that_ends {
  std::atomic<bool> may_end{false};
  auto call() {
    return [this] {
      while (!may_end.load()) heddle::this_fiber::yield();
      return 1;
    };
  }
};
struct group_with_child : child_that_ends {
  heddle::task_group group{1u};
};
struct fiber_that_ends : child_that_ends {
  heddle::fiber f{};
};
struct async_call : child_that_ends {
  heddle::future<int> f{};
};
/// The waiter starts the child.
template <class Wait>
subject by_child(const char* name, Wait wait) {
  return by<child_that_ends>(
      name, [wait](auto& s) { wait(s.call()); },
      [](auto& s, auto& asleep) {
        asleep();
        s.may_end = true;
      });
}

const std::vector<subject>& subjects() {
  static const auto* const list = [] {
    auto* all = new std::vector<subject>{
        by_lock<heddle::mutex>("mutex", locks),
        by<with_stop<heddle::mutex>>(
            "mutex_with_a_token", [](auto& s) { EXPECT_FALSE(s.object.lock(s.stop.get_token())); },
            [](auto& s, auto& asleep) {
              s.object.lock();
              asleep();
              s.stop.request_stop();
              s.object.unlock();
            }),
        by_lock<heddle::timed_mutex>("timed_mutex", locks_in_time),
        by_lock<heddle::recursive_mutex>("recursive_mutex", locks),
        by_lock<heddle::recursive_timed_mutex>("recursive_timed_mutex", locks_in_time),
        by_lock<heddle::shared_mutex>("shared_mutex_writers", locks),
        by_lock<heddle::shared_mutex>("shared_mutex_reader_by_writer", shares),
        by_shared_lock<heddle::shared_mutex>("shared_mutex_writer_by_reader", locks),
        by_lock<heddle::shared_timed_mutex>("shared_timed_mutex_writers", locks_in_time),
        by_lock<heddle::shared_timed_mutex>("shared_timed_mutex_reader_by_writer", shares_in_time),
        by_shared_lock<heddle::shared_timed_mutex>("shared_timed_mutex_writer_by_reader",
                                                   locks_in_time),
        by<heddle::synchronized<int>>(
            "synchronized", [](auto& s) { EXPECT_EQ(*s.lock(), 1); },
            [](auto& s, auto& asleep) {
              const auto p = s.lock();
              asleep();
              *p = 1;
            }),
        by<heddle::once_flag>(
            "call_once",
            [](auto& flag) { heddle::call_once(flag, [] { ADD_FAILURE() << "called twice"; }); },
            [](auto& flag, auto& asleep) { heddle::call_once(flag, [&] { asleep(); }); }),
        by<with_stop<heddle::condition_variable_any>>(
            "condition_variable_any_with_a_token",
            [](auto& s) {
              heddle::mutex m;
              std::unique_lock hold(m);
              EXPECT_FALSE(s.object.wait(hold, s.stop.get_token(), [] { return false; }));
            },
            [](auto& s, auto& asleep) {
              asleep();
              s.stop.request_stop();
            }),
        by<with_stop<heddle::counting_semaphore<>, 0>>(
            "counting_semaphore", [](auto& s) { s.object.acquire(); },
            [](auto& s, auto& asleep) {
              asleep();
              s.object.release();
            }),
        by<with_stop<heddle::binary_semaphore, 0>>(
            "binary_semaphore_with_a_limit",
            [](auto& s) { EXPECT_TRUE(s.object.try_acquire_for(1h)); },
            [](auto& s, auto& asleep) {
              asleep();
              s.object.release();
            }),
        by<with_stop<heddle::counting_semaphore<>, 0>>(
            "counting_semaphore_with_a_token",
            [](auto& s) { EXPECT_FALSE(s.object.acquire(s.stop.get_token())); },
            [](auto& s, auto& asleep) {
              asleep();
              s.stop.request_stop();
            }),
        by<with_stop<heddle::latch, 1>>(
            "latch", [](auto& s) { s.object.wait(); },
            [](auto& s, auto& asleep) {
              asleep();
              s.object.count_down();
            }),
        by<with_stop<heddle::barrier<>, 2>>(
            "barrier", [](auto& s) { s.object.arrive_and_wait(); },
            [](auto& s, auto& asleep) {
              asleep();
              s.object.arrive_and_wait();
            }),
        by<heddle::wait_group>(
            "wait_group", [](auto& g) { g.wait(); },
            [](auto& g, auto& asleep) {
              g.add();
              asleep();
              g.done();
            }),
        by<heddle::event>(
            "event", [](auto& e) { e.wait(); },
            [](auto& e, auto& asleep) {
              asleep();
              e.set();
            }),
        by<heddle::event>(
            "event_with_a_limit", [](auto& e) { EXPECT_TRUE(e.wait_for(1h)); },
            [](auto& e, auto& asleep) {
              asleep();
              e.set();
              e.reset();
            }),
        by<heddle::exchanger<int>>(
            "exchanger", [](auto& e) { EXPECT_EQ(e.exchange(1), 2); },
            [](auto& e, auto& asleep) {
              asleep();
              EXPECT_EQ(e.exchange(2), 1);
            }),
        by<numbers>(
            "channel_receiver", [](auto& c) { EXPECT_EQ(c.receive(), 1); },
            [](auto& c, auto& asleep) {
              asleep();
              EXPECT_TRUE(c.send(1));
            }),
        by<numbers>(
            "channel_sender", [](auto& c) { EXPECT_TRUE(c.send(1)); },
            [](auto& c, auto& asleep) {
              asleep();
              EXPECT_EQ(c.receive(), 1);
            }),
        by<numbers>(
            "channel_receiver_with_a_limit", [](auto& c) { EXPECT_EQ(*c.receive_for(1h), 1); },
            [](auto& c, auto& asleep) {
              asleep();
              EXPECT_EQ(c.try_send(1), heddle::channel_status::ok);
            }),
        by<full_channel>(
            "full_channel_sender", [](auto& c) { EXPECT_TRUE(c.send(1)); },
            [](auto& c, auto& asleep) {
              asleep();
              EXPECT_EQ(c.receive(), 0);
            }),
        by<numbers>(
            "channel_receiver_by_close", [](auto& c) { EXPECT_EQ(c.receive(), std::nullopt); },
            [](auto& c, auto& asleep) {
              asleep();
              EXPECT_TRUE(c.close());
            }),
        by<full_channel>(
            "full_channel_sender_by_close", [](auto& c) { EXPECT_FALSE(c.send(1)); },
            [](auto& c, auto& asleep) {
              asleep();
              EXPECT_TRUE(c.close());
            }),
        by<two_channels>(
            "select_receiver",
            [](auto& s) {
              EXPECT_EQ(heddle::select(heddle::on_receive(s.never), heddle::on_receive(s.c)), 1u);
            },
            [](auto& s, auto& asleep) {
              asleep();
              EXPECT_TRUE(s.c.send(1));
            }),
        by<two_channels>(
            "select_sender",
            [](auto& s) {
              EXPECT_EQ(heddle::select(heddle::on_send(s.c, 1), heddle::on_receive(s.never)), 0u);
            },
            [](auto& s, auto& asleep) {
              asleep();
              EXPECT_EQ(s.c.receive(), 1);
            }),
        by<two_channels>(
            "select_by_select",
            [](auto& s) {
              EXPECT_EQ(heddle::select(heddle::on_receive(s.c), heddle::on_timeout(1h)), 0u);
            },
            [](auto& s, auto& asleep) {
              asleep();
              EXPECT_EQ(heddle::select(heddle::on_receive(s.never), heddle::on_send(s.c, 1)), 1u);
            }),
        by<with_stop<numbers>>(
            "select_with_a_token",
            [](auto& s) {
              EXPECT_EQ(
                  heddle::select(heddle::on_receive(s.object), heddle::on_stop(s.stop.get_token())),
                  1u);
            },
            [](auto& s, auto& asleep) {
              asleep();
              s.stop.request_stop();
            }),
        by<pledge>(
            "future", [](auto& s) { EXPECT_EQ(s.f.get(), 1); },
            [](auto& s, auto& asleep) {
              asleep();
              s.p.set_value(1);
            }),
        by<pledge>(
            "future_with_a_limit",
            [](auto& s) { EXPECT_EQ(s.f.wait_for(1h), std::future_status::ready); },
            [](auto& s, auto& asleep) {
              asleep();
              s.p.set_exception(std::make_exception_ptr(1));
            }),
        by<pledge>(
            "future_of_a_broken_promise",
            [](auto& s) { EXPECT_THROW((void)s.f.get(), std::future_error); },
            [](auto& s, auto& asleep) {
              asleep();
              s.p = heddle::promise<int>();
            }),
        by<task_pledge>(
            "packaged_task", [](auto& s) { EXPECT_EQ(s.f.get(), 1); },
            [](auto& s, auto& asleep) {
              asleep();
              s.t();
            }),
        by<async_call>(
            "async", [](auto& s) { EXPECT_EQ(s.f.get(), 1); },
            [](auto& s, auto& asleep) {
              s.f = heddle::async(s.call());
              asleep();
              s.may_end = true;
            }),
        by<fiber_that_ends>(
            "join", [](auto& s) { s.f.join(); },
            [](auto& s, auto& asleep) {
              s.f = heddle::fiber(s.call());
              asleep();
              s.may_end = true;
            }),
        by<group_with_child>(
            "task_group", [](auto& s) { s.group.wait(); },
            [](auto& s, auto& asleep) {
              s.group.spawn(s.call());
              asleep();
              s.may_end = true;
            }),
        by<group_with_child>(
            "task_group_by_cancel", [](auto& s) { s.group.wait(); },
            [](auto& s, auto& asleep) {
              s.group.spawn([](std::stop_token mine) {
                while (!mine.stop_requested()) heddle::this_fiber::yield();
              });
              asleep();
              EXPECT_TRUE(s.group.cancel());
            }),
        by<group_with_child>(
            "full_task_group", [](auto& s) { s.group.spawn([] {}); },
            [](auto& s, auto& asleep) {
              s.group.spawn(s.call());
              asleep();
              s.may_end = true;
            }),
        by_child("gather", [](auto call) { EXPECT_EQ(heddle::gather(call), std::tuple(1)); }),
        by_child("race", [](auto call) { EXPECT_EQ(heddle::race(call), 1); }),
        by_child("parallel_for",
                 [](auto call) { heddle::parallel_for(0, 3, [&](int) { call(); }); }),
        by_child("parallel_for_each",
                 [](auto call) {
                   heddle::parallel_for_each(std::array{1, 2, 3}, [&](int) { call(); });
                 }),
        by_child("parallel_map",
                 [](auto call) {
                   EXPECT_EQ(
                       heddle::parallel_map(std::array{1, 2}, [&](int n) { return n * call(); }),
                       (std::vector{1, 2}));
                 }),
        by<std::optional<heddle::ticker>>(
            "ticker", [](auto& t) { EXPECT_EQ(t->channel().receive(), std::nullopt); },
            [](auto& t, auto& asleep) {
              t.emplace(1h);
              asleep();
              t->stop();
            }),
    };
    add_condition<heddle::condition_variable>(*all, "condition_variable",
                                              "condition_variable_with_a_limit");
    add_condition<heddle::condition_variable_any>(*all, "condition_variable_any",
                                                  "condition_variable_any_with_a_limit");
    return all;
  }();
  return *list;
}

enum class party { main_thread, thread, fiber, other_fiber };
constexpr std::array parties{party::main_thread, party::thread, party::fiber, party::other_fiber};

kind kind_of(party p) {
  if (p == party::thread) return kind::thread;
  return p == party::fiber ? kind::fiber : kind::other_fiber;
}

/// On the main thread, which must not be both.
void meet(crew& all, const scene& s, party waiter, party waker) {
  if (waker == party::main_thread) {
    s.wake([&] { all.start_as_and_sleep(kind_of(waiter), s.wait); });
    all.join();
    return;
  }
  // It spins while it waits for its turn, so that whoever falls asleep is the waiter.
  std::atomic<bool> prepared{false}, asleep{false};
  const pid_t tid = ::gettid();
  const auto is_asleep = [&] {
    return asleep.load() && (waiter != party::main_thread || sleeps_in_futex(tid));
  };
  all.start_as(kind_of(waker), [&] {
    s.wake([&] {
      prepared = true;
      EXPECT_TRUE(eventually(is_asleep));
    });
  });
  EXPECT_TRUE(eventually([&] { return prepared.load(); }));
  if (waiter == party::main_thread) {
    asleep = true;
    s.wait();
  } else {
    all.start_as_and_sleep(kind_of(waiter), s.wait);
    asleep = true;
  }
  all.join();
}

class Pairs : public ::testing::TestWithParam<std::tuple<std::size_t, unsigned>> {};

TEST_P(Pairs, OfAllKindsMeet) {
  const subject& by_this = subjects()[std::get<0>(GetParam())];
  heddle::runtime rt({.workers = std::get<1>(GetParam())});
  {
    crew all(rt, mode::mixed);
    for (const party waiter : parties) {
      for (const party waker : parties) {
        if (waiter == party::main_thread && waker == party::main_thread) continue;
        meet(all, by_this.make(), waiter, waker);
      }
    }
  }
  expect_nothing_left(rt);
}

INSTANTIATE_TEST_SUITE_P(By, Pairs,
                         ::testing::Combine(::testing::Range<std::size_t>(0, subjects().size()),
                                            ::testing::Values(1u, 2u, 8u)),
                         [](const auto& which) {
                           return std::string(subjects()[std::get<0>(which.param)].name) + "_" +
                                  std::to_string(std::get<1>(which.param));
                         });

}  // namespace
