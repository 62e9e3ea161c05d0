// SPDX-License-Identifier: BSL-1.0
// exit: trap 22: a process that ends with fibers alive ends at once, with the right status, and
//   says nothing. return_from_main.cpp is the same for `return`.
#include "fibers_of_every_kind.hpp"
#include "sync/crew.hpp"
#include "world.hpp"

#include <sys/time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

namespace {

using namespace heddle_test;

/// SIGALRM ends the process if it is still there after a second.
void end_within_a_second() {
  itimerval limit{};
  limit.it_value.tv_sec = slowness();
  ::setitimer(ITIMER_REAL, &limit, nullptr);
}

// But, on a slow machine, that the one of them that computes has done so for a second.
const char* const nothing_said = "^(heddle: fiber [0-9]+ has run for [^\n]*\n(    [^\n]*\n)*)*$";

/// In a fiber of the default runtime, amid others.
template <class F>
[[noreturn]] void in_a_fiber(F f) {
  start_fibers_of_every_kind();
  heddle::runtime::default_runtime().run([f] {
    end_within_a_second();
    f();
  });
  std::abort();
}

TEST(Exit, FromMainEndsWithFibersAlive) {
  EXPECT_EXIT(
      {
        start_fibers_of_every_kind();
        end_within_a_second();
        std::exit(7);
      },
      testing::ExitedWithCode(7), nothing_said);
}

TEST(Exit, InAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { std::exit(8); }), testing::ExitedWithCode(8), nothing_said);
}

TEST(Exit, QuickExitInAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { std::quick_exit(9); }), testing::ExitedWithCode(9), nothing_said);
}

TEST(Exit, UnderscoreExitInAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { ::_exit(10); }), testing::ExitedWithCode(10), nothing_said);
}

TEST(Exit, AbortInAFiberEndsWithFibersAlive) {
  EXPECT_EXIT(in_a_fiber([] { std::abort(); }), testing::KilledBySignal(SIGABRT), nothing_said);
}

TEST(Exit, OfAnotherThreadEndsWithFibersAlive) {
  EXPECT_EXIT(
      {
        start_fibers_of_every_kind();
        end_within_a_second();
        std::thread([] { std::exit(11); }).join();
      },
      testing::ExitedWithCode(11), nothing_said);
}

// What is older than the default runtime is destroyed after its fibers were halted. `f` is called
// there, by the thread that exits.
template <class F>
struct called_at_exit {
  F f;
  ~called_at_exit() { f(); }
};
template <class F>
called_at_exit(F) -> called_at_exit<F>;

TEST(Exit, YieldingFibersStandStillWhileStaticsAreDestroyed) {
  EXPECT_EXIT(
      {
        static std::atomic<int> turns{0};
        static const called_at_exit last{[] {
          const int now = turns.load(std::memory_order_relaxed);
          std::this_thread::sleep_for(20ms);  // that others would use
          // Each worker stands still at its next switch: one more turn is in order.
          if (turns.load(std::memory_order_relaxed) > now + 100) ::_exit(99);
        }};
        heddle::runtime& rt = heddle::runtime::default_runtime();
        for (int i = 0; i < 10; ++i) {
          rt.go([] {
            for (;;) {
              turns.fetch_add(1, std::memory_order_relaxed);
              heddle::this_fiber::yield();
            }
          });
        }
        while (turns.load(std::memory_order_relaxed) < 1'000) std::this_thread::yield();
        // Registered before heddle's own handler, so run after it.
        std::exit(12);
      },
      testing::ExitedWithCode(12), nothing_said);
}

// A channel on which the fibers were busy when they were halted: nobody stands still with its lock.
TEST(Exit, WhatIsStaticMayUseWhatFibersWereBusyWith) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EXIT(
        {
          static heddle::channel<int> c(2);
          static const called_at_exit last{[] {
            while (c.try_receive()) {
            }
            while (c.try_send(1) == heddle::channel_status::ok) {
            }
            c.close();
          }};
          heddle::runtime& rt = heddle::runtime::default_runtime();
          std::atomic<int> turns{0};
          for (int n = 0; n < 4; ++n) {
            rt.go([&] {
              while (c.send(1)) turns.fetch_add(1, std::memory_order_relaxed);
            });
            rt.go([&] {
              while (c.receive()) turns.fetch_add(1, std::memory_order_relaxed);
            });
          }
          while (turns.load(std::memory_order_relaxed) < 1'000) std::this_thread::yield();
          end_within_a_second();
          std::exit(13);
        },
        testing::ExitedWithCode(13), nothing_said);
  }
}

