// SPDX-License-Identifier: BSL-1.0
// backtrace: trap 35: whoever walks up a fiber's stack comes to an end at its entry: backtrace(),
//   an exception in search of a handler. gdb_test.py asks a debugger.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/sync/channel.hpp>
#include <heddle/sync/wait_group.hpp>

#include <execinfo.h>
#include <unwind.h>

#include <boost/context/detail/fcontext.hpp>

#include <csignal>
#include <cstdint>
#include <stdexcept>
#include <vector>

extern "C" void heddle_fiber_entry(boost::context::detail::transfer_t) noexcept;

namespace {

using namespace heddle_test;

struct walk {
  std::vector<std::uintptr_t> frames;
  _Unwind_Reason_Code end = _URC_NO_REASON;
};

[[gnu::noinline]] walk walk_up() {
  walk seen;
  seen.end = ::_Unwind_Backtrace(
      [](_Unwind_Context* at, void* out) {
        auto& frames = static_cast<walk*>(out)->frames;
        if (frames.size() == 1'000) return _URC_NORMAL_STOP;
        frames.push_back(::_Unwind_GetIP(at));
        return _URC_NO_REASON;
      },
      &seen);
  return seen;
}

void* function_at(std::uintptr_t ip) {
  return ::_Unwind_FindEnclosingFunction(reinterpret_cast<void*>(ip - 1));
}

[[gnu::noinline]] void expect_to_end_at_the_entry(int depth) {
  if (depth > 0) {
    expect_to_end_at_the_entry(depth - 1);
    asm volatile("");  // no tail call
    return;
  }
  const walk seen = walk_up();
  EXPECT_EQ(seen.end, _URC_END_OF_STACK);
  ASSERT_GE(seen.frames.size(), 3u);
  ASSERT_LT(seen.frames.size(), 100u);
  void* outermost = nullptr;
  for (const auto ip : seen.frames) {
    if (ip != 0) outermost = function_at(ip);
  }
  EXPECT_EQ(outermost, reinterpret_cast<void*>(&heddle_fiber_entry));

  void* by_glibc[200];
  const int count = ::backtrace(by_glibc, 200);
  EXPECT_GE(count, 3);
  EXPECT_LT(count, 100);
}

HEDDLE_TEST(Backtrace, OfAFiberEndsAtItsEntry) {
  // First on its stack, or after another; nested; after a sleep; after a migration.
  heddle::wait_group all;
  for (int i = 0; i < 20; ++i) {
    all.go([i, &rt] {
      expect_to_end_at_the_entry(i % 5);
      heddle::this_fiber::yield();
      expect_to_end_at_the_entry(i % 5);
      heddle::this_fiber::sleep_for(10us);
      expect_to_end_at_the_entry(i % 5);
      if (rt.workers() > 1 && i % 5 == 0) migrate();
      expect_to_end_at_the_entry(i % 5);
    });
  }
  all.wait();
}

struct walks_on_destruction {
  ~walks_on_destruction() { expect_to_end_at_the_entry(2); }
};

HEDDLE_TEST(Backtrace, EndsAtTheEntryWhileAnExceptionUnwinds) {
  try {
    const walks_on_destruction here;
    heddle::this_fiber::yield();
    throw 1;
  } catch (int) {
    expect_to_end_at_the_entry(1);
  }
}

// The search for a handler ends too, where nobody has one: in terminate, not in a crash.
TEST(Backtrace, TheSearchForAHandlerEndsAtTheEntry) {
  EXPECT_EXIT(heddle::run({.workers = 1},
                          [] {
                            heddle::fiber({.name = "thrower"}, [] {
                              heddle::this_fiber::yield();
                              throw std::runtime_error("nobody takes it");
                            }).join();
                          }),
              testing::KilledBySignal(SIGABRT), "'thrower': std::runtime_error: nobody takes it");
}

}  // namespace
