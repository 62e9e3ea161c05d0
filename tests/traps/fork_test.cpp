// SPDX-License-Identifier: BSL-1.0
// fork: a forked child may only exec. Any other use of heddle in it fails with a message, and the
//   parent goes on. Each test runs in a process of its own, which is the parent: a child of this
//   one would inherit its state.
#include "world.hpp"

#include <heddle/sched/blocking.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/mutex.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace {

using namespace heddle_test;

/// Forks; the child does `use`, which must end it by SIGABRT within a while.
template <class F>
void expect_refused_in_child(F use) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(static_cast<unsigned>(5 * slowness()));
    use();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
    std::fprintf(stderr, "the child ended with status %#x\n", static_cast<unsigned>(status));
    ::_exit(1);
  }
}

/// A runtime that is busy all the while: `body(rt)` on a plain thread, then all must still work.
template <class F>
[[noreturn]] void as_a_busy_parent(F body) {
  heddle::runtime& rt = heddle::runtime::default_runtime();
  static std::atomic<bool> over{false};
  heddle::channel<int> c;
  for (int i = 0; i < 4; ++i) {
    rt.go([c]() mutable {
      while (!over.load(std::memory_order_relaxed)) {
        heddle::go([] { heddle::this_fiber::yield(); });
        c.send(1);
      }
      c.close();
    });
  }
  heddle::fiber reader([c]() mutable {
    while (c.receive()) {
    }
  });
  body(rt);
  over.store(true, std::memory_order_relaxed);
  reader.join();
  ::_exit(rt.run([] { return 42; }));
}

const auto went_on = testing::ExitedWithCode(42);
const char* const refusal = "heddle: used in a forked child";

TEST(Fork, AChildThatSpawnsIsRefused) {
  EXPECT_EXIT(as_a_busy_parent(
                  [](heddle::runtime&) { expect_refused_in_child([] { heddle::go([] {}); }); }),
              went_on, refusal);
}

TEST(Fork, AChildThatRunsIsRefused) {
  EXPECT_EXIT(as_a_busy_parent([](heddle::runtime& rt) {
                expect_refused_in_child([&rt] { rt.run([] {}); });
                expect_refused_in_child([] { heddle::run({.workers = 1}, [] {}); });
              }),
              went_on, refusal);
}

TEST(Fork, AChildThatMakesARuntimeIsRefusedOnce) {
  EXPECT_EXIT(as_a_busy_parent([](heddle::runtime&) {
                expect_refused_in_child([] { heddle::run({.workers = 2}, [] {}); });
              }),
              went_on, "^heddle: used in a forked child[^\n]*\n$");
}

TEST(Fork, AChildThatWaitsIsRefused) {
  EXPECT_EXIT(as_a_busy_parent([](heddle::runtime&) {
                expect_refused_in_child([] { heddle::channel<int>{}.receive(); });
                expect_refused_in_child([] {
                  heddle::mutex m;
                  m.lock();
                  m.lock();
                });
              }),
              went_on, refusal);
}

TEST(Fork, AChildThatBeginsATraceIsRefused) {
  EXPECT_EXIT(as_a_busy_parent([](heddle::runtime&) {
                for (int i = 0; i < 10; ++i)
                  expect_refused_in_child([] { heddle::trace::start("/dev/null"); });
              }),
              went_on, refusal);
}

TEST(Fork, AChildThatExitsWithAGlobalHandleIsRefused) {
  EXPECT_EXIT(
      {
        static heddle::fiber busy;
        std::atomic<bool> over{false};
        std::atomic<bool> started{false};
        busy = heddle::fiber([&] {
          started.store(true);
          while (!over.load()) heddle::detail::cpu_relax();
        });
        while (!started.load()) std::this_thread::yield();
        expect_refused_in_child([] { std::exit(3); });
        over.store(true);
        busy.join();
        ::_exit(42);
      },
      went_on, refusal);
}

// The child is a copy of the fiber that forked, on the one thread that it has.
TEST(Fork, AChildOfAFiberThatSwitchesIsRefused) {
  EXPECT_EXIT(as_a_busy_parent([](heddle::runtime& rt) {
                rt.run([] {
                  expect_refused_in_child([] { heddle::this_fiber::yield(); });
                  expect_refused_in_child([] { heddle::this_fiber::sleep_for(1ms); });
                  expect_refused_in_child([] { heddle::channel<int>{}.receive(); });
                  expect_refused_in_child([] { heddle::blocking([] {}); });
                });
              }),
              went_on, refusal);
}

// It must not run its parent's other fibers even once.
TEST(Fork, AChildOfAFiberRunsNoOtherFiber) {
  EXPECT_EXIT(heddle::run({.workers = 1},
                          [] {
                            static pid_t parent = 0;
                            parent = ::getpid();
                            for (int i = 0; i < 10; ++i) {
                              heddle::go([] {
                                for (;;) {
                                  if (::getpid() != parent) ::_exit(0);
                                  heddle::this_fiber::yield();
                                }
                              });
                            }
                            expect_refused_in_child([] { heddle::this_fiber::yield(); });
                            ::_exit(42);
                          }),
              went_on, refusal);
}

TEST(Fork, AChildThatExecsIsFineAHundredTimes) {
  EXPECT_EXIT(as_a_busy_parent([](heddle::runtime& rt) {
                const auto exec_true = [] {
                  const pid_t child = ::fork();
                  if (child == 0) {
                    ::execl("/bin/true", "true", static_cast<char*>(nullptr));
                    ::_exit(1);
                  }
                  int status = 0;
                  ::waitpid(child, &status, 0);
                  if (status != 0) ::_exit(1);
                };
                for (std::size_t i = 0; i < rounds(50); ++i) {
                  exec_true();
                  rt.run([&] { heddle::blocking(exec_true); });
                }
              }),
              went_on, "^$");
}

}  // namespace
