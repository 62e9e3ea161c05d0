// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/sched/run_queue.hpp>

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace {

using namespace heddle_test;
using heddle::detail::fiber_record;
using heddle::detail::run_queue;

/// Fibers enough, by number.
class RunQueue : public ::testing::Test {
 protected:
  RunQueue() { heddle::detail::prepare_asymmetric_fences(); }

  fiber_record* fiber(std::size_t i) { return &records_[i]; }

  template <class Queue>
  bool push(Queue& q, std::size_t i) {
    const std::lock_guard hold(q);
    return q.push_locked(fiber(i));
  }
  template <class Queue>
  fiber_record* pop(Queue& q) {
    const std::lock_guard hold(q);
    return q.pop_locked();
  }

  std::unique_ptr<fiber_record[]> records_ = std::make_unique<fiber_record[]>(1000);
};

TEST_F(RunQueue, IsFirstInFirstOut) {
  run_queue<4> q;
  EXPECT_EQ(pop(q), nullptr);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(push(q, i));
  EXPECT_EQ(q.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(pop(q), fiber(i));
  EXPECT_EQ(pop(q), nullptr);
  EXPECT_TRUE(q.empty());
}

TEST_F(RunQueue, RotatesAlsoWhenItIsFull) {
  run_queue<2> q;
  const auto none = [](const fiber_record&) { return false; };
  const auto rotate = [&](std::size_t i, auto prefers) {
    const std::lock_guard hold(q);
    return q.rotate_locked(fiber(i), prefers);
  };
  EXPECT_EQ(rotate(0, none), nullptr);
  EXPECT_TRUE(q.empty());
  EXPECT_TRUE(push(q, 0));
  EXPECT_EQ(rotate(1, none), fiber(0));
  EXPECT_TRUE(push(q, 2));
  EXPECT_EQ(rotate(3, none), fiber(1));
  EXPECT_EQ(rotate(4, [&](const fiber_record& youngest) { return &youngest == fiber(3); }),
            nullptr);
  EXPECT_EQ(q.size(), 2u);
  EXPECT_EQ(pop(q), fiber(2));
  EXPECT_EQ(pop(q), fiber(3));
  EXPECT_EQ(pop(q), nullptr);
}

TEST_F(RunQueue, RefusesWhatDoesNotFit) {
  run_queue<2> q;
  EXPECT_TRUE(push(q, 0));
  EXPECT_TRUE(push(q, 1));
  EXPECT_FALSE(push(q, 2));
  EXPECT_EQ(pop(q), fiber(0));
  EXPECT_TRUE(push(q, 2));
  EXPECT_FALSE(push(q, 3));
  EXPECT_EQ(pop(q), fiber(1));
  EXPECT_EQ(pop(q), fiber(2));
  EXPECT_EQ(pop(q), nullptr);
}

TEST_F(RunQueue, WrapsAroundForEver) {
  run_queue<2> q;
  for (std::size_t i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(push(q, i % 1000));
    if (i % 2 == 0) continue;
    ASSERT_EQ(pop(q), fiber((i - 1) % 1000));
    ASSERT_EQ(pop(q), fiber(i % 1000));
  }
}

TEST_F(RunQueue, HasASlotForTheOneWokenLast) {
  run_queue<2> q;
  const std::lock_guard hold(q);
  EXPECT_FALSE(q.has_next());
  EXPECT_EQ(q.exchange_next_locked(fiber(1)), nullptr);
  EXPECT_TRUE(q.has_next());
  EXPECT_FALSE(q.empty());
  EXPECT_EQ(q.size(), 0u) << "it is not in the ring";
  EXPECT_EQ(q.exchange_next_locked(fiber(2)), fiber(1));
  EXPECT_EQ(q.pop_locked(), nullptr);
  EXPECT_EQ(q.exchange_next_locked(nullptr), fiber(2));
  EXPECT_TRUE(q.empty());
}

TEST_F(RunQueue, LosesTheOlderHalfToAThief) {
  fiber_record* loot[256];
  for (std::size_t in_it = 0; in_it <= 8; ++in_it) {
    run_queue<8> q;
    for (std::size_t i = 0; i < in_it; ++i) EXPECT_TRUE(push(q, i));
    std::uint32_t got = 0;
    on_threads(1, [&](int) { got = run_queue<8>::thief(q).steal(loot, 256, false); });
    EXPECT_EQ(got, (in_it + 1) / 2);
    for (std::size_t i = 0; i < got; ++i) EXPECT_EQ(loot[i], fiber(i));
    for (std::size_t i = got; i < in_it; ++i) EXPECT_EQ(pop(q), fiber(i));
    EXPECT_EQ(pop(q), nullptr);
  }
}

TEST_F(RunQueue, LosesNoMoreThanTheThiefHasRoomFor) {
  run_queue<8> q;
  for (std::size_t i = 0; i < 8; ++i) EXPECT_TRUE(push(q, i));
  fiber_record* loot[2];
  on_threads(1, [&](int) { EXPECT_EQ(run_queue<8>::thief(q).steal(loot, 2, true), 2u); });
  EXPECT_EQ(q.size(), 6u);
}

TEST_F(RunQueue, LosesTheOneWokenLastOnlyWhenAskedAndTheRingIsEmpty) {
  run_queue<2> q;
  fiber_record* loot[2];
  const auto steal = [&](bool next_too) {
    std::uint32_t got = 0;
    on_threads(1, [&](int) { got = run_queue<2>::thief(q).steal(loot, 2, next_too); });
    return got;
  };
  EXPECT_TRUE(push(q, 0));
  q.lock();
  q.exchange_next_locked(fiber(9));
  q.unlock();
  EXPECT_EQ(steal(true), 1u);
  EXPECT_EQ(loot[0], fiber(0)) << "the ring first";
  EXPECT_EQ(steal(false), 0u);
  EXPECT_EQ(steal(true), 1u);
  EXPECT_EQ(loot[0], fiber(9));
  EXPECT_EQ(steal(true), 0u);
}

TEST_F(RunQueue, LosesNothingWhileItsOwnerSwitches) {
  run_queue<8> q;
  for (std::size_t i = 0; i < 8; ++i) EXPECT_TRUE(push(q, i));
  fiber_record* loot[8];
  q.lock();
  on_threads(2, [&](int) { EXPECT_EQ(run_queue<8>::thief(q).steal(loot, 8, true), 0u); });
  q.unlock();
  on_threads(1, [&](int) { EXPECT_EQ(run_queue<8>::thief(q).steal(loot, 8, true), 4u); });
}

TEST_F(RunQueue, IsLockedByAnotherForAnAct) {
  run_queue<2> q;
  EXPECT_TRUE(push(q, 0));
  on_threads(1, [&](int) {
    EXPECT_TRUE(run_queue<2>::thief(q).with_lock([&] {
      fiber_record* loot[2];
      EXPECT_EQ(run_queue<2>::thief(q).steal(loot, 2, true), 0u);
      EXPECT_FALSE(run_queue<2>::thief(q).with_lock([] { FAIL() << "two are inside"; }));
    }));
  });
}

TEST_F(RunQueue, GivesTheYoungestOrTheOldest) {
  run_queue<4> q;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(push(q, i));
  q.lock();
  const fiber_record* asked = nullptr;
  const auto answer = [&asked](bool yes) {
    return [&asked, yes](const fiber_record& youngest) {
      asked = &youngest;
      return yes;
    };
  };
  const fiber_record* const youngest = q.pop_either_locked(answer(true));
  EXPECT_EQ(youngest, asked);
  EXPECT_EQ(q.size(), 2u);
  const fiber_record* const oldest = q.pop_either_locked(answer(false));
  EXPECT_NE(oldest, asked);
  EXPECT_NE(oldest, youngest);
  EXPECT_EQ(q.pop_either_locked(answer(false)), asked) << "the youngest is the oldest";
  asked = nullptr;
  EXPECT_EQ(q.pop_either_locked(answer(true)), nullptr);
  EXPECT_EQ(asked, nullptr) << "nobody was there";
  q.unlock();
}

/// An owner that pushes and pops, and thieves; each fiber comes out exactly once for each time it
/// went in.
template <std::uint32_t Capacity>
void share_out(fiber_record* records, std::size_t count) {
  run_queue<Capacity> q;
  std::unordered_map<fiber_record*, std::size_t> number;
  for (std::size_t i = 0; i < count; ++i) number[&records[i]] = i;
  std::vector<std::atomic<int>> balance(count);  // 1: inside
  std::atomic<bool> over{false};
  std::atomic<std::size_t> out{0};
  const auto take_out = [&](fiber_record* r) {
    ASSERT_EQ(--balance[number.at(r)], 0);
    ++out;
  };
  const time_limit limit;
  std::size_t in = 0;
  std::thread owner([&] {
    for (std::size_t i = 0; i < rounds(400'000) && !limit.over(); ++i) {
      auto& mine = balance[i % count];
      q.lock();
      fiber_record* popped = nullptr;
      if (i % 3 == 0) {
        popped = q.pop_locked();
      } else if (mine.load() == 0) {
        mine = 1;
        ++in;
        fiber_record* r = &records[i % count];
        if (i % 7 == 0) {
          popped = q.exchange_next_locked(r);
        } else if (!q.push_locked(r)) {
          mine = 0;
          --in;
          popped = q.pop_locked();
        }
      }
      q.unlock();
      if (popped != nullptr) take_out(popped);
    }
    over = true;
  });
  on_threads(2, [&](int thread) {
    fiber_record* loot[Capacity];
    while (!over) {
      const auto got = typename run_queue<Capacity>::thief(q).steal(loot, Capacity, thread == 0);
      for (std::uint32_t i = 0; i < got; ++i) take_out(loot[i]);
      std::this_thread::yield();
    }
  });
  owner.join();
  q.lock();
  while (fiber_record* r = q.pop_locked()) take_out(r);
  if (fiber_record* r = q.exchange_next_locked(nullptr)) take_out(r);
  q.unlock();
  EXPECT_EQ(out, in);
}

TEST_F(RunQueue, YieldsEachFiberOnceToOwnerAndThieves) { share_out<256>(fiber(0), 1000); }
TEST_F(RunQueue, YieldsEachFiberOnceAlsoWhenTiny) { share_out<2>(fiber(0), 10); }

}  // namespace
