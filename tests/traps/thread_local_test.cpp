// SPDX-License-Identifier: BSL-1.0
// thread_local: trap 34: thread_locals with destructors on the threads of a runtime. Those run when
//   the thread ends, and may use heddle, as on any plain thread; or it says why not.
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <sys/time.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace {

using namespace heddle_test;

/// Called when the thread that holds it ends.
struct last_words {
  std::function<void()> say;
  ~last_words() {
    if (say) say();
  }
};
thread_local last_words of_this_thread;

/// Has `say` called at the end of each of so many workers.
void at_end_of_workers(unsigned workers, const std::function<void()>& say) {
  heddle::run({.workers = workers}, [&] {
    std::atomic<unsigned> there{0};
    heddle::wait_group all;
    for (unsigned i = 0; i < workers; ++i) {
      all.go([&] {
        of_this_thread.say = say;
        there.fetch_add(1);
        while (there.load() < workers) std::this_thread::yield();  // one to each
      });
    }
    all.wait();
  });
}

/// The same of the thread of a blocking() call.
void at_end_of_blocking_thread(const std::function<void()>& say) {
  heddle::run({.workers = 2}, [&] { heddle::blocking([&] { of_this_thread.say = say; }); });
}

TEST(ThreadLocal, OfAWorkerMayUseLocksAndChannels) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    heddle::mutex m;
    heddle::condition_variable all_said;
    unsigned said = 0;
    heddle::channel<unsigned> words;
    static heddle::fiber_local<std::string> local;
    std::thread listener([&] {
      for (unsigned i = 0; i < workers; ++i) EXPECT_EQ(*words.receive(), workers);
    });
    at_end_of_workers(workers, [&] {
      EXPECT_EQ(heddle::runtime::current(), nullptr);
      EXPECT_EQ(heddle::this_fiber::get_id(), heddle::fiber::id{});
      EXPECT_TRUE(local->empty());
      *local = "a text that is too long for the string itself";
      {
        std::unique_lock hold(m);
        std::this_thread::yield();
        if (++said == workers) all_said.notify_all();
        all_said.wait(hold, [&] { return said == workers; });
      }
      heddle::this_fiber::yield();
      heddle::this_fiber::sleep_for(1ms);
      words.send(workers);
    });
    listener.join();
    EXPECT_EQ(said, workers);
  }
}

TEST(ThreadLocal, OfAWorkerMayStartFibersInOtherRuntimes) {
  heddle::runtime other({.workers = 2});
  for (const unsigned workers : {1u, 2u, 8u}) {
    std::atomic<unsigned> ran{0};
    heddle::wait_group all;
    at_end_of_workers(workers, [&] {
      all.add();
      other.go([&] {
        ran.fetch_add(1);
        all.done();
      });
      heddle::fiber of_default([&] { ran.fetch_add(1); });
      of_default.join();
      ran.fetch_add(heddle::run({.workers = 1}, [] { return 1u; }));
    });
    all.wait();
    EXPECT_EQ(ran.load(), 3 * workers);
  }
}

// To the end of such a thread "current" is the runtime that it works for, which then waits for what
// is started there.
TEST(ThreadLocal, OfABlockingThreadMayStartFibersInItsRuntime) {
  std::atomic<int> ran{0};
  const int runs = static_cast<int>(rounds(300));
  for (int i = 0; i < runs; ++i) {
    at_end_of_blocking_thread([&] {
      for (int k = 0; k < 10; ++k) heddle::go([&] { ran.fetch_add(1); });
      heddle::fiber busy([&] {
        const heddle::shield so_that_it_begins;
        heddle::blocking([&] { ran.fetch_add(1); });
      });
      busy.join();
    });
  }
  EXPECT_EQ(ran.load(), 11 * runs);
}

// One such thread's end after another's: each of them starts what starts the next.
TEST(ThreadLocal, OfABlockingThreadMayStartAnother) {
  for (std::size_t i = 0; i < rounds(30); ++i) {
    std::atomic<int> ran{0};
    const std::function<void()> again = [&] {
      if (ran.fetch_add(1) == 10) return;
      heddle::go([&] {
        const heddle::shield so_that_it_begins;
        heddle::blocking([&] { of_this_thread.say = again; });
      });
    };
    at_end_of_blocking_thread(again);
    EXPECT_EQ(ran.load(), 11);
  }
}

