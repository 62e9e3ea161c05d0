// SPDX-License-Identifier: BSL-1.0
// fiber as std::jthread's contract; what it does with its callable stands in spawn_test.cpp.
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <unordered_set>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::fiber;

static_assert(!std::is_copy_constructible_v<fiber> && !std::is_copy_assignable_v<fiber>);
static_assert(std::is_nothrow_move_constructible_v<fiber> &&
              std::is_nothrow_move_assignable_v<fiber> && std::is_nothrow_swappable_v<fiber>);
static_assert(std::is_nothrow_default_constructible_v<fiber>);
static_assert(!std::is_convertible_v<void (*)(), fiber>, "its constructor is explicit");
static_assert(std::is_trivially_copyable_v<fiber::id>);

/// The code of the std::system_error that `f` throws; no error if there is none.
template <class F>
std::error_code error_of(F&& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find("heddle: "), std::string::npos) << e.what();
    return e.code();
  }
  return {};
}

/// Ends when its token says so, not before.
void until_stopped(std::stop_token token) {
  while (!token.stop_requested()) this_fiber::yield();
}

// --- a handle without a fiber ---

TEST(FiberHandle, IsNoFiberByDefault) {
  fiber none;
  EXPECT_FALSE(none.joinable());
  EXPECT_EQ(none.get_id(), fiber::id{});
  EXPECT_EQ(error_of([&] { none.join(); }), std::errc::invalid_argument);
  EXPECT_EQ(error_of([&] { none.detach(); }), std::errc::invalid_argument);
  EXPECT_FALSE(none.get_stop_source().stop_possible());
  EXPECT_FALSE(none.get_stop_token().stop_possible());
  EXPECT_FALSE(none.request_stop());
  EXPECT_FALSE(none.cancel());
  EXPECT_GE(fiber::hardware_concurrency(), 1u);
}

// --- joining ---

HEDDLE_TEST(Fiber, IsJoinedOnce) {
  bool ran = false;
  fiber f([&] { ran = true; });
  EXPECT_TRUE(f.joinable());
  EXPECT_NE(f.get_id(), fiber::id{});
  f.join();
  EXPECT_TRUE(ran);
  EXPECT_FALSE(f.joinable());
  EXPECT_EQ(f.get_id(), fiber::id{});
  EXPECT_EQ(error_of([&] { f.join(); }), std::errc::invalid_argument);
  EXPECT_EQ(error_of([&] { f.detach(); }), std::errc::invalid_argument);
}

HEDDLE_TEST(Fiber, MayHaveEndedLongBeforeItIsJoined) {
  std::atomic<bool> ended{false};
  fiber f([&] { ended = true; });
  while (!ended) this_fiber::yield();
  for (int i = 0; i < 100; ++i) this_fiber::yield();
  EXPECT_TRUE(f.joinable());
  f.join();
}

HEDDLE_TEST(Fiber, CannotJoinItself) {
  fiber f;
  std::error_code code;
  heddle::channel<int> handle_is_set;
  f = fiber([&] {
    handle_is_set.receive();
    code = error_of([&] { f.join(); });
    EXPECT_TRUE(f.joinable());
  });
  handle_is_set.close();
  f.join();
  EXPECT_EQ(code, std::errc::resource_deadlock_would_occur);
}

TEST(Fiber, DiesWithAMessageIfItDestroysItsOwnHandle) {
  EXPECT_DEATH(heddle::run({.workers = 2},
                           [] {
                             auto* own = new fiber;
                             heddle::channel<int> handle_is_set;
                             *own = fiber([&] {
                               handle_is_set.receive();
                               *own = {};
                             });
                             handle_is_set.close();
                             this_fiber::sleep_for(1h);
                           }),
               "a fiber destroys its own handle.*detach");
}

HEDDLE_THREAD_TEST(Fiber, IsJoinedByAPlainThread) {
  int sum = 0;
  for (std::size_t i = 0; i < rounds(500); ++i) {
    fiber f({.on = &rt}, [&] { ++sum; });
    if (i % 2 == 0) std::this_thread::yield();
    f.join();
  }
  EXPECT_EQ(sum, static_cast<int>(rounds(500)));
}

