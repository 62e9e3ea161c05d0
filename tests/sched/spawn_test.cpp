// SPDX-License-Identifier: BSL-1.0
// spawn: what becomes of a callable that is started as a fiber.
#include "world.hpp"

#include <heddle/base/chaos.hpp>
#include <heddle/fiber/stack.hpp>
#include <heddle/heddle.hpp>
#include <heddle/sched/worker.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::fiber;

/// Counts what happens to it and its copies; of `Bytes` bytes.
template <std::size_t Bytes>
class counted {
 public:
  struct counts {
    std::atomic<int> copied{0}, moved{0}, called{0}, destroyed{0};
    std::atomic<int> alive{0};
  };

  explicit counted(counts& c) : counts_(&c) { ++c.alive; }
  counted(const counted& o) : counts_(o.counts_) { ++counts_->copied, ++counts_->alive; }
  counted(counted&& o) noexcept : counts_(o.counts_) { ++counts_->moved, ++counts_->alive; }
  ~counted() { ++counts_->destroyed, --counts_->alive; }
  void operator()() { ++counts_->called; }

 private:
  counts* counts_;
  [[maybe_unused]] std::byte more_[Bytes > 8 ? Bytes - 8 : 1]{};
};

template <std::size_t Bytes>
void expect_constructed_once() {
  using callable = counted<Bytes>;
  {
    typename callable::counts c;
    callable original(c);
    fiber(original).join();
    EXPECT_EQ(c.copied, 1);
    EXPECT_EQ(c.moved, 0);
    EXPECT_EQ(c.called, 1);
    EXPECT_EQ(c.alive, 1) << "only the original outlives the join";
  }
  {
    typename callable::counts c;
    fiber{callable(c)}.join();
    EXPECT_EQ(c.copied, 0);
    EXPECT_EQ(c.moved, 1);
    EXPECT_EQ(c.called, 1);
    EXPECT_EQ(c.alive, 0);
    EXPECT_EQ(c.destroyed, 2);
  }
  {  // As an argument.
    typename callable::counts c;
    fiber([](callable&& mine) { mine(); }, callable(c)).join();
    EXPECT_EQ(c.copied, 0);
    EXPECT_EQ(c.moved, 1);
    EXPECT_EQ(c.called, 1);
    EXPECT_EQ(c.alive, 0);
  }
}

HEDDLE_TEST(Spawn, ConstructsItsCallableOnceAndDestroysItBeforeTheJoin) {
  expect_constructed_once<8>();
  expect_constructed_once<56>();
  expect_constructed_once<64>();
  expect_constructed_once<65>();
  expect_constructed_once<128>();
  expect_constructed_once<4096>();
}

HEDDLE_TEST(Spawn, DestroysTheCallableOnItsFiberBeforeItEnds) {
  fiber::id destroyed_by;
  bool gone = false;
  auto last = std::shared_ptr<void>(nullptr, [&](void*) {
    destroyed_by = this_fiber::get_id();
    this_fiber::yield();  // may switch, even sleep
    this_fiber::sleep_for(1us);
    gone = true;
  });
  fiber f([last = std::move(last)] {});
  const auto id = f.get_id();
  f.join();
  EXPECT_TRUE(gone);
  EXPECT_EQ(destroyed_by, id);
}

HEDDLE_TEST(Spawn, DestroysTheCallableAlsoWhenTheFiberIsCancelled) {
  for (int i = 0; i < 50; ++i) {
    counted<100>::counts c;
    {
      fiber f([last = counted<100>(c)] { this_fiber::sleep_for(1h); });
      if (i % 2 == 0) this_fiber::yield();
      f.cancel();
    }
    ASSERT_EQ(c.alive, 0);
  }
}

HEDDLE_TEST(Spawn, DestroysTheArgumentsOfADetachedFiber) {
  counted<8>::counts c;
  heddle::wait_group all;
  for (int i = 0; i < 100; ++i) {
    all.add();
    heddle::go(
        [&all, mine = counted<8>(c)](auto&&) mutable {
          mine();
          all.done();
        },
        counted<8>(c));
  }
  all.wait();
  EXPECT_TRUE(eventually([&] { return c.alive == 0; }));
  EXPECT_EQ(c.called, 100);
}

// Bigger than a fiber's stack, so from a plain thread's.
HEDDLE_THREAD_TEST(Spawn, TakesBigCallables) {
  std::array<char, 1 << 20> big;
  big.fill(7);
  long sum = 0;
  fiber({.on = &rt}, [&sum, big] {
    for (const char each : big) sum += each;
  }).join();
  EXPECT_EQ(sum, 7L << 20);
}

template <std::size_t Alignment>
struct alignas(Alignment) aligned {
  void operator()() const {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(this) % Alignment, 0u);
    ++*ran;
  }
  std::atomic<int>* ran;
};

HEDDLE_TEST(Spawn, AlignsItsCallable) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 10; ++i) {
    fiber(aligned<16>{&ran});
    fiber(aligned<32>{&ran});
    fiber(aligned<64>{&ran});
    fiber(aligned<4096>{&ran});
  }
  EXPECT_EQ(ran, 40);
}

struct copies_badly {
  copies_badly() = default;
  copies_badly(const copies_badly&) { throw std::runtime_error("no copy"); }
  void operator()() const { ADD_FAILURE() << "it runs"; }
};

