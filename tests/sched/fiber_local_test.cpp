// SPDX-License-Identifier: BSL-1.0
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <memory>
#include <mutex>
#include <stdexcept>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::fiber;
using heddle::fiber_local;

HEDDLE_TEST(FiberLocal, IsMadeOnFirstUseOncePerFiber) {
  std::atomic<int> made{0};
  fiber_local<int> local([&] { return std::make_unique<int>(++made); });
  EXPECT_EQ(made, 0);
  const int mine = *local;
  EXPECT_EQ(*local, mine);
  EXPECT_EQ(made, 1);
  fiber([&] {
    EXPECT_EQ(made, 1);
    EXPECT_EQ(*local, 2);
    *local = 20;
    this_fiber::yield();
    EXPECT_EQ(*local, 20);
  }).join();
  EXPECT_EQ(*local, mine);
  EXPECT_EQ(made, 2);
}

HEDDLE_TEST(FiberLocal, StartsAsADefaultValue) {
  fiber_local<int> number;
  fiber_local<std::string> text;
  EXPECT_EQ(*number, 0);
  EXPECT_TRUE(text->empty());
  text->append("x");
  EXPECT_EQ(text->size(), 1u);
  fiber([&] {
    EXPECT_EQ(*number, 0);
    EXPECT_TRUE(text->empty());
  }).join();
}

HEDDLE_TEST(FiberLocal, DoesNotMixUpFibers) {
  fiber_local<int> a, b;
  std::vector<fiber> all;
  for (int i = 1; i <= 50; ++i) {
    all.emplace_back([&, i] {
      *a = i;
      *b = -i;
      int* where = &*a;
      for (int k = 0; k < 20; ++k) {
        this_fiber::yield();
        ASSERT_EQ(*a, i);
        ASSERT_EQ(*b, -i);
        ASSERT_EQ(&*a, where);
      }
    });
  }
}

HEDDLE_TEST(FiberLocal, GoesWithItsFiberToAnotherWorker) {
  if (rt.workers() < 2) return;
  fiber_local<int> local;
  *local = 7;
  int* where = &*local;
  for (int i = 0; i < 20; ++i) {
    migrate();
    ASSERT_EQ(&*local, where);
  }
  EXPECT_EQ(*local, 7);
}

HEDDLE_TEST(FiberLocal, DoesNotReachTheNextFiberInTheSameRecord) {
  fiber_local<int> local;
  for (int i = 0; i < 300; ++i) {
    fiber([&] {
      ASSERT_EQ(*local, 0);
      *local = 1;
    }).join();
  }
}

HEDDLE_TEST(FiberLocal, IsDestroyedAtTheFibersEndNewestFirst) {
  std::vector<std::string> destroyed;  // by one fiber after the other
  struct tells {
    std::vector<std::string>* to;
    std::string name;
    ~tells() {
      this_fiber::yield();  // may switch
      to->push_back(name);
    }
  };
  const auto make = [&](std::string name) {
    return [&destroyed, name] { return std::unique_ptr<tells>(new tells{&destroyed, name}); };
  };
  fiber_local<tells> a(make("a")), b(make("b")), c(make("c"));
  fiber([&] {
    (void)*b;
    (void)*a;
    (void)*c;
    (void)*a;
    EXPECT_TRUE(destroyed.empty());
  }).join();
  EXPECT_EQ(destroyed, (std::vector<std::string>{"c", "a", "b"}));
}