TEST(Exit, AHandleOfAFiberThatStandsStillIsLeft) {
  EXPECT_EXIT(
      {
        static heddle::fiber parked;
        static heddle::fiber sleeping;
        static heddle::fiber polite;
        static heddle::fiber queued;
        start_fibers_of_every_kind();
        heddle::wait_group started;
        started.add(3);
        parked = heddle::fiber([&] {
          heddle::channel<int> nobody;
          started.done();
          nobody.receive();
        });
        sleeping = heddle::fiber([&] {
          started.done();
          heddle::this_fiber::sleep_for(1h);
        });
        polite = heddle::fiber([&](std::stop_token stop) {
          started.done();
          while (!stop.stop_requested()) heddle::this_fiber::sleep_for(1ms);
        });
        started.wait();
        queued = heddle::fiber([] {});
        end_within_a_second();
        std::exit(14);
      },
      testing::ExitedWithCode(14), nothing_said);
}

TEST(Exit, AHandleOfAFiberThatRunsIsJoined) {
  EXPECT_EXIT(
      {
        static std::atomic<bool> ended{false};
        static heddle::fiber busy;
        static const called_at_exit last{[] {
          busy = {};
          ::_exit(ended.load() ? 15 : 98);
        }};
        std::atomic<bool> started{false};
        busy = heddle::fiber([&](std::stop_token stop) {
          started.store(true);
          while (!stop.stop_requested()) {
          }
          std::this_thread::sleep_for(20ms);  // work that is left to do
          ended.store(true);
        });
        while (!started.load()) std::this_thread::yield();
        std::exit(99);
      },
      testing::ExitedWithCode(15), nothing_said);
}

TEST(Exit, JoiningAFiberThatStandsStillThrows) {
  EXPECT_EXIT(
      {
        static heddle::fiber late;
        static const called_at_exit last{[] {
          std::errc code{};
          try {
            late.cancel();
            late.join();
          } catch (const std::system_error& e) {
            std::fputs(e.what(), stderr);
            code = static_cast<std::errc>(e.code().value());
          }
          const bool kept = late.joinable();
          late.detach();
          ::_exit(code == std::errc::resource_deadlock_would_occur && kept ? 16 : 98);
        }};
        late = heddle::fiber({.name = "the late one"}, [] { heddle::this_fiber::sleep_for(1h); });
        end_within_a_second();
        std::exit(99);
      },
      testing::ExitedWithCode(16), "fiber [0-9]+ 'the late one'.*stand still.*before main");
}

TEST(Exit, RunInAHaltedRuntimeThrows) {
  EXPECT_EXIT(
      {
        static const called_at_exit last{[] {
          try {
            heddle::runtime::default_runtime().run([] {});
          } catch (const std::system_error& e) {
            ::_exit(e.code() == std::errc::resource_deadlock_would_occur ? 17 : 98);
          }
        }};
        heddle::runtime::default_runtime().run([] {});
        end_within_a_second();
        std::exit(99);
      },
      testing::ExitedWithCode(17), nothing_said);
}

