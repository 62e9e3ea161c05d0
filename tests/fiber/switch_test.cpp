// SPDX-License-Identifier: BSL-1.0
// What travels with a fiber, seen from outside: two fibers on one worker, or one that migrates. The
// traps of reliability.md (3 to 5) stand in tests/traps.
#include "world.hpp"

#include <cfenv>
#include <cmath>
#include <exception>
#include <string>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

using namespace heddle_test;
using heddle::this_fiber::yield;

// Not folded by the compiler, nor moved over a change of the rounding mode.
[[gnu::noinline]] double third(double one) {
  volatile double x = one;
  return x / 3.0;
}

HEDDLE_TEST(Switch, StartsAFiberWithTheDefaultFloatingPointEnvironment) {
  ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
  std::feclearexcept(FE_ALL_EXCEPT);
  heddle::fiber([] {
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
#if defined(__x86_64__)
    EXPECT_EQ(_mm_getcsr() & ~0x3Fu, 0x1F80u);
    unsigned short x87 = 0;
    asm volatile("fnstcw %0" : "=m"(x87));
    EXPECT_EQ(x87, 0x037F);
#endif
  }).join();
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
}

HEDDLE_TEST(Switch, LeavesEachFiberItsRoundingMode) {
  const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TONEAREST, FE_TOWARDZERO};
  std::vector<heddle::fiber> fibers;
  for (const int mode : modes) {
    fibers.emplace_back([mode] {
      std::fesetround(mode);
      const double mine = third(1), minus_mine = third(-1);
      for (int i = 0; i < 200; ++i) {
        yield();
        ASSERT_EQ(std::fegetround(), mode);
        ASSERT_EQ(third(1), mine);
        ASSERT_EQ(third(-1), minus_mine);
      }
    });
  }
  for (auto& each : fibers) each.join();
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
}

#if defined(__x86_64__)
HEDDLE_TEST(Switch, LeavesEachFiberItsControlBits) {
  constexpr unsigned flush_and_denormals = 0x8040;
  std::vector<heddle::fiber> fibers;
  for (const unsigned bits : {0u, flush_and_denormals}) {
    fibers.emplace_back([bits] {
      _mm_setcsr(_mm_getcsr() | bits);
      for (int i = 0; i < 200; ++i) {
        (void)third(1);  // sets the sticky flag of inexact results
        yield();
        ASSERT_EQ(_mm_getcsr() & ~0x3Fu, 0x1F80u | bits);
      }
    });
  }
  for (auto& each : fibers) each.join();
}
#endif

// Counts what is caught and thrown on other fibers while this one is in the middle of it.
void disturb(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    try {
      throw std::string("disturbance");
    } catch (const std::string& s) {
      yield();
      ASSERT_EQ(s, "disturbance");
      ASSERT_EQ(std::uncaught_exceptions(), 0);
    }
    ASSERT_EQ(std::current_exception(), nullptr);
  }
}

HEDDLE_TEST(Switch, KeepsTheCaughtExceptionOfEachFiber) {
  std::vector<heddle::fiber> fibers;
  fibers.emplace_back([] { disturb(200); });
  fibers.emplace_back([] { disturb(200); });
  for (int id = 0; id < 4; ++id) {
    fibers.emplace_back([id] {
      for (int i = 0; i < 50; ++i) {
        try {
          throw id;
        } catch (int) {
          for (int k = 0; k < 4; ++k) yield();
          try {
            throw;
          } catch (int again) {
            ASSERT_EQ(again, id);
          }
        }
      }
    });
  }
  for (auto& each : fibers) each.join();
}

HEDDLE_TEST(Switch, CountsUncaughtExceptionsForEachFiber) {
  struct yields_on_exit {
    ~yields_on_exit() {
      EXPECT_EQ(std::uncaught_exceptions(), 1);
      for (int k = 0; k < 4; ++k) yield();
      // A fiber that starts during unwinding is not in it.
      heddle::fiber([] { EXPECT_EQ(std::uncaught_exceptions(), 0); });
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }
  };
  std::vector<heddle::fiber> fibers;
  fibers.emplace_back([] { disturb(100); });
  for (int id = 0; id < 3; ++id) {
    fibers.emplace_back([id] {
      for (int i = 0; i < 20; ++i) {
        try {
          const yields_on_exit last;
          throw id;
        } catch (int caught) {
          ASSERT_EQ(caught, id);
        }
        ASSERT_EQ(std::uncaught_exceptions(), 0);
      }
    });
  }
  for (auto& each : fibers) each.join();
}

HEDDLE_TEST(Switch, BringsAnExceptionThroughManyFrames) {
  struct recursion {
    static int go(int depth) {
      if (depth == 0) throw depth;
      yield();
      return go(depth - 1) + 1;
    }
  };
  std::vector<heddle::fiber> fibers;
  for (int i = 0; i < 4; ++i) {
    fibers.emplace_back([] { EXPECT_THROW(recursion::go(50), int); });
  }
  for (auto& each : fibers) each.join();
}

}  // namespace