HEDDLE_TEST(Fiber, IsJoinedByAFiberOfAnotherRuntime) {
  heddle::runtime other({.workers = 1});
  for (std::size_t i = 0; i < rounds(200); ++i) {
    int there = 0;
    fiber f({.on = &other}, [&] { ++there; });
    f.join();
    ASSERT_EQ(there, 1);
  }
  expect_nothing_left(other);
}

HEDDLE_TEST(Fiber, MayBeJoinedByAnotherThanWhoStartedIt) {
  std::atomic<bool> go_on{false};
  fiber f([&] {
    while (!go_on) this_fiber::yield();
  });
  fiber joiner([f = std::move(f)]() mutable { f.join(); });
  go_on = true;
  joiner.join();
}

HEDDLE_TEST(Fiber, IsJoinedWhileThousandsAre) {
  constexpr int count = 2000;
  std::atomic<int> ran{0};
  std::vector<fiber> all;
  for (int i = 0; i < count; ++i) {
    all.emplace_back([&, i] {
      if (i % 3 == 0) this_fiber::yield();
      ++ran;
    });
  }
  for (auto& each : all) each.join();
  EXPECT_EQ(ran, count);
}

// --- moving, detaching, ending ---

HEDDLE_TEST(Fiber, IsStoppedAndJoinedByItsDestructor) {
  bool stopped = false;
  {
    fiber f([&](std::stop_token token) {
      until_stopped(token);
      stopped = true;
    });
  }
  EXPECT_TRUE(stopped);
}

HEDDLE_TEST(Fiber, IsNotCancelledByItsDestructor) {
  bool went_on = false;
  {
    fiber f([&](std::stop_token token) {
      until_stopped(token);
      this_fiber::check_cancel();
      this_fiber::sleep_for(1ns);
      went_on = true;
    });
  }
  EXPECT_TRUE(went_on);
}

HEDDLE_TEST(Fiber, MovesToAnotherHandle) {
  fiber a(until_stopped);
  const auto id = a.get_id();
  fiber b(std::move(a));
  EXPECT_FALSE(a.joinable());
  EXPECT_EQ(b.get_id(), id);
  fiber c;
  c = std::move(b);
  EXPECT_FALSE(b.joinable());
  EXPECT_EQ(c.get_id(), id);
  auto& alias = c;
  c = std::move(alias);  // to itself: as if nothing had been said
  EXPECT_EQ(c.get_id(), id);
  EXPECT_TRUE(c.request_stop());
  c.join();
}

HEDDLE_TEST(Fiber, IsStoppedAndJoinedWhenAnotherIsAssigned) {
  bool first_stopped = false;
  fiber f([&](std::stop_token token) {
    until_stopped(token);
    first_stopped = true;
  });
  f = fiber(until_stopped);
  EXPECT_TRUE(first_stopped);
  EXPECT_TRUE(f.joinable());
  f = fiber();
  EXPECT_FALSE(f.joinable());
}

HEDDLE_TEST(Fiber, Swaps) {
  fiber a(until_stopped), b;
  const auto id = a.get_id();
  a.swap(b);
  EXPECT_EQ(b.get_id(), id);
  EXPECT_FALSE(a.joinable());
  swap(a, b);
  EXPECT_EQ(a.get_id(), id);
  std::swap(a, b);
  EXPECT_EQ(b.get_id(), id);
}

HEDDLE_TEST(Fiber, GoesOnWhenDetached) {
  heddle::channel<int> to, from;
  fiber f([=]() mutable { from.send(*to.receive() + 1); });
  f.detach();
  EXPECT_FALSE(f.joinable());
  EXPECT_EQ(f.get_id(), fiber::id{});
  to.send(1);
  EXPECT_EQ(from.receive(), 2);
}

