// SPDX-License-Identifier: BSL-1.0
// exception_state: traps 3 and 4: the exceptions in flight belong to the fiber, not to the thread
//   on which it happens to be.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/sync/wait_group.hpp>

#include <exception>
#include <stdexcept>
#include <string>

namespace {

using namespace heddle_test;

struct numbered : std::runtime_error {
  explicit numbered(int n) : std::runtime_error("number " + std::to_string(n)), number(n) {}
  int number;
};

void throw_and_catch(int number) {
  try {
    throw numbered(number);
  } catch (const numbered& e) {
    EXPECT_EQ(e.number, number);
  }
}

/// While `done` is open, throws and catches on whatever worker it finds itself.
void be_a_nuisance(const std::atomic<bool>& done) {
  for (int i = 0; !done.load(std::memory_order_relaxed); ++i) {
    try {
      throw std::string("of somebody else");
    } catch (const std::string&) {
      heddle::this_fiber::yield();
    }
    throw_and_catch(-i);
    heddle::this_fiber::yield();
  }
}

void rethrow_expecting(int number) {
  try {
    throw;
  } catch (const numbered& e) {
    EXPECT_EQ(e.number, number);
  }
}

/// Leaves the fiber in flight of nothing.
void expect_clean() {
  EXPECT_EQ(std::uncaught_exceptions(), 0);
  EXPECT_EQ(std::current_exception(), nullptr);
}

/// Yields, and migrates where there is another worker to go to.
void wander(bool may_migrate) {
  heddle::this_fiber::yield();
  if (may_migrate) migrate();
}

template <class Body>
void among_nuisances(heddle::runtime& rt, int fibers, Body body) {
  std::atomic<bool> done{false};
  heddle::fiber first([&] { be_a_nuisance(done); });
  heddle::fiber second([&] { be_a_nuisance(done); });
  {
    heddle::wait_group all;
    for (int i = 0; i < fibers; ++i) {
      all.go([&, i] {
        body(i, rt.workers() > 1);
        expect_clean();
      });
    }
    all.wait();
  }
  done.store(true, std::memory_order_relaxed);
}

HEDDLE_TEST(ExceptionState, AHandlerThatYieldsRethrowsItsOwn) {
  among_nuisances(rt, 20, [](int i, bool may_migrate) {
    for (std::size_t round = 0; round < rounds(20); ++round) {
      try {
        throw numbered(i);
      } catch (const numbered& e) {
        wander(may_migrate);
        EXPECT_EQ(e.number, i);
        rethrow_expecting(i);
        EXPECT_EQ(std::uncaught_exceptions(), 0);
      }
    }
  });
}

HEDDLE_TEST(ExceptionState, HandlersNestThreeDeep) {
  among_nuisances(rt, 20, [](int i, bool may_migrate) {
    try {
      throw numbered(3 * i);
    } catch (const numbered&) {
      wander(may_migrate);
      try {
        throw numbered(3 * i + 1);
      } catch (const numbered&) {
        wander(may_migrate);
        try {
          throw numbered(3 * i + 2);
        } catch (const numbered&) {
          wander(may_migrate);
          rethrow_expecting(3 * i + 2);
        }
        wander(may_migrate);
        rethrow_expecting(3 * i + 1);
      }
      wander(may_migrate);
      rethrow_expecting(3 * i);
    }
  });
}

struct wanders_on_destruction {
  bool may_migrate;
  ~wanders_on_destruction() {
    EXPECT_EQ(std::uncaught_exceptions(), 1);
    throw_and_catch(0);
    wander(may_migrate);
    EXPECT_EQ(std::uncaught_exceptions(), 1);
  }
};

HEDDLE_TEST(ExceptionState, ADestructorYieldsDuringUnwinding) {
  among_nuisances(rt, 20, [](int i, bool may_migrate) {
    try {
      const wanders_on_destruction first{may_migrate};
      const wanders_on_destruction second{may_migrate};
      throw numbered(i);
    } catch (const numbered& e) {
      EXPECT_EQ(e.number, i);
      EXPECT_EQ(std::uncaught_exceptions(), 0);
    }
  });
}

struct starts_a_fiber_on_destruction {
  ~starts_a_fiber_on_destruction() {
    EXPECT_EQ(std::uncaught_exceptions(), 1);
    heddle::fiber child([] {
      expect_clean();
      throw_and_catch(7);
      heddle::this_fiber::yield();
      expect_clean();
    });
    heddle::this_fiber::yield();
    child.join();
    EXPECT_EQ(std::uncaught_exceptions(), 1);
  }
};

HEDDLE_TEST(ExceptionState, AFiberStartedDuringUnwindingHasNoneInFlight) {
  among_nuisances(rt, 20, [](int i, bool) {
    try {
      const starts_a_fiber_on_destruction here;
      throw numbered(i);
    } catch (const numbered& e) {
      heddle::fiber child(&expect_clean);
      heddle::this_fiber::yield();
      child.join();
      rethrow_expecting(e.number);
    }
  });
}

// A plain thread that starts a runtime inside a handler finds its own exception again.
TEST(ExceptionState, OfAThreadThatWaitsStays) {
  try {
    throw numbered(1);
  } catch (const numbered&) {
    heddle::run({.workers = 2}, [] {
      expect_clean();
      throw_and_catch(2);
    });
    EXPECT_THROW(heddle::run({.workers = 1}, [] { throw numbered(3); }), numbered);
    rethrow_expecting(1);
  }
  expect_clean();
}

}  // namespace
