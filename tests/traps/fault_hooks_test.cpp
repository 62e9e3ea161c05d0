// SPDX-License-Identifier: BSL-1.0
// fault: trap 38: each call that can fail is made to fail: the n-th, for every n; and all from the
//   n-th on. What comes out is the documented exception at the place that asked; what was started
//   finishes, nothing is lost or leaked, and when the fault is gone all works.
#include "world.hpp"

#include <heddle/base/atomic.hpp>
#include <heddle/base/chaos.hpp>
#include <heddle/sched/blocking.hpp>
#include <heddle/sync/wait_group.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>

namespace {

using namespace heddle_test;
using heddle::detail::fault;
using heddle::detail::fault_calls;
using heddle::detail::inject_fault;

const char* name_of(fault kind) {
  switch (kind) {
    case fault::map:
      return "map";
    case fault::guard_install:
      return "guard_install";
    case fault::guard_protect:
      return "guard_protect";
    case fault::thread:
      return "thread";
    case fault::memory:
      return "memory";
    default:
      return "?";
  }
}

std::atomic<int> alive{0};

struct counted {
  counted() noexcept { alive.fetch_add(1, std::memory_order_relaxed); }
  counted(const counted&) noexcept : counted() {}
  ~counted() { alive.fetch_sub(1, std::memory_order_relaxed); }
};

struct tally {
  std::atomic<int> started{0};
  std::atomic<int> refused{0};
  std::atomic<int> ended{0};
};

/// `op()`, which may be refused for lack of a resource.
template <class Op>
bool refusable(tally& t, Op op) {
  try {
    op();
    return true;
  } catch (const std::system_error& e) {
    const bool documented = e.code() == std::errc::resource_unavailable_try_again ||
                            e.code() == std::errc::not_enough_memory;
    EXPECT_TRUE(documented) << e.what();
    // It says who speaks, and what to do.
    EXPECT_EQ(std::string(e.what()).rfind("heddle: ", 0), 0u) << e.what();
    t.refused.fetch_add(1, std::memory_order_relaxed);
  } catch (const std::bad_alloc&) {
    t.refused.fetch_add(1, std::memory_order_relaxed);
  }
  return false;
}

/// A bit of everything that takes resources.
void use_everything(tally& t, unsigned workers) {
  refusable(t, [&] {
    heddle::runtime rt({.workers = workers});
    const auto fiber_of = [&](heddle::fiber_options how, auto body) {
      how.on = &rt;
      const counted local;
      const bool started = refusable(t, [&] {
        heddle::go(how, [&t, local, body] {
          const counted inside = local;
          body();
          t.ended.fetch_add(1, std::memory_order_relaxed);
        });
      });
      if (started) t.started.fetch_add(1, std::memory_order_relaxed);
    };
    for (int i = 0; i < 40; ++i) {
      fiber_of({}, [] { heddle::this_fiber::yield(); });
      fiber_of({.name = "sleeper"}, [] { heddle::this_fiber::sleep_for(10us); });
      fiber_of({.stack_size = 64 * 1024}, [] { heddle::this_fiber::sleep_for(10us); });
      const std::array<char, 200> large{};
      fiber_of({}, [large] { EXPECT_EQ(large[0], 0); });
      if (i % 8 == 0) {
        fiber_of({}, [&t] { refusable(t, [] { heddle::blocking([] {}); }); });
        fiber_of({}, [&t] {
          const counted child;
          refusable(t, [&child] { heddle::fiber([child] {}).join(); });
        });
      }
    }
    // Holds its worker up, so that a spare is wanted.
    fiber_of({}, [] { std::this_thread::sleep_for(25ms); });
    EXPECT_TRUE(eventually([&] { return t.ended.load() == t.started.load(); }))
        << t.ended.load() << " of " << t.started.load() << " fibers have ended, with "
        << t.refused.load() << " refusals";
  });
}

void expect_all_gone(tally& t) {
  EXPECT_EQ(t.ended.load(), t.started.load());
  EXPECT_EQ(alive.load(), 0) << "callables were lost, or destroyed twice";
}

std::size_t threads_now() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

class Fault : public testing::TestWithParam<fault> {};

// Nothing of it is fatal: the next attempt works.
TEST_P(Fault, OfOneCallIsAnExceptionOrUnseen) {
  const fault kind = GetParam();
  const std::size_t threads = threads_now();
  for (const unsigned workers : {1u, 2u}) {
    for (std::uint64_t n = 1; n < 1'000; ++n) {
      SCOPED_TRACE(std::string(name_of(kind)) + ", call " + std::to_string(n));
      const auto before = fault_calls(kind);
      tally t;
      inject_fault(kind, n, 1);
      use_everything(t, workers);
      inject_fault(kind, 0, 0);
      expect_all_gone(t);
      ASSERT_FALSE(HasFailure());
      if (fault_calls(kind) - before < n) break;  // there was no n-th call
    }
  }
  EXPECT_TRUE(eventually([&] { return threads_now() <= threads; }));
}

// From the n-th call on all fail; when the fault has gone, what waited goes on.
TEST_P(Fault, OfAllCallsFromOneOnIsAnExceptionAndNothingIsLost) {
  const fault kind = GetParam();
  const std::size_t threads = threads_now();
  for (const std::uint64_t n : {1, 2, 3, 5, 8, 13, 21}) {
    SCOPED_TRACE(std::string(name_of(kind)) + ", from call " + std::to_string(n));
    tally t;
    inject_fault(kind, n, UINT64_MAX / 2);
    std::thread ends_it([kind] {
      std::this_thread::sleep_for(50ms);
      inject_fault(kind, 0, 0);
    });
    use_everything(t, 2);
    ends_it.join();
    expect_all_gone(t);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_TRUE(eventually([&] { return threads_now() <= threads; }));
}

INSTANTIATE_TEST_SUITE_P(All, Fault,
                         testing::Values(fault::map, fault::guard_install, fault::guard_protect,
                                         fault::thread, fault::memory),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

// guard_protect is asked only where the kernel has no light guards.
TEST(FaultOfBothGuards, OfOneCallIsAnExceptionOrUnseen) {
  for (std::uint64_t n = 1; n < 100; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    const auto before = fault_calls(fault::guard_protect);
    tally t;
    inject_fault(fault::guard_install, 1, UINT64_MAX / 2);
    inject_fault(fault::guard_protect, n, 1);
    use_everything(t, 2);
    inject_fault(fault::guard_install, 0, 0);
    inject_fault(fault::guard_protect, 0, 0);
    expect_all_gone(t);
    ASSERT_FALSE(HasFailure());
    if (fault_calls(fault::guard_protect) - before < n) break;
  }
}

}  // namespace
