// SPDX-License-Identifier: BSL-1.0
// Trap 10: whoever a primitive has just released may destroy it at once, while the one who released
//   it is still on its way out. Its memory is then overwritten, or unmapped: what is written to it
//   later is found, and what is used later crashes. About 1,000,000 times over all tests and
//   worlds.
#include "sync/crew.hpp"
#include "sync/graveyard.hpp"

#include <heddle/sync/barrier.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/event.hpp>
#include <heddle/sync/exchanger.hpp>
#include <heddle/sync/future.hpp>
#include <heddle/sync/latch.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/select.hpp>
#include <heddle/sync/semaphore.hpp>
#include <heddle/sync/task_group.hpp>
#include <heddle/sync/wait_group.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <mutex>

using heddle_test::bury_when_released;
using heddle_test::crew;
using heddle_test::eventually;
using heddle_test::graveyard;
using heddle_test::jitter;
using heddle_test::make_default;
using heddle_test::rounds;
using heddle_test::start_line;

HEDDLE_CREW_TEST(ShortLived, AWaitGroup) {
  bury_when_released<heddle::wait_group>(
      all, rounds(20'000),
      [](auto& yard) {
        auto* g = yard.make();
        g->add();
        return g;
      },
      [](auto& g) { g.wait(); }, [](auto& g) { g.done(); });
}

HEDDLE_CREW_TEST(ShortLived, ASemaphore) {
  bury_when_released<heddle::counting_semaphore<>>(
      all, rounds(20'000), [](auto& yard) { return yard.make(0); }, [](auto& s) { s.acquire(); },
      [](auto& s) { s.release(); });
}

// One permit goes to who sleeps, the other to who comes late: the last of them buries it.
HEDDLE_CREW_TEST(ShortLived, ASemaphoreByTheLastOneOut) {
  struct shared {
    heddle::counting_semaphore<> s{0};
    std::atomic<int> inside{2};
  };
  const std::size_t times = rounds(14'000);
  graveyard<shared> yard;
  start_line line(3);
  shared* object = nullptr;
  for (unsigned i = 0; i < 2; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      for (std::size_t n = 0; n < times; ++n) {
        if (i == 0) object = yard.make();
        line.wait();
        shared& mine = *object;
        late();
        mine.s.acquire();
        if (mine.inside.fetch_sub(1) == 1) yard.bury(&mine);
        line.wait();
      }
    });
  }
  all.start([&] {
    jitter late(3);
    for (std::size_t n = 0; n < times; ++n) {
      line.wait();
      shared& mine = *object;
      late();
      mine.s.release(2);
      line.wait();
    }
  });
  all.join();
}

// Its child's last step releases the waiter; so does the last step of who cancels it.
HEDDLE_CREW_TEST(ShortLived, ATaskGroup) {
  bury_when_released<heddle::task_group>(
      all, rounds(3'000),
      [](auto& yard) {
        auto* g = yard.make(1u);
        g->spawn([] {});
        return g;
      },
      [](auto& g) { g.wait(); }, [](auto&) {});
}
HEDDLE_CREW_TEST(ShortLived, ATaskGroupThatIsCancelled) {
  bury_when_released<heddle::task_group>(
      all, rounds(1'000),
      [](auto& yard) {
        auto* g = yard.make();
        g->spawn([] { heddle::this_fiber::sleep_for(std::chrono::hours(1)); });
        return g;
      },
      [](auto& g) { g.wait(); }, [](auto& g) { EXPECT_TRUE(g.cancel()); });
}

HEDDLE_CREW_TEST(ShortLived, ALatch) {
  bury_when_released<heddle::latch>(
      all, rounds(20'000), [](auto& yard) { return yard.make(1); }, [](auto& l) { l.wait(); },
      [](auto& l) { l.count_down(); });
}

HEDDLE_CREW_TEST(ShortLived, ABarrier) {
  bury_when_released<heddle::barrier<>>(
      all, rounds(14'000), [](auto& yard) { return yard.make(2); },
      [](auto& b) { b.arrive_and_wait(); }, [](auto& b) { b.arrive_and_wait(); });
}

HEDDLE_CREW_TEST(ShortLived, ABarrierByAToken) {
  bury_when_released<heddle::barrier<>>(
      all, rounds(14'000), [](auto& yard) { return yard.make(2); },
      [](auto& b) { b.wait(b.arrive()); }, [](auto& b) { b.arrive_and_drop(); });
}

HEDDLE_CREW_TEST(ShortLived, APromiseWithItsFuture) {
  struct pledge {
    heddle::promise<int> p;
    heddle::future<int> f = p.get_future();
  };
  bury_when_released<pledge>(
      all, rounds(14'000), make_default, [](auto& both) { EXPECT_EQ(both.f.get(), 1); },
      [](auto& both) { both.p.set_value(1); });
}

// Its state is on the heap: AddressSanitizer sees what comes too late.
HEDDLE_CREW_TEST(ShortLived, APackagedTaskByWhoSeesItReadyAfterATimeout) {
  struct pledge {
    heddle::packaged_task<int()> t{[] { return 1; }};
    heddle::shared_future<int> f = t.get_future();
  };
  bury_when_released<pledge>(
      all, rounds(8'000), make_default,
      [](auto& both) {
        auto status = both.f.wait_for(std::chrono::microseconds(1));
        for (int turn = 0; turn < 50 && status != std::future_status::ready; ++turn) {
          status = both.f.wait_for(std::chrono::seconds(0));
        }
        both.f.wait();
      },
      [](auto& both) { both.t(); });
}

HEDDLE_CREW_TEST(ShortLived, AChannelByItsReceiver) {
  bury_when_released<heddle::channel<int>>(
      all, rounds(14'000), make_default, [](auto& c) { EXPECT_EQ(c.receive(), 1); },
      [](auto& c) { EXPECT_TRUE(c.send(1)); });
}

HEDDLE_CREW_TEST(ShortLived, AChannelByItsSender) {
  bury_when_released<heddle::channel<int>>(
      all, rounds(14'000), make_default, [](auto& c) { EXPECT_TRUE(c.send(1)); },
      [](auto& c) { EXPECT_EQ(c.receive(), 1); });
}

HEDDLE_CREW_TEST(ShortLived, ABufferedChannelByItsReceiver) {
  bury_when_released<heddle::channel<int>>(
      all, rounds(14'000), [](auto& yard) { return yard.make(1u); },
      [](auto& c) { EXPECT_EQ(c.receive(), 1); }, [](auto& c) { EXPECT_TRUE(c.send(1)); });
}

HEDDLE_CREW_TEST(ShortLived, AnEvent) {
  bury_when_released<heddle::event>(
      all, rounds(20'000), make_default, [](auto& e) { e.wait(); }, [](auto& e) { e.set(); });
}

HEDDLE_CREW_TEST(ShortLived, AnEventByWhomeverTimesOutOrSeesItSet) {
  bury_when_released<heddle::event>(
      all, rounds(1'500), make_default,
      [](auto& e) {
        while (!e.wait_for(std::chrono::microseconds(1))) {
        }
      },
      [](auto& e) { e.set(); });
}

HEDDLE_CREW_TEST(ShortLived, AnExchangerByOneOfThePair) {
  bury_when_released<heddle::exchanger<int>>(
      all, rounds(14'000), make_default, [](auto& e) { EXPECT_EQ(e.exchange(1), 2); },
      [](auto& e) { EXPECT_EQ(e.exchange(2), 1); });
}

HEDDLE_CREW_TEST(ShortLived, AFullChannelByItsSender) {
  bury_when_released<heddle::channel<int>>(
      all, rounds(14'000),
      [](auto& yard) {
        auto* c = yard.make(1u);
        c->send(0);
        return c;
      },
      [](auto& c) { EXPECT_TRUE(c.send(1)); }, [](auto& c) { EXPECT_EQ(c.receive(), 0); });
}

HEDDLE_CREW_TEST(ShortLived, AClosedChannel) {
  bury_when_released<heddle::channel<int>>(
      all, rounds(14'000), make_default, [](auto& c) { EXPECT_EQ(c.receive(), std::nullopt); },
      [](auto& c) { EXPECT_TRUE(c.close()); });
}

// The other case of the select is a channel that lives on.
HEDDLE_CREW_TEST(ShortLived, AChannelBySelectsThatReceive) {
  heddle::channel<int> other;
  bury_when_released<heddle::channel<int>>(
      all, rounds(7'000), make_default,
      [&](auto& c) {
        EXPECT_EQ(heddle::select(heddle::on_receive(other), heddle::on_receive(c)), 1u);
      },
      [](auto& c) { EXPECT_TRUE(c.send(1)); });
}

HEDDLE_CREW_TEST(ShortLived, AChannelBySelectsThatSend) {
  heddle::channel<int> other;
  bury_when_released<heddle::channel<int>>(
      all, rounds(7'000), make_default,
      [&](auto& c) {
        EXPECT_EQ(heddle::select(heddle::on_receive(other), heddle::on_send(c, 1)), 1u);
      },
      [](auto& c) { EXPECT_EQ(c.receive(), 1); });
}

HEDDLE_CREW_TEST(ShortLived, AChannelByWhomASelectReleases) {
  heddle::channel<int> other;
  bury_when_released<heddle::channel<int>>(
      all, rounds(7'000), make_default, [](auto& c) { EXPECT_EQ(c.receive(), 1); },
      [&](auto& c) {
        EXPECT_EQ(heddle::select(heddle::on_send(c, 1), heddle::on_receive(other)), 0u);
      });
  bury_when_released<heddle::channel<int>>(
      all, rounds(7'000), [](auto& yard) { return yard.make(1u); },
      [](auto& c) { EXPECT_EQ(c.receive(), 1); },
      [&](auto& c) {
        EXPECT_EQ(heddle::select(heddle::on_send(c, 1), heddle::on_receive(other)), 0u);
      });
}

// The last one out destroys what the mutex guards, and the mutex with it.
HEDDLE_CREW_TEST(ShortLived, AMutexByTheLastOneOut) {
  constexpr int parties = 3;
  struct guarded {
    heddle::mutex m;
    int left = parties;  // guarded by m
  };
  const std::size_t times = rounds(14'000);
  graveyard<guarded> yard;
  start_line line(parties);
  guarded* object = nullptr;
  for (unsigned i = 0; i < parties; ++i) {
    all.start([&, i] {
      jitter late(i + 1);
      const std::stop_source never;
      for (std::size_t n = 0; n < times; ++n) {
        if (i == 0) object = yard.make();
        line.wait();
        guarded& mine = *object;
        late();
        switch ((i + n) % 3) {
          case 0:
            mine.m.lock();
            break;
          case 1:
            EXPECT_TRUE(mine.m.lock(never.get_token()));
            break;
          default:
            while (!mine.m.try_lock()) heddle::this_fiber::yield();
        }
        if (n % 8 != 0) late();
        const bool last = --mine.left == 0;
        mine.m.unlock();
        if (last) yard.bury(&mine);
        line.wait();
      }
    });
  }
  all.join();
}

HEDDLE_CREW_TEST(ShortLived, AMutexByItsNextOwner) {
  struct guarded {
    heddle::mutex m;
    bool ready = false;  // guarded by m
  };
  bury_when_released<guarded>(
      all, rounds(14'000), make_default,
      [](auto& object) {
        for (;;) {
          const std::lock_guard hold(object.m);
          if (object.ready) break;
          heddle::this_fiber::yield();
        }
      },
      [](auto& object) {
        const std::lock_guard hold(object.m);
        object.ready = true;
      });
}

template <class Condition>
static void bury_when_notified(crew& all, std::size_t times) {
  heddle::mutex m;
  for (const bool by_all : {false, true}) {
    bool waiting = false;  // guarded by m
    bury_when_released<Condition>(
        all, times, make_default,
        [&](auto& c) {
          std::unique_lock hold(m);
          waiting = true;
          c.wait(hold);
          waiting = false;
        },
        [&](auto& c) {
          EXPECT_TRUE(eventually([&] {
            const std::lock_guard hold(m);
            return waiting;
          }));
          by_all ? c.notify_all() : c.notify_one();
        });
  }
}

HEDDLE_CREW_TEST(ShortLived, AConditionVariableByTheOneNotified) {
  bury_when_notified<heddle::condition_variable>(all, rounds(7'000));
}

// He may have been notified before he fell asleep.
HEDDLE_CREW_TEST(ShortLived, AConditionVariableAnyByTheOneNotified) {
  bury_when_notified<heddle::condition_variable_any>(all, rounds(3'000));
}

// All were notified, so it may die; but they have not noticed yet.
HEDDLE_CREW_TEST(ShortLived, AConditionVariableAnyByTheOneWhoNotified) {
  heddle::mutex m;
  int waiting = 0;  // guarded by m
  bury_when_released<heddle::condition_variable_any>(
      all, rounds(3'000), make_default,
      [&](auto& c) {
        EXPECT_TRUE(eventually([&] {
          const std::lock_guard hold(m);
          return waiting == 1;
        }));
        c.notify_all();
      },
      [&](auto& c) {
        std::unique_lock hold(m);
        ++waiting;
        (void)c.wait_for(hold, std::chrono::hours(1));
        --waiting;
      });
}

// Whoever's time is up at the moment of the notification was notified too: he does not count as one
// who waits ([thread.condition.condvar], on the destructor).
template <class Condition>
static void bury_while_others_time_out(crew& all, std::size_t times) {
  using namespace std::chrono_literals;
  heddle::mutex m;
  graveyard<Condition> yard;
  start_line line(3);
  Condition* object = nullptr;
  int waiting = 0;  // guarded by m, as below
  bool ready = false;
  all.start([&] {
    for (std::size_t i = 0; i < times; ++i) {
      object = yard.make();
      ready = false;
      line.wait();
      {
        std::unique_lock hold(m);
        ++waiting;
        object->wait(hold, [&] { return ready; });
        --waiting;
      }
      yard.bury(object);
      line.wait();
    }
  });
  all.start([&] {
    jitter late(2);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      {
        std::unique_lock hold(m);
        ++waiting;
        if (!ready) (void)object->wait_for(hold, std::chrono::microseconds(late.below(60)));
        --waiting;
      }
      line.wait();
    }
  });
  all.start([&] {
    jitter late(3);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      EXPECT_TRUE(eventually([&] {
        const std::lock_guard hold(m);
        return waiting > 0;
      }));
      for (unsigned n = late.below(10); n > 0; --n) late();
      {
        const std::lock_guard hold(m);
        ready = true;
        object->notify_all();
      }
      line.wait();
    }
  });
  all.join();
}

HEDDLE_CREW_TEST(ShortLived, AConditionVariableWhileOthersTimeOut) {
  bury_while_others_time_out<heddle::condition_variable>(all, rounds(1'500));
}
HEDDLE_CREW_TEST(ShortLived, AConditionVariableAnyWhileOthersTimeOut) {
  bury_while_others_time_out<heddle::condition_variable_any>(all, rounds(500));
}

// One waiter was cancelled, another comes when the count is zero: done() must be through with the
// group by then, though it began when somebody was waiting.
HEDDLE_TEST(ShortLived, AWaitGroupWhoseWaiterWasCancelled) {
  graveyard<heddle::wait_group> yard;
  crew all(rt, heddle_test::mode::fibers);
  start_line line(2);
  heddle::wait_group* object = nullptr;
  const std::size_t times = rounds(5'000);
  all.start([&] {
    jitter late(1);
    for (std::size_t i = 0; i < times; ++i) {
      object = yard.make();
      object->add();
      heddle::fiber waits([&] { object->wait(); });
      heddle::this_fiber::yield();
      line.wait();
      late();
      waits.cancel();
      waits.join();
      object->wait();
      yard.bury(object);
    }
  });
  all.start([&] {
    jitter late(2);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      heddle::wait_group& mine = *object;
      for (unsigned n = late.below(30); n > 0; --n) late();
      mine.done();
    }
  });
  all.join();
}
