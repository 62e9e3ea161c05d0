// SPDX-License-Identifier: BSL-1.0
// mutex: locking with a stop token.
#include "sync/crew.hpp"

#include <heddle/sync/mutex.hpp>

#include <mutex>
#include <stop_token>
#include <vector>

using heddle_test::eventually;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::start_line;

HEDDLE_CREW_TEST(MutexStop, AFreeOneIsLockedThoughTheTokenIsStopped) {
  heddle::mutex m;
  std::stop_source stop;
  EXPECT_TRUE(m.lock(stop.get_token()));
  m.unlock();
  stop.request_stop();
  EXPECT_TRUE(m.lock(stop.get_token()));
  all.start([&] { EXPECT_FALSE(m.lock(stop.get_token())); });  // held, and stopped already
  all.join();
  m.unlock();
}

HEDDLE_CREW_TEST(MutexStop, AStopEndsTheWaitAndChangesNothing) {
  heddle::mutex m;
  std::stop_source stop;
  std::atomic<bool> gave_up{false};
  m.lock();
  all.start_and_sleep([&] {
    EXPECT_FALSE(m.lock(stop.get_token()));
    gave_up = true;
  });
  EXPECT_FALSE(gave_up.load());
  EXPECT_TRUE(stop.request_stop());
  all.join();
  EXPECT_TRUE(gave_up.load());
  m.unlock();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

HEDDLE_CREW_TEST(MutexStop, AnUnlockEndsTheWaitWithTheLock) {
  heddle::mutex m;
  std::stop_source stop;
  m.lock();
  for (const auto& token : {stop.get_token(), std::stop_token{}}) {
    std::atomic<bool> got{false};
    all.start_and_sleep([&] {
      got = m.lock(token);
      EXPECT_FALSE(m.try_lock());
      stop.request_stop();  // too late to matter
      m.unlock();
    });
    EXPECT_FALSE(got.load());
    m.unlock();
    all.join();
    EXPECT_TRUE(got.load());
    m.lock();
  }
  m.unlock();
}

HEDDLE_CREW_TEST(MutexStop, ThoseBehindOneWhoGaveUpStillGetIt) {
  // Who gives up stands first, in the middle, last, or there are several.
  for (unsigned who = 0; who < 16; ++who) {
    heddle::mutex m;
    std::stop_source stop;
    std::atomic<int> got{0}, gave_up{0};
    int stopped = 0;
    m.lock();
    for (unsigned i = 0; i < 4; ++i) {
      const bool gives_up = (who >> i & 1) != 0;
      stopped += gives_up;
      all.start_and_sleep([&, gives_up, i] {
        bool locked = true;
        if (gives_up) {
          locked = m.lock(stop.get_token());
        } else if (i % 2 == 0) {
          locked = m.lock(std::stop_source().get_token());
        } else {
          m.lock();
        }
        ++(locked ? got : gave_up);
        if (locked) m.unlock();
      });
    }
    stop.request_stop();
    EXPECT_TRUE(eventually([&] { return gave_up.load() == stopped; }));
    EXPECT_EQ(got.load(), 0);
    m.unlock();
    all.join();
    EXPECT_EQ(got.load(), 4 - stopped);
    EXPECT_EQ(gave_up.load(), stopped);
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }
}

HEDDLE_TEST(MutexStop, AFibersOwnStopEndsItsWait) {
  heddle::mutex m;
  m.lock();
  auto stopped =
      heddle_test::sleeping_fiber(rt, [&](std::stop_token mine) { EXPECT_FALSE(m.lock(mine)); });
  EXPECT_TRUE(stopped.request_stop());
  stopped.join();
  // Cancelling implies stop; locking is no cancellation point.
  auto cancelled =
      heddle_test::sleeping_fiber(rt, [&](std::stop_token mine) { EXPECT_FALSE(m.lock(mine)); });
  EXPECT_TRUE(cancelled.cancel());
  cancelled.join();
  auto unconcerned = heddle_test::sleeping_fiber(rt, [&] {
    EXPECT_TRUE(m.lock(std::stop_source().get_token()));
    m.unlock();
  });
  EXPECT_TRUE(unconcerned.cancel());
  m.unlock();
  unconcerned.join();
}

// 100,000 times over all worlds: the wait ends once, by one of the two, and neither is lost.
HEDDLE_CREW_TEST(MutexStop, StopAndUnlockAtOnceAreNeverBothAndNeverLost) {
  const std::size_t times = rounds(all.rt().workers() == 2 ? 20'000 : 7'000);
  heddle::mutex m;
  start_line line(2);
  std::stop_source stop;
  std::size_t got = 0, gave_up = 0;
  bool owned_elsewhere = false;
  all.start([&] {  // waits
    jitter late(1);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      const bool locked = m.lock(stop.get_token());
      EXPECT_FALSE(locked && owned_elsewhere);
      ++(locked ? got : gave_up);
      if (locked) m.unlock();
      line.wait();
    }
  });
  std::atomic<unsigned> stopping{0}, stopped{0};
  std::atomic<bool> over{false};
  all.start([&] {  // stops
    jitter late(2);
    for (unsigned seen = 0;;) {
      while (stopping.load() == seen && !over.load()) {
        heddle::this_fiber::yield();
        std::this_thread::yield();
      }
      if (over.load()) break;
      ++seen;
      late();
      stop.request_stop();
      stopped.store(seen);
    }
  });
  jitter late(3);
  for (std::size_t i = 0; i < times; ++i) {
    stop = std::stop_source();
    m.lock();
    owned_elsewhere = true;
    line.wait();
    if (i % 4 == 0) heddle::this_fiber::yield();
    ++stopping;
    late();
    owned_elsewhere = false;
    m.unlock();
    line.wait();
    while (stopped.load() != stopping.load()) {
      heddle::this_fiber::yield();
      std::this_thread::yield();
    }
    ASSERT_TRUE(m.try_lock()) << "after round " << i;
    m.unlock();
  }
  over = true;
  all.join();
  EXPECT_EQ(got + gave_up, times);
}

HEDDLE_CREW_TEST(MutexStop, AnyMixtureExcludes) {
  heddle::mutex m;
  int inside = 0;          // guarded by m
  std::size_t locked = 0;  // the same
  const std::size_t each = rounds(1'500);
  for (unsigned i = 0; i < 6; ++i) {
    all.start([&, i] {
      jitter pick(i + 1);
      for (std::size_t n = 0; n < each; ++n) {
        bool got = true;
        switch (pick.below(4)) {
          case 0:
            got = m.try_lock();
            break;
          case 1:
            m.lock();
            break;
          default: {
            std::stop_source own;
            if (pick.below(4) == 0) own.request_stop();
            got = m.lock(own.get_token());
          }
        }
        if (!got) continue;
        EXPECT_EQ(inside++, 0);
        ++locked;
        pick();
        --inside;
        m.unlock();
      }
    });
  }
  all.join();
  EXPECT_GE(locked, each);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}
