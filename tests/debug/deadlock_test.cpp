// SPDX-License-Identifier: BSL-1.0
// deadlock: who waits for each other, as debug/wait_graph.hpp finds it. Whole programs, and what is
//   told of them: tests/broken, tests/suspicious.
#include "world.hpp"

#include <heddle/debug/wait_graph.hpp>
#include <heddle/heddle.hpp>
#include <heddle/sched/process.hpp>

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace heddle_test;

std::vector<heddle::detail::circle> circles() {
  const heddle::detail::runtimes_stay here;
  bool is_complete = false;
  return heddle::detail::find_circles(is_complete);
}

/// The one circle that comes to be there, by its members' labels.
std::string the_circle() {
  std::vector<heddle::detail::circle> found;
  EXPECT_TRUE(eventually([&] { return (found = circles()).size() == 1; }));
  std::string text;
  for (const auto& circle : found) {
    for (const auto& member : circle.members) text += "[" + member.label() + "]";
  }
  return text;
}

bool none_comes() {
  for (int i = 0; i < 20; ++i) {
    if (!circles().empty()) return false;
    heddle::this_fiber::sleep_for(1ms);
  }
  return true;
}

std::size_t members_of(const std::string& circle) {
  std::size_t count = 0;
  for (const char c : circle) count += c == '[';
  return count;
}

}  // namespace

HEDDLE_TEST_WITH(Deadlock, OfALockAndAJoin, .deadlock = heddle::on_deadlock::ignore) {
  heddle::mutex m;
  std::optional<heddle::fiber> wants_it;
  heddle::fiber owner({.name = "owner"}, [&] {
    const std::lock_guard hold(m);
    wants_it.emplace([&] { const std::lock_guard hold_too(m); });
    try {
      wants_it->join();
      ADD_FAILURE() << "it has ended";
    } catch (const heddle::cancelled&) {
    }
  });
  const std::string found = the_circle();
  EXPECT_NE(found.find("'owner'"), std::string::npos) << found;
  EXPECT_EQ(members_of(found), 2u) << found;
  EXPECT_EQ(circles().size(), 1u) << "it is there as long as it is there";
  owner.cancel();
  owner.join();
  wants_it->join();
  EXPECT_TRUE(circles().empty());
}

HEDDLE_TEST_WITH(Deadlock, OfALockAndAFuture, .deadlock = heddle::on_deadlock::ignore) {
  heddle::mutex m;
  heddle::future<void> result;
  heddle::fiber owner([&] {
    const std::lock_guard hold(m);
    result = heddle::async([&] { const std::lock_guard hold_too(m); });
    try {
      result.wait();
      ADD_FAILURE() << "it has ended";
    } catch (const heddle::cancelled&) {
    }
  });
  EXPECT_EQ(members_of(the_circle()), 2u);
  owner.cancel();
  owner.join();
  result.wait();
}

HEDDLE_TEST_WITH(Deadlock, OfALockAndAWaitGroup, .deadlock = heddle::on_deadlock::ignore) {
  heddle::mutex m;
  heddle::wait_group group;
  heddle::event end;
  heddle::fiber owner([&] {
    const std::lock_guard hold(m);
    group.go([&] { end.wait(); });  // one who waits for what nobody owns
    group.go([&] { const std::lock_guard hold_too(m); });
    try {
      group.wait();
      ADD_FAILURE() << "it has ended";
    } catch (const heddle::cancelled&) {
    }
  });
  EXPECT_EQ(members_of(the_circle()), 2u);
  owner.cancel();
  owner.join();
  end.set();
  group.wait();
}

HEDDLE_TEST_WITH(Deadlock, OfALockAndChildren, .deadlock = heddle::on_deadlock::ignore) {
  heddle::mutex m;
  heddle::fiber owner({.name = "owner"}, [&] {
    m.lock();
    heddle::future<void> wants_it;
    try {
      heddle::gather([] {},
                     [&] {
                       heddle::task_group inner;
                       inner.spawn([&] {
                         wants_it = heddle::async([&] { const std::lock_guard hold_too(m); });
                         wants_it.wait();
                       });
                       inner.wait();
                     });
      ADD_FAILURE() << "all have ended";
    } catch (const heddle::cancelled&) {
    }
    m.unlock();
    const heddle::shield until_it_has_ended;
    wants_it.wait();
  });
  EXPECT_EQ(members_of(the_circle()), 4u) << "the owner, gather's child, its child, the call";
  owner.cancel();
  owner.join();
}