TEST(Exit, ARuntimeOfItsOwnRunsMeanwhile) {
  EXPECT_EXIT(
      {
        static const called_at_exit last{[] {
          ::_exit(heddle::run([] {
            heddle::fiber f([] { heddle::this_fiber::sleep_for(1ms); });
            f.join();
            return 18;
          }));
        }};
        heddle::runtime::default_runtime().run([] {});
        end_within_a_second();
        std::exit(99);
      },
      testing::ExitedWithCode(18), nothing_said);
}

// Who joins on another thread waits, and ends with the process.
TEST(Exit, IsLeftToTheThreadThatExits) {
  EXPECT_EXIT(
      {
        static heddle::fiber late;
        static const called_at_exit last{[] {
          static std::atomic<pid_t> tid{0};
          std::thread([] {
            tid.store(::gettid());
            late.join();
          }).detach();
          while (tid.load() == 0 || !sleeps_in_futex(tid.load())) std::this_thread::yield();
        }};
        late = heddle::fiber([] { heddle::this_fiber::sleep_for(1h); });
        end_within_a_second();
        std::exit(19);
      },
      testing::ExitedWithCode(19), nothing_said);
}

// The fiber that exits stays where it is, and waits as a thread does: what it would switch to
// stands still.
TEST(Exit, InAFiberMayWaitMeanwhile) {
  EXPECT_EXIT(
      {
        static heddle::fiber itself;
        static heddle::channel<int> c;
        static const called_at_exit last{[] {
          heddle::this_fiber::yield();
          heddle::this_fiber::sleep_for(1ms);
          std::thread sender([] { c.send(20); });
          const int code = c.receive().value();
          sender.join();
          itself = {};
          ::_exit(code);
        }};
        start_fibers_of_every_kind();
        heddle::channel<int> handle_is_set;
        itself = heddle::fiber([handle_is_set]() mutable {
          handle_is_set.receive();
          end_within_a_second();
          std::exit(99);
        });
        handle_is_set.close();
        ::pause();
      },
      testing::ExitedWithCode(20), nothing_said);
}

// The default runtime is halted, its own is not; it goes on as a thread all the same.
TEST(Exit, InAFiberOfARuntimeOfItsOwnMayWaitMeanwhile) {
  EXPECT_EXIT(
      {
        static heddle::runtime own({.workers = 1});
        static heddle::fiber late;
        static const called_at_exit last{[] {
          heddle::wait_group others;
          others.add();
          own.go([&] {
            heddle::this_fiber::yield();
            others.done();
          });
          others.wait();
          heddle::blocking([] { late = {}; });
          ::_exit(24);
        }};
        late = heddle::fiber([] { heddle::this_fiber::sleep_for(1h); });
        end_within_a_second();
        own.run([] { std::exit(99); });
      },
      testing::ExitedWithCode(24), nothing_said);
}

TEST(Exit, ARuntimeMayNotBeDestroyedByItsFiberThatExits) {
  EXPECT_EXIT(
      {
        static heddle::runtime own({.workers = 1});
        heddle::runtime::default_runtime().run([] {});
        own.run([] { std::exit(99); });
      },
      testing::KilledBySignal(SIGABRT), "destroyed from one of its own fibers");
}