HEDDLE_TEST(Fiber, MayBeDetachedAfterItsEnd) {
  for (std::size_t i = 0; i < rounds(500); ++i) {
    std::atomic<bool> ended{false};
    fiber f([&] { ended = true; });
    while (!ended) this_fiber::yield();
    f.detach();
  }
}

HEDDLE_TEST(Fiber, MayDetachItself) {
  heddle::wait_group ended;
  ended.add();
  heddle::channel<int> handle_is_set;
  auto f = std::make_shared<fiber>();
  *f = fiber([f, &ended, handle_is_set]() mutable {
    handle_is_set.receive();
    f->detach();
    ended.done();
  });
  handle_is_set.close();
  ended.wait();
}

HEDDLE_TEST(Fiber, EndsQuietlyByCancelledThatNobodyTakes) {
  fiber f([] { throw heddle::cancelled(heddle::cancel_reason::requested); });
  f.join();
  heddle::wait_group all;
  all.add();
  heddle::go([&all] {
    struct at_end {
      heddle::wait_group& group;
      ~at_end() { group.done(); }
    } const last{all};
    throw heddle::cancelled(heddle::cancel_reason::deadline);
  });
  all.wait();
}

TEST(FiberDeathTest, TerminatesByAnExceptionThatLeavesItAndSaysWhich) {
  const auto dies = [](auto thrown, const char* message) {
    EXPECT_DEATH(heddle::run({.workers = 2},
                             [&] { fiber({.name = "unlucky"}, [&] { throw thrown; }).join(); }),
                 message);
  };
  dies(std::runtime_error("the reason"),
       "heddle: an exception left fiber [0-9]+ 'unlucky': std::runtime_error: the reason");
  dies(5, "heddle: an exception left fiber [0-9]+ 'unlucky': int");
  EXPECT_DEATH(heddle::run({.workers = 2},
                           [] {
                             heddle::go([] { throw std::logic_error("x"); });
                             this_fiber::sleep_for(1h);
                           }),
               "an exception left fiber [0-9]+: std::logic_error: x");
}

// --- stopping ---

HEDDLE_TEST(FiberStop, ReachesTheToken) {
  std::stop_token seen;
  fiber f([&](std::stop_token token) {
    EXPECT_EQ(token, this_fiber::get_stop_token());
    seen = token;
    until_stopped(token);
  });
  EXPECT_TRUE(f.get_stop_token().stop_possible());
  EXPECT_FALSE(f.get_stop_token().stop_requested());
  EXPECT_EQ(f.get_stop_source().get_token(), f.get_stop_token());
  const auto token = f.get_stop_token();
  EXPECT_TRUE(f.request_stop());
  EXPECT_FALSE(f.request_stop()) << "it was requested before";
  EXPECT_TRUE(token.stop_requested());
  f.join();
  EXPECT_EQ(seen, token);
}

HEDDLE_TEST(FiberStop, IsSeenByWhoAsksOnlyLater) {
  heddle::channel<int> gate;
  bool seen = false;
  fiber f([&, gate]() mutable {
    gate.receive();
    seen = this_fiber::get_stop_token().stop_requested();  // the state is made here
  });
  EXPECT_TRUE(f.request_stop());
  EXPECT_FALSE(f.request_stop());
  gate.close();
  f.join();
  EXPECT_TRUE(seen);
}

HEDDLE_TEST(FiberStop, MayComeFromItsSource) {
  fiber f(until_stopped);
  auto source = f.get_stop_source();
  EXPECT_TRUE(source.request_stop());
  EXPECT_FALSE(f.request_stop());
  f.join();
}

HEDDLE_TEST(FiberStop, RunsCallbacksInWhoRequests) {
  heddle::channel<int> gate;
  fiber f([=]() mutable { gate.receive(); });
  fiber::id ran_in;
  std::stop_callback callback(f.get_stop_token(), [&] { ran_in = this_fiber::get_id(); });
  f.request_stop();
  EXPECT_EQ(ran_in, this_fiber::get_id());
  gate.close();
  f.join();
}