HEDDLE_TEST_WITH(Deadlock, OfSeveralLocks, .deadlock = heddle::on_deadlock::ignore) {
  // The last link of the ring is one that can be undone.
  constexpr std::size_t size = 50;
  std::array<heddle::timed_mutex, size> locks;
  heddle::latch all_own(size);
  std::vector<heddle::fiber> ring;
  ring.reserve(size);
  for (std::size_t i = 0; i + 1 < size; ++i) {
    ring.emplace_back([&, i] {
      const std::lock_guard hold(locks[i]);
      all_own.arrive_and_wait();
      const std::lock_guard hold_next(locks[i + 1]);
    });
  }
  heddle::fiber last({.name = "last"}, [&] {
    const std::lock_guard hold(locks[size - 1]);
    all_own.arrive_and_wait();
    try {
      ring[0].join();
      ADD_FAILURE() << "it has ended";
    } catch (const heddle::cancelled&) {
    }
  });
  EXPECT_EQ(members_of(the_circle()), size);
  last.cancel();
  last.join();
  for (heddle::fiber& each : ring) {
    if (each.joinable()) each.join();
  }
  EXPECT_TRUE(circles().empty());
}

HEDDLE_THREAD_TEST_WITH(Deadlock, OfAPlainThreadAndAFiber,
                        .deadlock = heddle::on_deadlock::ignore) {
  heddle::mutex m;
  heddle::task_group waits;
  heddle::future<void> wants_it;
  std::thread owner([&] {
    const std::lock_guard hold(m);
    rt.run([&] {
      // The thread waits for this one, whose child waits for one that wants the thread's lock.
      wants_it = heddle::async([&] { const std::lock_guard hold_too(m); });
      waits.spawn([&] { wants_it.wait(); });
      waits.wait();
    });
  });
  const std::string found = the_circle();
  EXPECT_EQ(members_of(found), 4u) << found;
  EXPECT_NE(found.find("[thread "), std::string::npos) << found;
  waits.cancel();
  owner.join();
  wants_it.wait();
}

HEDDLE_TEST_WITH(Deadlock, NotWhereAWaitEndsByItself, .deadlock = heddle::on_deadlock::ignore) {
  heddle::timed_mutex a;
  heddle::mutex b;
  std::stop_source stop;
  heddle::latch both(2);
  heddle::fiber limited([&] {
    const std::lock_guard hold(b);
    both.arrive_and_wait();
    EXPECT_FALSE(a.try_lock_for(300ms));
  });
  heddle::fiber waits([&] {
    const std::lock_guard hold(a);
    both.arrive_and_wait();
    const std::lock_guard hold_other(b);
  });
  EXPECT_TRUE(none_comes()) << "a limit in time";
  limited.join();
  waits.join();

  heddle::mutex c;
  heddle::latch both_again(2);
  heddle::fiber stopped([&] {
    const std::lock_guard hold(b);
    both_again.arrive_and_wait();
    EXPECT_FALSE(c.lock(stop.get_token()));
  });
  heddle::fiber waits_too([&] {
    const std::lock_guard hold(c);
    both_again.arrive_and_wait();
    const std::lock_guard hold_other(b);
  });
  EXPECT_TRUE(none_comes()) << "a stop token";
  stop.request_stop();
  stopped.join();
  waits_too.join();

  heddle::future<void> result;
  heddle::fiber hurried([&] {
    const std::lock_guard hold(b);
    const heddle::deadline_scope soon(300ms);
    result = heddle::async([&] { const std::lock_guard hold_too(b); });
    EXPECT_THROW(result.wait(), heddle::cancelled);
  });
  EXPECT_TRUE(none_comes()) << "a deadline";
  hurried.join();
  result.wait();
}

// Locks are handed on, fibers are joined and groups waited for all the time, never in a circle.
HEDDLE_TEST(Deadlock, IsNeverSeenWhereAllGoOn) {
  constexpr int parties = 24;
  std::array<heddle::mutex, 4> locks;
  heddle::shared_mutex shared;
  std::atomic<bool> over{false};
  std::atomic<int> seen{0};
  std::thread looks([&] {
    while (!over) seen += static_cast<int>(circles().size());
  });
  const time_limit limit;
  const auto a_round = [&](int i) {
    const auto at = static_cast<std::size_t>(i);
    const std::lock_guard first(locks[at % 3]);
    if (i % 2 == 0) heddle::this_fiber::yield();
    const std::lock_guard second(locks[at % 3 + 1]);
    const std::shared_lock third(shared);
    if (i % 3 == 0) heddle::this_fiber::yield();
  };
  heddle::wait_group all;
  for (int i = 0; i < parties; ++i) {
    all.go([&, i] {
      for (std::size_t round = 0; round < rounds(2'000) && !limit.over(); ++round) {
        a_round(i);
        if (round % 8 == 0) heddle::fiber([&] { a_round(i + 1); }).join();
        if (round % 8 == 2) heddle::async([&] { a_round(i + 2); }).wait();
        if (round % 8 == 4) heddle::gather([&] { a_round(i); }, [&] { a_round(i + 1); });
        if (round % 8 == 6) {
          const std::lock_guard writer(shared);
          heddle::this_fiber::yield();
        }
      }
    });
  }
  all.wait();
  over = true;
  looks.join();
  EXPECT_EQ(seen, 0);
}