TEST(ThreadLocal, OfAWorkerMayNotStartFibersInItsOwnRuntime) {
  EXPECT_EXIT(
      {
        heddle::runtime own({.workers = 1});
        own.run([&] { of_this_thread.say = [&own] { own.go([] {}); }; });
      },
      testing::KilledBySignal(SIGABRT),
      "fiber [0-9]+ was started in a runtime whose workers have ended.*no fiber");
}

TEST(ThreadLocal, MayNotKeepTheHandleOfAFiberOfItsRuntime) {
  EXPECT_EXIT(
      {
        static thread_local heddle::fiber kept;
        heddle::run({.workers = 1}, [] { kept = heddle::fiber([] {}); });
      },
      testing::KilledBySignal(SIGABRT), "the handle of fiber [0-9]+ outlives its runtime");
}

TEST(ThreadLocal, WhoWaitsLongAtTheEndIsTold) {
  EXPECT_EXIT(
      {
        heddle::channel<int> answers;
        std::thread([answers] {
          std::this_thread::sleep_for(1300ms);
          answers.send(1);
        }).detach();
        at_end_of_workers(1, [answers] { answers.receive(); });
        ::_exit(31);
      },
      testing::ExitedWithCode(31), "^heddle: a thread_local's destructor has waited for 1 s.*\n$");
}

/// SIGALRM ends the process.
void end_within(std::chrono::milliseconds limit) {
  limit *= slowness();
  itimerval at{};
  at.it_value.tv_sec = limit.count() / 1000;
  at.it_value.tv_usec = limit.count() % 1000 * 1000;
  ::setitimer(ITIMER_REAL, &at, nullptr);
}

// Its fibers stand still: what the thread waits for does not come, and who exits waits for the
// thread.
TEST(ThreadLocal, WhoWaitsForTheHaltedDefaultRuntimeIsTold) {
  EXPECT_EXIT(
      {
        static heddle::runtime own({.workers = 1});
        heddle::runtime::default_runtime().run([] {});
        own.run([] { of_this_thread.say = [] { heddle::fiber([] {}).join(); }; });
        end_within(1500ms);
        std::exit(99);
      },
      testing::KilledBySignal(SIGALRM),
      "^heddle: a thread_local's destructor has waited for 1 s.*\n$");
}

TEST(ThreadLocal, OfTheDefaultRuntimesWorkersAreLeftAtExit) {
  EXPECT_EXIT(
      {
        heddle::runtime::default_runtime().run([] { of_this_thread.say = [] { ::_exit(98); }; });
        std::exit(32);
      },
      testing::ExitedWithCode(32), "^$");
}

TEST(ThreadLocal, OfTheMainThreadMayUseTheDefaultRuntimeAtExit) {
  EXPECT_EXIT(
      {
        heddle::channel<int> questions;
        static heddle::fiber server([questions] {
          while (questions.receive()) {
          }
        });
        of_this_thread.say = [questions] {
          questions.send(1);
          questions.close();
          server.join();
          ::_exit(heddle::runtime::default_runtime().run([] { return 33; }));
        };
        std::exit(99);
      },
      testing::ExitedWithCode(33), "^$");
}

// They are destroyed before anything is halted, in the fiber: it may use heddle, but not wait.
TEST(ThreadLocal, OfTheFiberThatExitsMayUseHeddle) {
  EXPECT_EXIT(
      {
        static heddle::mutex m;
        static std::atomic<bool> ran{false};
        heddle::channel<int> words(1);
        heddle::runtime::default_runtime().go([words] {
          of_this_thread.say = [words] {
            const std::lock_guard hold(m);
            heddle::fiber started([] { ran.store(true); });
            started.detach();
            words.send(34);
          };
          std::exit(34);
        });
        words.receive();
        ::pause();
      },
      testing::ExitedWithCode(34), "^$");
}

}  // namespace