HEDDLE_TEST(FiberStop, OutlivesTheFiber) {
  fiber f([] {});
  auto source = f.get_stop_source();
  auto token = f.get_stop_token();
  f.join();
  EXPECT_TRUE(source.request_stop());
  EXPECT_TRUE(token.stop_requested());
}

HEDDLE_TEST(FiberStop, IsRequestedOnceHoweverManyTry) {
  for (std::size_t i = 0; i < rounds(200); ++i) {
    fiber f(until_stopped);
    std::atomic<int> firsts{0};
    heddle::wait_group all;
    for (int k = 0; k < 4; ++k) {
      all.go([&, k] {
        if (k == 0) (void)f.get_stop_token();
        if (f.request_stop()) ++firsts;
      });
    }
    all.wait();
    ASSERT_EQ(firsts, 1);
    f.join();
  }
}

HEDDLE_TEST(FiberStop, IsOfEachFiberItsOwn) {
  fiber a(until_stopped), b(until_stopped);
  EXPECT_NE(a.get_stop_token(), b.get_stop_token());
  a.request_stop();
  EXPECT_FALSE(b.get_stop_token().stop_requested());
  EXPECT_FALSE(this_fiber::get_stop_token().stop_requested());
}

// --- ids ---

HEDDLE_TEST(FiberId, IsTheSameFromInsideAndOutside) {
  fiber::id inside;
  fiber f([&] {
    inside = this_fiber::get_id();
    this_fiber::yield();
    EXPECT_EQ(this_fiber::get_id(), inside);
  });
  const auto outside = f.get_id();
  f.join();
  EXPECT_EQ(inside, outside);
  EXPECT_NE(inside, this_fiber::get_id());
}

HEDDLE_TEST(FiberId, IsOrderedHashedAndStreamedLikeAThreadsId) {
  fiber a([] {}), b([] {});
  const fiber::id none, x = a.get_id(), y = b.get_id();
  EXPECT_EQ(x, x);
  EXPECT_NE(x, y);
  EXPECT_NE(x < y, y < x);
  EXPECT_EQ(x <=> x, std::strong_ordering::equal);
  EXPECT_TRUE(x <= x && x >= x && none != x);
  const std::map<fiber::id, int> sorted{{x, 1}, {y, 2}, {none, 3}};
  EXPECT_EQ(sorted.size(), 3u);
  const std::unordered_set<fiber::id> hashed{x, y, none, x};
  EXPECT_EQ(hashed.size(), 3u);
  std::ostringstream text;
  text << x << ' ' << y << ' ' << x;
  std::istringstream words(text.str());
  std::string first, second, third;
  words >> first >> second >> third;
  EXPECT_EQ(first, third);
  EXPECT_NE(first, second);
  EXPECT_FALSE(first.empty());
  std::wostringstream wide;
  wide << x;
  EXPECT_FALSE(wide.str().empty());
}

HEDDLE_TEST(FiberId, IsNeverGivenOutTwice) {
  std::set<fiber::id> seen;
  std::mutex mutex;
  const auto note = [&](fiber::id id) {
    EXPECT_NE(id, fiber::id{});
    const std::lock_guard hold(mutex);
    EXPECT_TRUE(seen.insert(id).second) << "given out twice: " << id;
  };
  heddle::wait_group all;
  // From fibers of two runtimes and from plain threads; each record is used many times over.
  heddle::runtime other({.workers = 2});
  for (int k = 0; k < 4; ++k) {
    all.go([&, k] {
      for (std::size_t i = 0; i < rounds(3000); ++i) {
        fiber f({.on = k % 2 == 0 ? &other : nullptr}, [] {});
        note(f.get_id());
        f.join();
      }
    });
  }
  heddle::blocking([&] {
    for (std::size_t i = 0; i < rounds(1000); ++i) {
      fiber f([] {});
      note(f.get_id());
      f.join();
    }
  });
  all.wait();
  EXPECT_EQ(seen.size(), 4 * rounds(3000) + rounds(1000));
}

