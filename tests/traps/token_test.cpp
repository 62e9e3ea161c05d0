// SPDX-License-Identifier: BSL-1.0
// token: trap 29: two fibers hand a token back and forth for ever, by everything that can hand one
//   over, or fight for a lock, or start and await children; all others get their turn meanwhile.
//   What fibers can do for ever without any primitive: starvation_test.cpp.
#include "sync/crew.hpp"
#include "traps/everybodys_turn.hpp"

#include <heddle/heddle.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <tuple>

namespace {

using namespace heddle_test;

// A token for two sides, 0 and 1: give(k) hands it to side k, who gets it by take(k).

template <class Condition>
struct by_condition {
  heddle::mutex m{};
  std::array<Condition, 2> changed{};
  std::size_t owner = 0;  // guarded by m
  void give(std::size_t k) {
    const std::lock_guard hold(m);
    owner = k;
    changed[k].notify_one();
  }
  void take(std::size_t k) {
    std::unique_lock hold(m);
    changed[k].wait(hold, [&] { return owner == k; });
  }
};

template <class Semaphore>
struct by_semaphore {
  Semaphore there{0}, back{0};
  void give(std::size_t k) { (k == 0 ? back : there).release(); }
  void take(std::size_t k) { (k == 0 ? back : there).acquire(); }
};

template <std::size_t capacity>
struct by_channel {
  std::array<heddle::channel<int>, 2> c{heddle::channel<int>(capacity),
                                        heddle::channel<int>(capacity)};
  void give(std::size_t k) { EXPECT_TRUE(c[k].send(1)); }
  void take(std::size_t k) { EXPECT_TRUE(c[k].receive()); }
};

template <std::size_t capacity>
struct by_select : by_channel<capacity> {
  heddle::channel<int> never{};
  void give(std::size_t k) {
    EXPECT_EQ(heddle::select(heddle::on_send(this->c[k], 1), heddle::on_receive(never)), 0u);
  }
  void take(std::size_t k) {
    EXPECT_EQ(heddle::select(heddle::on_receive(never), heddle::on_receive(this->c[k])), 1u);
  }
};

struct by_event {
  std::array<heddle::event, 2> e{};
  void give(std::size_t k) { e[k].set(); }
  void take(std::size_t k) {
    e[k].wait();
    e[k].reset();
  }
};

struct by_barrier {
  heddle::barrier<> both{2};
  void give(std::size_t) { both.arrive_and_wait(); }
  void take(std::size_t) { both.arrive_and_wait(); }
};

/// Made anew each time by who was let through.
struct by_latch {
  std::array<std::optional<heddle::latch>, 2> l;
  by_latch() {
    for (auto& each : l) each.emplace(1);
  }
  void give(std::size_t k) { l[k]->count_down(); }
  void take(std::size_t k) {
    l[k]->wait();
    l[k].emplace(1);
  }
};

struct by_wait_group {
  std::array<heddle::wait_group, 2> w{};
  by_wait_group() {
    for (auto& each : w) each.add();
  }
  void give(std::size_t k) { w[k].done(); }
  void take(std::size_t k) {
    w[k].wait();
    w[k].add();
  }
};

struct by_exchanger {
  heddle::exchanger<int> e{};
  void give(std::size_t) { EXPECT_EQ(e.exchange(1), 0); }
  void take(std::size_t) { EXPECT_EQ(e.exchange(0), 1); }
};

struct by_promise {
  std::array<heddle::promise<void>, 2> p{};
  std::array<heddle::future<void>, 2> f{p[0].get_future(), p[1].get_future()};
  void give(std::size_t k) { p[k].set_value(); }
  void take(std::size_t k) {
    f[k].get();
    p[k] = heddle::promise<void>();
    f[k] = p[k].get_future();
  }
};

struct by_packaged_task {
  std::array<heddle::packaged_task<void()>, 2> t{heddle::packaged_task<void()>([] {}),
                                                 heddle::packaged_task<void()>([] {})};
  std::array<heddle::future<void>, 2> f{t[0].get_future(), t[1].get_future()};
  void give(std::size_t k) { t[k](); }
  void take(std::size_t k) {
    f[k].get();
    t[k] = heddle::packaged_task<void()>([] {});
    f[k] = t[k].get_future();
  }
};

using busy_call = void (*)(std::atomic<bool>& over);

template <class Token>
void hand_back_and_forth(std::atomic<bool>& over) {
  Token token;
  bool last = false;  // goes with the token
  heddle::fiber other([&] {
    for (bool end = false; !end;) {
      token.take(1);
      end = last;
      token.give(0);
    }
  });
  for (bool end = false; !end;) {
    end = last = !open(over);
    token.give(1);
    token.take(0);
  }
  other.join();
}

/// Two who lock it again at once, each in one of two ways; and let others run while they hold it,
/// as a lock's owner would never wait otherwise.
template <class Lock, class Other = Lock>
void fight(std::atomic<bool>& over) {
  typename Lock::mutex_type m;
  heddle::fiber other([&] {
    while (open(over)) {
      const Other hold(m);
      heddle::this_fiber::yield();
    }
  });
  while (open(over)) {
    const Lock hold(m);
    heddle::this_fiber::yield();
  }
  other.join();
}
struct pointer_to_synchronized {
  using mutex_type = heddle::synchronized<int>;
  explicit pointer_to_synchronized(mutex_type& s) : p(s.lock()) {}
  decltype(std::declval<mutex_type&>().lock()) p;
};

template <auto call>
void again_and_again(std::atomic<bool>& over) {
  while (open(over)) call();
}

struct primitive {
  const char* name;
  busy_call busy;
};
constexpr primitive primitives[] = {
    {"condition_variable", hand_back_and_forth<by_condition<heddle::condition_variable>>},
    {"condition_variable_any", hand_back_and_forth<by_condition<heddle::condition_variable_any>>},
    {"counting_semaphore", hand_back_and_forth<by_semaphore<heddle::counting_semaphore<>>>},
    {"binary_semaphore", hand_back_and_forth<by_semaphore<heddle::binary_semaphore>>},
    {"unbuffered_channel", hand_back_and_forth<by_channel<0>>},
    {"buffered_channel", hand_back_and_forth<by_channel<1>>},
    {"select", hand_back_and_forth<by_select<0>>},
    {"select_of_buffered", hand_back_and_forth<by_select<1>>},
    {"event", hand_back_and_forth<by_event>},
    {"barrier", hand_back_and_forth<by_barrier>},
    {"latch", hand_back_and_forth<by_latch>},
    {"wait_group", hand_back_and_forth<by_wait_group>},
    {"exchanger", hand_back_and_forth<by_exchanger>},
    {"promise", hand_back_and_forth<by_promise>},
    {"packaged_task", hand_back_and_forth<by_packaged_task>},
    {"mutex", fight<std::unique_lock<heddle::mutex>>},
    {"timed_mutex", fight<std::unique_lock<heddle::timed_mutex>>},
    {"recursive_mutex", fight<std::unique_lock<heddle::recursive_mutex>>},
    {"recursive_timed_mutex", fight<std::unique_lock<heddle::recursive_timed_mutex>>},
    {"shared_mutex_by_writers", fight<std::unique_lock<heddle::shared_mutex>>},
    {"shared_mutex_by_readers", fight<std::shared_lock<heddle::shared_mutex>>},
    {"shared_mutex",
     fight<std::unique_lock<heddle::shared_mutex>, std::shared_lock<heddle::shared_mutex>>},
    {"shared_timed_mutex", fight<std::unique_lock<heddle::shared_timed_mutex>,
                                 std::shared_lock<heddle::shared_timed_mutex>>},
    {"synchronized", fight<pointer_to_synchronized>},
    {"async", again_and_again<[] { heddle::async([] {}).get(); }>},
    {"task_group", again_and_again<[] {
       heddle::task_group group;
       group.spawn([] {});
       group.wait();
     }>},
    {"gather", again_and_again<[] { heddle::gather([] { return 1; }, [] { return 2; }); }>},
    {"race", again_and_again<[] { (void)heddle::race([] { return 1; }, [] { return 2; }); }>},
    {"parallel_for", again_and_again<[] { heddle::parallel_for(0, 4, [](int) {}); }>},
};

class Token : public ::testing::TestWithParam<std::tuple<primitive, unsigned>> {};

TEST_P(Token, StarvesNobody) {
  const auto& [by, workers] = GetParam();
  expect_all_get_a_turn(by.busy, workers);
}

INSTANTIATE_TEST_SUITE_P(By, Token,
                         ::testing::Combine(::testing::ValuesIn(primitives),
                                            ::testing::Values(1u, 2u, 8u)),
                         [](const auto& which) {
                           return std::string(std::get<0>(which.param).name) + "_" +
                                  std::to_string(std::get<1>(which.param));
                         });

}  // namespace