HEDDLE_TEST(Spawn, LeavesNothingBehindWhenACopyThrows) {
  const copies_badly bad;
  counted<100>::counts c;
  const counted<100> other(c);
  const auto before = rt.stats();
  for (int i = 0; i < 100; ++i) {
    EXPECT_THROW(fiber f(bad), std::runtime_error);
    EXPECT_THROW(fiber f([](auto&&, auto&&) {}, other, bad), std::runtime_error);
    EXPECT_THROW(fiber f({.name = "named"}, bad), std::runtime_error);
    EXPECT_THROW(heddle::go(bad), std::runtime_error);
    EXPECT_THROW(rt.run(bad), std::runtime_error);
    EXPECT_THROW(rt.go(bad), std::runtime_error);
  }
  EXPECT_EQ(c.alive, 1);
  EXPECT_EQ(rt.stats().fibers_alive, before.fibers_alive);
  EXPECT_EQ(rt.stats().stacks_in_use, before.stacks_in_use);
  fiber([] { EXPECT_EQ(this_fiber::name(), ""); }).join();
}

HEDDLE_TEST(Spawn, RefusesANullCallable) {
  void (*no_function)() = nullptr;
  void (*no_function_with_token)(std::stop_token) = nullptr;
  int (std::string::*no_member)() = nullptr;
  const std::function<void()> empty;
  std::function<void(std::stop_token)> empty_with_token;
  EXPECT_THROW(fiber f(no_function), std::invalid_argument);
  EXPECT_THROW(fiber f(no_function_with_token), std::invalid_argument);
  EXPECT_THROW(fiber f(no_member, std::string()), std::invalid_argument);
  EXPECT_THROW(fiber f(empty), std::invalid_argument);
  EXPECT_THROW(fiber f(std::move(empty_with_token)), std::invalid_argument);
  EXPECT_THROW(heddle::go(no_function), std::invalid_argument);
  EXPECT_THROW(heddle::go({.name = "x"}, empty), std::invalid_argument);
  heddle::wait_group group;
  EXPECT_THROW(group.go(no_function), std::invalid_argument);
  group.wait();  // its count is as before
  EXPECT_EQ(rt.stats().fibers_alive, 1u);
}

HEDDLE_TEST(Spawn, HandsAStopTokenToWhoTakesOneFirst) {
  bool with = false, with_more = false, without = false, either = false;
  fiber([&](std::stop_token t) { with = t.stop_possible(); }).join();
  fiber([&](const std::stop_token& t, int a, int b) { with_more = t.stop_possible() && a < b; }, 1,
        2)
      .join();
  fiber([&](int a) { without = a == 3; }, 3).join();
  struct both {
    bool& token_first;
    void operator()(std::stop_token, int) const { token_first = true; }
    void operator()(int) const { ADD_FAILURE() << "std::jthread prefers the token"; }
  };
  fiber(both{either}, 4).join();
  EXPECT_TRUE(with && with_more && without && either);
}

HEDDLE_TEST(Spawn, TakesAStopTokenAsAnOrdinaryArgument) {
  std::stop_source source;
  bool own = false;
  fiber([&](std::stop_token mine,
            std::stop_token other) { own = mine != other && other == source.get_token(); },
        source.get_token())
      .join();
  EXPECT_TRUE(own);
  // Where only one is taken it is the one that was given.
  fiber([&](std::stop_token, int) {}, 5).join();
}

HEDDLE_TEST(Spawn, InvokesAsStdInvokeDoes) {
  struct thing {
    int get() const { return value; }
    int value = 6;
  };
  thing t;
  EXPECT_EQ(rt.run(&thing::get, t), 6);
  EXPECT_EQ(rt.run(&thing::get, &t), 6);
  EXPECT_EQ(rt.run(&thing::value, t), 6);
  struct rvalue_only {
    int operator()() && { return 7; }
  };
  EXPECT_EQ(rt.run(rvalue_only{}), 7);
  EXPECT_EQ(rt.run([n = 0]() mutable { return ++n; }), 1);
  int array[3] = {1, 2, 3};
  EXPECT_EQ(rt.run([](int* p) { return p[2]; }, array), 3);
}

/// A tree of fibers that wait for their children; `most` comes to be how many waited at once.
void grow(int depth, std::atomic<int>& now, std::atomic<int>& most) {
  if (depth == 0) return;
  const int mine = now.fetch_add(1, std::memory_order_relaxed) + 1;
  for (int seen = most.load(); seen < mine && !most.compare_exchange_weak(seen, mine);) {
  }
  heddle::wait_group children;
  for (int i = 0; i < 10; ++i) children.go([&, depth] { grow(depth - 1, now, most); });
  children.wait();
  now.fetch_sub(1, std::memory_order_relaxed);
}

// What started last runs first, else all inner nodes would stand on stacks of their own at once.
HEDDLE_TEST(Spawn, ATreeIsWalkedDepthFirst) {
  std::atomic<int> now{0}, most{0};
  grow(4, now, most);  // 1,111 inner nodes
  if (!heddle::detail::chaos(1)) {
    EXPECT_LT(most.load(), 500);  // depth first: some 120
  }
}

// The search for leaked fibers takes it that nothing of the program lies there.
HEDDLE_TEST(Spawn, LeavesTheTopOfTheStackToTheRuntime) {
  fiber([] {
    const heddle::detail::fiber_record* self = heddle::detail::current_worker()->current();
    EXPECT_LT(__builtin_frame_address(0), self->bound_stack->top - heddle::detail::entry_room);
  }).join();
}

}  // namespace
