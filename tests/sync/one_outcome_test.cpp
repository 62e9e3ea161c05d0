// SPDX-License-Identifier: BSL-1.0
// Trap 9: several ends of one wait at the same instant: a value, close, a notification, its time,
//   a cancellation. It ends once, by one of them, and what the others brought is not lost.
//   Elsewhere: mutexes (lockable.hpp, mutex_stop), select (select_race), semaphore, event,
//   exchanger, future, task_group, gather, race, sleep (timer_race), deadline_scope (cancel_scope).
#include "sync/lockable.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/latch.hpp>
#include <heddle/sync/parallel.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>

using namespace heddle_test;
using heddle::channel_status;
using std::chrono::microseconds;

namespace {

/// At the same instant a fiber begins `wait`, two others do `first` and `second`, and it is
/// cancelled, perhaps. Returns whether it threw that.
template <class Wait, class First, class Second>
bool meet(jitter& late, bool cancels, Wait wait, First first, Second second) {
  start_line line(4);
  bool thrown = false;
  int ends = 0;
  heddle::fiber waits([&] {
    line.wait();
    const auto why = cancelled_in(wait);
    EXPECT_EQ(why.value_or(heddle::cancel_reason::requested), heddle::cancel_reason::requested);
    thrown = why.has_value();
    ++ends;
  });
  const auto after_a_while = [&line](auto& act, unsigned seed) {
    line.wait();
    jitter own(seed);
    if (own.below(2) == 0) pass(microseconds(own.below(30)));
    own();
    act();
  };
  heddle::fiber does_first([&, seed = late.below(10'000)] { after_a_while(first, seed); });
  heddle::fiber does_second([&, seed = late.below(10'000)] { after_a_while(second, seed); });
  line.wait();
  if (late.below(2) == 0) pass(microseconds(late.below(30)));
  late();
  if (cancels) waits.cancel();
  for (auto* each : {&waits, &does_first, &does_second}) each->join();
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(cancels || !thrown);
  return thrown;
}

constexpr std::size_t times = 3'000;

}  // namespace

HEDDLE_TEST(OneOutcome, OfAReceive) {
  jitter late(1);
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(times) && !limit.over(); ++i) {
    heddle::channel<int> c(i % 4 == 0 ? 1 : 0);
    const bool closes = i % 3 == 0, cancels = i % 2 == 0;
    const auto patience = microseconds(late.below(50));  // of the other side
    int in = 0, out = 0;
    std::optional<channel_status> how;
    const bool thrown = meet(
        late, cancels,
        [&] {
          const heddle::received<int> got =
              i % 6 == 0 ? heddle::received<int>{c.receive(), channel_status::closed}
                         : c.receive_for(microseconds(i % 50));
          how = got.status();
          out += got.has_value();
        },
        [&] { in += c.send_for(1, patience) == channel_status::ok; },
        [&] {
          if (closes) c.close();
        });
    EXPECT_NE(thrown, how.has_value());
    EXPECT_EQ(out == 1, how == channel_status::ok);
    EXPECT_TRUE(closes || how != channel_status::closed);
    while (c.try_receive()) ++out;
    ASSERT_EQ(in, out) << "in round " << i;
  }
}

HEDDLE_TEST(OneOutcome, OfASend) {
  jitter late(2);
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(times) && !limit.over(); ++i) {
    heddle::channel<int> c(i % 4 == 0 ? 1 : 0);
    const bool closes = i % 3 == 0, cancels = i % 2 == 0;
    const auto patience = microseconds(late.below(50));  // of the other side
    int in = i % 8 == 0 && c.try_send(0) == channel_status::ok, out = 0;
    std::optional<channel_status> how;
    const bool thrown = meet(
        late, cancels,
        [&] {
          if (i % 6 == 0) {
            how = c.send(1) ? channel_status::ok : channel_status::closed;
          } else {
            how = c.send_for(1, microseconds(i % 50));
          }
          in += how == channel_status::ok;
        },
        [&] { out += c.receive_for(patience).has_value(); },
        [&] {
          if (closes) c.close();
        });
    EXPECT_NE(thrown, how.has_value());
    EXPECT_TRUE(closes || how != channel_status::closed);
    while (c.try_receive()) ++out;
    ASSERT_EQ(in, out) << "in round " << i;
  }
}

HEDDLE_TEST(OneOutcome, OfAWaitForALatch) {
  jitter late(3);
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(times) && !limit.over(); ++i) {
    heddle::latch l(1);
    bool released = false;
    const bool thrown = meet(
        late, i % 2 == 0,
        [&] {
          l.wait();
          released = true;
        },
        [&] { l.count_down(); }, [&] { l.wait(); });
    ASSERT_NE(thrown, released);
    ASSERT_TRUE(l.try_wait());
  }
}

// The group is used again at once: nothing is left of the one who was cancelled.
HEDDLE_TEST(OneOutcome, OfAWaitForAGroup) {
  jitter late(4);
  heddle::wait_group g;
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(times) && !limit.over(); ++i) {
    bool released = false;
    g.add();
    const bool thrown = meet(
        late, i % 2 == 0,
        [&] {
          g.wait();
          released = true;
        },
        [&] { g.done(); }, [&] { g.wait(); });
    ASSERT_NE(thrown, released);
  }
}

HEDDLE_TEST(OneOutcome, OfAJoin) {
  jitter late(5);
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(times) && !limit.over(); ++i) {
    std::atomic<bool> may_end{false};
    heddle::fiber f([&] {
      while (!may_end.load()) heddle::this_fiber::yield();
    });
    std::stop_source stop = f.get_stop_source();
    bool joined = false;
    const bool thrown = meet(
        late, i % 2 == 0,
        [&] {
          f.join();
          joined = true;
        },
        [&] { may_end = true; }, [&] { stop.request_stop(); });
    ASSERT_NE(thrown, joined);
    ASSERT_EQ(f.joinable(), thrown) << "who was cancelled has not joined it";
  }
}

// Iterations end, one fails, and the caller is cancelled.
HEDDLE_TEST(OneOutcome, OfAParallelLoop) {
  jitter late(6);
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(times) && !limit.over(); ++i) {
    std::atomic<int> inside{0}, ended{0};
    std::atomic<bool> fails{false};
    bool returned = false, failed = false;
    const bool thrown = meet(
        late, i % 2 == 0,
        [&] {
          try {
            heddle::parallel_for(0, 6, [&](int n) {
              struct leave {
                std::atomic<int>& inside;
                ~leave() { --inside; }
              };
              ++inside;
              const leave at_end{inside};
              if (i % 4 == 0) heddle::this_fiber::sleep_for(microseconds(n));
              if (i % 4 == 1) heddle::this_fiber::yield();
              if (n == 5 && fails.load()) throw n;
              ++ended;
            });
            returned = true;
          } catch (int) {
            failed = true;
          }
        },
        [&] { fails = i % 3 == 0; }, [] { heddle::this_fiber::yield(); });
    ASSERT_EQ(thrown + returned + failed, 1);
    ASSERT_EQ(inside.load(), 0);
    ASSERT_TRUE(!returned || ended.load() == 6);
  }
}