// Who waits for a mutex when all are halted does not get it, since nobody would get it after him.
TEST(Exit, AMutexStaysFreeForWhoGoesOn) {
  EXPECT_EXIT(
      {
        static heddle::mutex m;
        static const called_at_exit last{[] {
          m.unlock();
          for (int i = 0; i < 10'000; ++i) const std::lock_guard hold(m);
        }};
        m.lock();
        heddle::runtime& rt = heddle::runtime::default_runtime();
        for (int i = 0; i < 4; ++i) {
          rt.go([] { const std::lock_guard hold(m); });
        }
        while (rt.stats().parks < 4) std::this_thread::yield();
        end_within_a_second();
        std::exit(25);
      },
      testing::ExitedWithCode(25), nothing_said);
}

TEST(Exit, ASharedMutexStaysFreeForWhoGoesOn) {
  EXPECT_EXIT(
      {
        static heddle::shared_mutex m;
        static const called_at_exit last{[] {
          m.unlock();
          for (int i = 0; i < 10'000; ++i) {
            { const std::lock_guard hold(m); }
            const std::shared_lock hold(m);
          }
        }};
        m.lock();
        heddle::runtime& rt = heddle::runtime::default_runtime();
        for (int i = 0; i < 4; ++i) {
          rt.go([i] {
            if (i % 2 == 0) {
              const std::lock_guard hold(m);
            } else {
              const std::shared_lock hold(m);
            }
          });
        }
        while (rt.stats().parks < 4) std::this_thread::yield();
        end_within_a_second();
        std::exit(25);
      },
      testing::ExitedWithCode(25), nothing_said);
}

TEST(Exit, WhatIsWaitedForMayBeDestroyed) {
  EXPECT_EXIT(
      {
        static heddle::mutex m;
        static heddle::wait_group g;
        static heddle::condition_variable c;
        static heddle::channel<int> nobody;
        heddle::runtime& rt = heddle::runtime::default_runtime();
        g.add();
        rt.go([] {
          std::unique_lock hold(m);
          heddle::this_fiber::sleep_for(1h);
        });
        while (rt.stats().parks < 1) std::this_thread::yield();
        rt.go([] { m.lock(); });
        rt.go([] { g.wait(); });
        rt.go([] { nobody.receive(); });
        rt.go([] {
          heddle::mutex own;
          std::unique_lock hold(own);
          c.wait(hold);
        });
        while (rt.stats().parks < 5) std::this_thread::yield();
        end_within_a_second();
        std::exit(26);
      },
      testing::ExitedWithCode(26), nothing_said);
}

TEST(Exit, WaitingLongMeanwhileIsReported) {
  EXPECT_EXIT(
      {
        static heddle::wait_group group;
        static const called_at_exit last{[] {
          std::thread later([] {
            std::this_thread::sleep_for(1200ms);
            group.done();
          });
          group.wait();
          later.join();
          ::_exit(21);
        }};
        group.add();
        heddle::runtime::default_runtime().run([] {});
        std::exit(99);
      },
      testing::ExitedWithCode(21), "^heddle: exit.. has waited for 1 s.*before main.*\n$");
}

// A global handle that starts its fiber itself is younger than the default runtime.
TEST(Exit, WaitingLongBeforeTheHaltIsReported) {
  EXPECT_EXIT(
      {
        static heddle::channel<int> requests;
        static heddle::fiber server([] {
          for ([[maybe_unused]] const int each : requests) {
          }
        });
        static const called_at_exit first{[] {
          std::thread([] {
            std::this_thread::sleep_for(1200ms);
            requests.close();
          }).detach();
        }};
        requests.send(1);
        std::exit(27);
      },
      testing::ExitedWithCode(27), "^heddle: exit.. has waited for 1 s.*before main.*\n$");
}

TEST(Exit, WaitingLongForAFiberThatRunsIsReported) {
  EXPECT_EXIT(
      {
        static heddle::fiber busy;
        static const called_at_exit last{[] {
          busy = {};
          ::_exit(22);
        }};
        std::atomic<bool> started{false};
        busy = heddle::fiber([&] {
          started.store(true);
          std::this_thread::sleep_for(1300ms);
        });
        while (!started.load()) std::this_thread::yield();
        std::exit(99);
      },
      testing::ExitedWithCode(22), "^heddle: exit.. has waited for 1 s for fiber.*\n$");
}

// The main thread's thread-locals are destroyed before what is static.
TEST(Exit, AFiberLocalMayBeUsedMeanwhile) {
  EXPECT_EXIT(
      {
        static heddle::fiber_local<std::string> local;
        static const called_at_exit last{
            [] { ::_exit(local->empty() && local->append("new").size() == 3 ? 23 : 98); }};
        local->append("a text that is too long for the string itself");
        std::exit(99);
      },
      testing::ExitedWithCode(23), nothing_said);
}

}  // namespace
