// SPDX-License-Identifier: BSL-1.0
// escape: trap 25: an exception that leaves a fiber ends the process by std::terminate, after the
//   fiber's name, the exception's type and its what() were printed.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/sched/blocking.hpp>
#include <heddle/sync/wait_group.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

using namespace heddle_test;

struct broken_thing : std::runtime_error {
  using std::runtime_error::runtime_error;
};

const auto aborted = testing::KilledBySignal(SIGABRT);

template <class F>
void in_runtime(F f) {
  heddle::run({.workers = 2}, [&] {
    f();
    for (;;) heddle::this_fiber::yield();
  });
}

TEST(Escape, PrintsNameTypeAndMessage) {
  EXPECT_EXIT(
      in_runtime([] {
        heddle::fiber({.name = "reader"}, [] { throw broken_thing("no such luck"); }).join();
      }),
      aborted, "heddle: an exception left fiber [0-9]+ 'reader': .*broken_thing: no such luck");
}

TEST(Escape, OfAGoIsFatal) {
  EXPECT_EXIT(in_runtime([] { heddle::go({.name = "gone"}, [] { throw broken_thing("lost"); }); }),
              aborted, "an exception left fiber [0-9]+ 'gone': .*broken_thing: lost");
}

TEST(Escape, OfARuntimesGoIsFatal) {
  EXPECT_EXIT(
      {
        heddle::runtime rt({.workers = 1});
        rt.go([] {
          heddle::this_fiber::set_name("late");
          throw std::string("odd");
        });
        for (;;) std::this_thread::sleep_for(1s);
      },
      aborted,
      "an exception left fiber [0-9]+ 'late': std::.*basic_string.* \\(not a std::exception\\)");
}

TEST(Escape, OfAWaitGroupsGoIsFatal) {
  EXPECT_EXIT(in_runtime([] {
                heddle::wait_group all;
                all.go([] { throw broken_thing("of a group"); });
                all.wait();
              }),
              aborted, "an exception left fiber [0-9]+: .*broken_thing: of a group");
}

TEST(Escape, AfterAMigrationIsToldTheSameWay) {
  EXPECT_EXIT(in_runtime([] {
                heddle::fiber({.name = "far"}, [] {
                  migrate();
                  throw broken_thing("from home");
                }).join();
              }),
              aborted, "an exception left fiber [0-9]+ 'far': .*broken_thing: from home");
}

// As with std::thread the user's terminate handler runs, and finds the exception.
TEST(Escape, ReachesTheUsersTerminateHandler) {
  EXPECT_EXIT(in_runtime([] {
                std::set_terminate([] {
                  try {
                    std::rethrow_exception(std::current_exception());
                  } catch (const broken_thing& e) {
                    std::fprintf(stderr, "the user saw: %s\n", e.what());
                  }
                  std::_Exit(3);
                });
                heddle::go([] { throw broken_thing("it all"); });
              }),
              testing::ExitedWithCode(3), "broken_thing: it all\n(.*\n)*the user saw: it all");
}

// A long name and a long message are cut, not overrun.
TEST(Escape, ALongNameAndMessageAreCut) {
  EXPECT_EXIT(in_runtime([] {
                heddle::go({.name = std::string(1'000'000, 'n')},
                           [] { throw broken_thing(std::string(100'000, 'm')); });
              }),
              aborted, "an exception left fiber [0-9]+ 'nnnnn.*broken_thing: mmmmm");
}

HEDDLE_TEST(Escape, CancelledEndsItsFiberQuietly) {
  for (int i = 0; i < 100; ++i) {
    heddle::fiber f([] { heddle::this_fiber::sleep_for(1h); });
    heddle::this_fiber::yield();
    EXPECT_TRUE(f.cancel());
    f.join();
  }
}

HEDDLE_THREAD_TEST(Escape, OfRunIsItsCallersToCatch) {
  EXPECT_THROW(rt.run([] { throw broken_thing("mine"); }), broken_thing);
  EXPECT_THROW(rt.run([] { throw 7; }), int);
}

TEST(Escape, ARuntimeDestroyedFromItsOwnFiberSaysSo) {
  EXPECT_EXIT(
      {
        auto* rt = new heddle::runtime({.workers = 2});
        rt->run([rt] {
          heddle::this_fiber::set_name("suicidal");
          delete rt;
        });
      },
      aborted, "runtime was destroyed from one of its own fibers.*in fiber [0-9]+ 'suicidal'");
}

TEST(Escape, ARuntimeDestroyedFromABlockingCallOfItsOwnSaysSo) {
  EXPECT_EXIT(
      {
        auto* rt = new heddle::runtime({.workers = 1});
        rt->run([rt] { heddle::blocking([rt] { delete rt; }); });
      },
      aborted, "runtime was destroyed from one of its own fibers");
}

}  // namespace