// --- what it is given at its start ---

HEDDLE_TEST(FiberOptions, NameIt) {
  std::string seen = "?", unnamed = "?";
  fiber({.name = "worker bee"}, [&] { seen = this_fiber::name(); }).join();
  fiber([&] { unnamed = this_fiber::name(); }).join();
  EXPECT_EQ(seen, "worker bee");
  EXPECT_EQ(unnamed, "");
}

HEDDLE_TEST(FiberOptions, CutANameAt255Bytes) {
  std::string name;
  for (int i = 0; i < 1 << 20; ++i) name += static_cast<char>('a' + i % 26);
  std::string seen, set;
  fiber({.name = name}, [&] {
    seen = this_fiber::name();
    this_fiber::set_name("short");
    EXPECT_EQ(this_fiber::name(), "short");
    this_fiber::set_name(name);
    set = this_fiber::name();
    this_fiber::set_name(std::string(255, 'x'));
    EXPECT_EQ(this_fiber::name().size(), 255u);
    this_fiber::set_name("");
    EXPECT_EQ(this_fiber::name(), "");
  }).join();
  EXPECT_EQ(seen, name.substr(0, 255));
  EXPECT_EQ(set, name.substr(0, 255));
}

HEDDLE_TEST(FiberOptions, DoNotLeakANameToTheNextFiber) {
  for (int i = 0; i < 200; ++i) {
    fiber({.name = i % 2 == 0 ? "even" : ""}, [i] {
      EXPECT_EQ(this_fiber::name(), i % 2 == 0 ? "even" : "");
    }).join();
  }
}

/// Walks `bytes` down the stack.
[[gnu::noinline]] std::size_t deep(std::size_t bytes) {
  volatile char frame[1024];
  frame[0] = 1;
  if (bytes <= sizeof frame) return static_cast<std::size_t>(frame[0]);
  return deep(bytes - sizeof frame) + static_cast<std::size_t>(frame[0]);
}

HEDDLE_TEST(FiberOptions, GiveItAStackOfItsOwnSize) {
  for (const std::size_t size : {16u * 1024, 100'000u, 1024u * 1024, 8u * 1024 * 1024}) {
    std::vector<fiber> several;
    for (int i = 0; i < 3; ++i) {
      several.emplace_back(heddle::fiber_options{.stack_size = size}, [size] {
        // Half of it, so as to leave room for the frames of sanitizers.
        if (!sanitized || size > 500'000) {
          EXPECT_GT(deep(size / 2), 0u);
        }
        this_fiber::yield();
      });
    }
  }
}

HEDDLE_TEST(FiberOptions, RefuseABadStackSize) {
  for (const std::size_t bad :
       {std::size_t{1}, std::size_t{16'383}, (std::size_t{1} << 30) + 1, SIZE_MAX}) {
    try {
      fiber f({.stack_size = bad}, [] {});
      ADD_FAILURE() << bad << " was accepted";
    } catch (const std::invalid_argument& e) {
      EXPECT_NE(std::string(e.what()).find(std::to_string(bad)), std::string::npos) << e.what();
    }
    EXPECT_THROW(heddle::go({.stack_size = bad}, [] {}), std::invalid_argument);
  }
  EXPECT_EQ(rt.stats().fibers_alive, 1u);
}

HEDDLE_TEST(FiberOptions, ChooseItsRuntime) {
  heddle::runtime other({.workers = 1});
  heddle::runtime* seen = nullptr;
  fiber({.on = &other}, [&] { seen = heddle::runtime::current(); }).join();
  EXPECT_EQ(seen, &other);
  heddle::wait_group all;
  all.add();
  heddle::go({.name = "there", .on = &other}, [&] {
    seen = heddle::runtime::current();
    EXPECT_EQ(this_fiber::name(), "there");
    all.done();
  });
  all.wait();
  EXPECT_EQ(seen, &other);
}

}  // namespace