HEDDLE_TEST(FiberLocal, IsDestroyedAfterTheCallableAndBeforeTheJoin) {
  std::vector<int> order;
  fiber_local<std::shared_ptr<void>> local;
  fiber([&, last = std::shared_ptr<void>(nullptr, [&](void*) { order.push_back(1); })] {
    *local = std::shared_ptr<void>(nullptr, [&](void*) { order.push_back(2); });
  }).join();
  order.push_back(3);
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

HEDDLE_TEST(FiberLocal, IsDestroyedWhenTheFiberIsCancelled) {
  std::atomic<int> destroyed{0};
  fiber_local<std::shared_ptr<void>> local;
  for (int i = 0; i < 20; ++i) {
    fiber f([&] {
      *local = std::shared_ptr<void>(nullptr, [&](void*) { ++destroyed; });
      this_fiber::sleep_for(1h);
    });
    f.cancel();
  }
  EXPECT_EQ(destroyed, 20);
}

HEDDLE_TEST(FiberLocal, MayBeUsedByTheDestructorOfAnother) {
  struct logs_at_end {
    fiber_local<std::vector<int>>* log = nullptr;
    int* size = nullptr;
    ~logs_at_end() {
      if (log == nullptr) return;
      (*log)->push_back(1);
      *size = static_cast<int>((*log)->size());
    }
  };
  fiber_local<std::vector<int>> log;
  fiber_local<logs_at_end> ends;
  int size = 0, size_if_new = 0;
  fiber([&] {
    log->push_back(0);
    ends->log = &log;
    ends->size = &size;
  }).join();
  EXPECT_EQ(size, 2);
  fiber([&] {
    ends->log = &log;  // its destructor makes the log anew
    ends->size = &size_if_new;
  }).join();
  EXPECT_EQ(size_if_new, 1);
}

HEDDLE_TEST(FiberLocal, IsMadeAgainAfterMakingItFailed) {
  bool fail = true;
  fiber_local<int> local([&]() -> std::unique_ptr<int> {
    if (fail) throw std::runtime_error("not now");
    return std::make_unique<int>(5);
  });
  EXPECT_THROW((void)*local, std::runtime_error);
  fail = false;
  EXPECT_EQ(*local, 5);
}

HEDDLE_TEST(FiberLocal, MayItselfBeUsedWhileItIsMade) {
  fiber_local<int> inner;
  fiber_local<int> outer([&] { return std::make_unique<int>(++*inner); });
  EXPECT_EQ(*outer, 1);
  EXPECT_EQ(*inner, 1);
}

HEDDLE_TEST(FiberLocal, LeavesItsValuesToTheFibersWhenItDies) {
  std::atomic<int> destroyed{0};
  heddle::channel<int> gate;
  auto local = std::make_unique<fiber_local<std::shared_ptr<void>>>();
  fiber f([&, gate]() mutable {
    **local = std::shared_ptr<void>(nullptr, [&](void*) { ++destroyed; });
    gate.receive();
  });
  gate.send(1);  // it has been used
  f.join();
  EXPECT_EQ(destroyed, 1);
  fiber g([&, gate]() mutable {
    **local = std::shared_ptr<void>(nullptr, [&](void*) { ++destroyed; });
    gate.receive();
    gate.receive();
  });
  gate.send(1);
  local.reset();
  EXPECT_EQ(destroyed, 1);
  // A new one is another, whatever its address.
  fiber_local<int> other;
  EXPECT_EQ(*other, 0);
  gate.send(1);
  g.join();
  EXPECT_EQ(destroyed, 2);
}

HEDDLE_TEST(FiberLocal, HoldsMany) {
  std::vector<std::unique_ptr<fiber_local<int>>> all;
  for (int i = 0; i < 100; ++i) all.push_back(std::make_unique<fiber_local<int>>());
  fiber([&] {
    for (int i = 0; i < 100; ++i) **all[i] = i;
    for (int i = 0; i < 100; ++i) ASSERT_EQ(**all[i], i);
  }).join();
}

TEST(FiberLocal, IsThePlainThreadsWhereThereIsNoFiber) {
  std::atomic<int> destroyed{0};
  fiber_local<std::shared_ptr<void>> local;
  int* addresses[2];
  fiber_local<int> number;
  on_threads(2, [&](int i) {
    *local = std::shared_ptr<void>(nullptr, [&](void*) { ++destroyed; });
    addresses[i] = &*number;
    *number = i;
    EXPECT_EQ(*number, i);
  });
  EXPECT_EQ(destroyed, 2) << "with their threads";
}

HEDDLE_THREAD_TEST(FiberLocal, TellsAFiberFromItsWorkersThread) {
  fiber_local<int> local;
  *local = 1;
  rt.run([&] {
    EXPECT_EQ(*local, 0);
    *local = 2;
    // A thread for blocking calls is a plain one.
    heddle::blocking([&] { EXPECT_NE(&*local, nullptr); });
    EXPECT_EQ(*local, 2);
  });
  EXPECT_EQ(*local, 1);
}

}  // namespace