namespace {

/// Two wait, one of them with a limit, and he may be cancelled; one notification comes as his time
/// runs out. It is one's: his, or the other's.
template <class Condition>
void expect_that_a_notification_ends_one_wait() {
  Condition c;
  heddle::mutex m;
  jitter late(7);
  const time_limit limit;
  for (std::size_t i = 0; i < rounds(times) && !limit.over(); ++i) {
    std::atomic<int> notified{0}, timed_out{0}, cancelled{0};
    int waiting = 0;  // guarded by m, which each holds until it is in the queue
    const auto wait = [&](auto how) {
      std::unique_lock hold(m);
      ++waiting;
      const auto why =
          cancelled_in([&] { ++(how(hold) == std::cv_status::no_timeout ? notified : timed_out); });
      EXPECT_TRUE(hold.owns_lock());
      cancelled += why.has_value();
    };
    const auto are_waiting = [&](int wanted) {
      return eventually([&] {
        const std::lock_guard hold(m);
        return waiting == wanted;
      });
    };
    heddle::fiber second;
    const auto d = microseconds(late.below(80));
    heddle::fiber first([&] { wait([&](auto& hold) { return c.wait_for(hold, d); }); });
    EXPECT_TRUE(are_waiting(1));
    second = heddle::fiber([&] {
      wait([&](auto& hold) {
        c.wait(hold);
        return std::cv_status::no_timeout;
      });
    });
    EXPECT_TRUE(are_waiting(2));
    heddle::fiber cancels([&] {
      if (i % 2 == 0) first.cancel();
    });
    pass(d * late.below(20) / 10);
    c.notify_one();
    EXPECT_TRUE(eventually([&] { return notified.load() == 1; })) << "in round " << i;
    cancels.join();
    first.join();
    second.cancel();
    second.join();
    ASSERT_EQ(notified.load(), 1) << "in round " << i;
    ASSERT_EQ(notified.load() + timed_out.load() + cancelled.load(), 2);
  }
}

}  // namespace

HEDDLE_TEST(OneOutcome, OfAWaitForACondition) {
  expect_that_a_notification_ends_one_wait<heddle::condition_variable>();
}
HEDDLE_TEST(OneOutcome, OfAWaitForAConditionAny) {
  expect_that_a_notification_ends_one_wait<heddle::condition_variable_any>();
}
