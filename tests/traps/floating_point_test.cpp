// SPDX-License-Identifier: BSL-1.0
// floating_point: trap 5: rounding mode and FTZ/DAZ are the fiber's; a new fiber has the defaults.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/sync/wait_group.hpp>

#include <cfenv>
#include <cstdint>

namespace {

using namespace heddle_test;

#if defined(__x86_64__)
// As the registers say; the six sticky flags of MXCSR belong to nobody.
struct control {
  std::uint32_t mxcsr;
  std::uint16_t x87;
  friend bool operator==(const control&, const control&) = default;
};

control now() {
  control c{};
  asm volatile("stmxcsr %0" : "=m"(c.mxcsr));
  asm volatile("fnstcw %0" : "=m"(c.x87));
  c.mxcsr &= ~0x3Fu;
  return c;
}

void set(const control& c) {
  asm volatile("ldmxcsr %0" ::"m"(c.mxcsr));
  asm volatile("fldcw %0" ::"m"(c.x87));
}

constexpr control initial{0x1F80, 0x037F};
// Rounding up, flush to zero, denormals are zero; x87 rounds down at 53 bits.
constexpr control unusual{0x1F80 | 0x4000 | 0x8000 | 0x0040, 0x067F & ~0x0100};

#elif defined(__aarch64__)
struct control {
  std::uint64_t fpcr;
  friend bool operator==(const control&, const control&) = default;
};
control now() {
  control c{};
  asm volatile("mrs %0, fpcr" : "=r"(c.fpcr));
  return c;
}
void set(const control& c) { asm volatile("msr fpcr, %0" ::"r"(c.fpcr)); }
constexpr control initial{0};
constexpr control unusual{std::uint64_t{1} << 24 | std::uint64_t{1} << 22};
#endif

/// Sets the environment of the caller for a scope.
class with_environment {
 public:
  explicit with_environment(const control& c) : before_(now()) { set(c); }
  ~with_environment() { set(before_); }

 private:
  const control before_;
};

HEDDLE_TEST(FloatingPoint, TheEnvironmentGoesWithTheFiber) {
  heddle::wait_group all;
  for (int i = 0; i < 10; ++i) {
    all.go([&rt] {
      const with_environment mine(unusual);
      const volatile double three = 3.0;
      const double up = 1.0 / three;
      for (std::size_t round = 0; round < rounds(20); ++round) {
        heddle::this_fiber::yield();
        ASSERT_EQ(now(), unusual);
        if (rt.workers() > 1) migrate();
        ASSERT_EQ(now(), unusual);
        ASSERT_EQ(1.0 / three, up);
      }
    });
    all.go([&rt] {
      for (std::size_t round = 0; round < rounds(20); ++round) {
        ASSERT_EQ(now(), initial);
        heddle::this_fiber::yield();
        if (rt.workers() > 1) migrate();
      }
      ASSERT_EQ(now(), initial);
    });
  }
  all.wait();
}

HEDDLE_TEST(FloatingPoint, ANewFiberHasTheDefaultsOfAProcess) {
  const with_environment mine(unusual);
  // It runs while its maker sleeps...
  heddle::fiber([] { EXPECT_EQ(now(), initial); }).join();
  // ...or yields...
  heddle::fiber other([] { EXPECT_EQ(now(), initial); });
  heddle::this_fiber::yield();
  other.join();
  EXPECT_EQ(now(), unusual);
}

// One that follows another on the same stack, without a jump, must not inherit either.
HEDDLE_TEST(FloatingPoint, AFiberDoesNotInheritFromTheOneThatEndedBefore) {
  heddle::wait_group all;
  for (int i = 0; i < 100; ++i) {
    all.go([] {
      EXPECT_EQ(now(), initial);
      set(unusual);  // and ends so
    });
  }
  all.wait();
  EXPECT_EQ(now(), initial);
}

// Nor must the worker's own code, or the thread that waits.
HEDDLE_THREAD_TEST(FloatingPoint, OfAThreadStays) {
  const with_environment mine(unusual);
  rt.run([] { EXPECT_EQ(now(), initial); });
  EXPECT_EQ(now(), unusual);
}

// Whoever makes the runtime lends its environment to nobody.
TEST(FloatingPoint, IsNotInheritedFromTheRuntimesMaker) {
  const with_environment mine(unusual);
  heddle::run({.workers = 2}, [] {
    EXPECT_EQ(now(), initial);
    if (heddle::fiber::hardware_concurrency() > 0) migrate();
    EXPECT_EQ(now(), initial);
  });
}

}  // namespace
