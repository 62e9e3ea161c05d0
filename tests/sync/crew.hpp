// SPDX-License-Identifier: BSL-1.0
// crew: parties to a test of this room, by turns of the kinds that a primitive must serve alike.
//
//     HEDDLE_CREW_TEST(Subject, SentenceThatMustHold) { all.start([&] { ... }); ... }
//
//   runs in each world three times: among fibers (the body is one), among plain threads (the body
//   is one), and mixed (fibers, threads and fibers of another runtime by turns; the body is a
//   fiber). `all` is the crew; the body joins it before what its members refer to is gone. Whoever
//   is started by start_and_sleep() is asleep in a wait when that returns: that is how tests know
//   who came first, without sleeping themselves.
//
//     HEDDLE_STD_TEST(Subject, SentenceThatMustHold) { typename kit::mutex m; ... }
//
//   runs also with kit as std's, among threads: what holds for std must hold for heddle. Not under
//   ThreadSanitizer, which does not see what libstdc++.so does, and whose pthread_once never ends
//   where what it calls throws.
#pragma once

#include "world.hpp"

#include <heddle/sync/barrier.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/future.hpp>
#include <heddle/sync/latch.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/semaphore.hpp>
#include <heddle/sync/shared_mutex.hpp>
#include <heddle/sync/wait_group.hpp>

#include <sys/types.h>

#include <atomic>
#include <barrier>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <semaphore>
#include <shared_mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle_test {

/// Whether a thread of this process sleeps in a futex call: what a plain thread's wait comes to.
bool sleeps_in_futex(pid_t tid);

enum class mode { fibers, threads, mixed };
enum class kind { fiber, thread, other_fiber };

class crew {
 public:
  crew(heddle::runtime& rt, mode who) : rt_(rt), who_(who) {}
  ~crew() { join(); }
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  heddle::runtime& rt() noexcept { return rt_; }

  template <class F>
  void start(F&& f) {
    start_as(next_kind(), std::forward<F>(f));
  }
  template <class F>
  void start_as(kind what, F&& f) {
    start_call(what, as_call(std::forward<F>(f)));
  }

  /// Returns when the new member waits for something. Nobody else may fall asleep meanwhile.
  template <class F>
  void start_and_sleep(F&& f) {
    start_as_and_sleep(next_kind(), std::forward<F>(f));
  }
  template <class F>
  void start_as_and_sleep(kind what, F&& f) {
    start_call_and_sleep(what, as_call(std::forward<F>(f)));
  }

  void join();
  bool is_joined() const noexcept { return is_joined_; }

  kind next_kind() noexcept {
    if (who_ != mode::mixed) return who_ == mode::fibers ? kind::fiber : kind::thread;
    return static_cast<kind>(started_++ % 3);
  }

 private:
  // Compiled once (crew.cpp): to start a fiber and a thread for each lambda of each test would take
  // the compiler longer than the test.
  using call = std::function<void()>;

  template <class F>
  static call as_call(F&& f) {
    using body = std::decay_t<F>;
    if constexpr (std::is_copy_constructible_v<body>) {
      return call(std::forward<F>(f));
    } else {
      return [shared = std::make_shared<body>(std::forward<F>(f))] { (*shared)(); };
    }
  }
  void start_call(kind what, call body);
  void start_call_and_sleep(kind what, call body);
  heddle::runtime& runtime_of(kind what);

  heddle::runtime& rt_;
  const mode who_;
  int started_ = 0;
  bool is_joined_ = true;
  std::optional<heddle::runtime> other_;
  std::vector<std::thread> threads_;
  heddle::wait_group under_way_;
};

struct heddle_kit {
  using mutex = heddle::mutex;
  using timed_mutex = heddle::timed_mutex;
  using recursive_mutex = heddle::recursive_mutex;
  using recursive_timed_mutex = heddle::recursive_timed_mutex;
  using shared_mutex = heddle::shared_mutex;
  using shared_timed_mutex = heddle::shared_timed_mutex;
  using once_flag = heddle::once_flag;
  template <class... A>
  static void call_once(once_flag& flag, A&&... args) {
    heddle::call_once(flag, std::forward<A>(args)...);
  }
  using condition_variable = heddle::condition_variable;
  using condition_variable_any = heddle::condition_variable_any;
  template <std::ptrdiff_t Max>
  using counting_semaphore = heddle::counting_semaphore<Max>;
  using binary_semaphore = heddle::binary_semaphore;
  using latch = heddle::latch;
  template <class... Completion>
  using barrier = heddle::barrier<Completion...>;
  template <class R>
  using promise = heddle::promise<R>;
  template <class R>
  using future = heddle::future<R>;
  template <class R>
  using shared_future = heddle::shared_future<R>;
  template <class Signature>
  using packaged_task = heddle::packaged_task<Signature>;
  template <class... A>
  static auto async(A&&... args) {
    return heddle::async(std::forward<A>(args)...);
  }
};
struct std_kit {
  using mutex = std::mutex;
  using timed_mutex = std::timed_mutex;
  using recursive_mutex = std::recursive_mutex;
  using recursive_timed_mutex = std::recursive_timed_mutex;
  using shared_mutex = std::shared_mutex;
  using shared_timed_mutex = std::shared_timed_mutex;
  using once_flag = std::once_flag;
  template <class... A>
  static void call_once(once_flag& flag, A&&... args) {
    std::call_once(flag, std::forward<A>(args)...);
  }
  using condition_variable = std::condition_variable;
  using condition_variable_any = std::condition_variable_any;
  template <std::ptrdiff_t Max>
  using counting_semaphore = std::counting_semaphore<Max>;
  using binary_semaphore = std::binary_semaphore;
  using latch = std::latch;
  template <class... Completion>
  using barrier = std::barrier<Completion...>;
  template <class R>
  using promise = std::promise<R>;
  template <class R>
  using future = std::future<R>;
  template <class R>
  using shared_future = std::shared_future<R>;
  template <class Signature>
  using packaged_task = std::packaged_task<Signature>;
  template <class... A>
  static auto async(A&&... args) {
    return std::async(std::forward<A>(args)...);
  }
};

/// A fiber that is asleep in a wait when this returns, to be cancelled.
template <class F>
[[nodiscard]] heddle::fiber sleeping_fiber(heddle::runtime& rt, F&& f) {
  const auto before = rt.stats().parks;
  heddle::fiber made(heddle::fiber_options{.on = &rt}, std::forward<F>(f));
  EXPECT_TRUE(eventually([&] { return rt.stats().parks > before; }));
  return made;
}

/// Whether `f` throws heddle::cancelled, and for which reason.
template <class F>
std::optional<heddle::cancel_reason> cancelled_in(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const heddle::cancelled& c) {
    return c.reason();
  }
  return std::nullopt;
}

/// Runs `f` in a fiber that was cancelled before.
template <class F>
void in_cancelled_fiber(heddle::runtime& rt, F&& f) {
  std::atomic<bool> is_cancelled{false};
  heddle::fiber one(heddle::fiber_options{.on = &rt}, [&] {
    while (!is_cancelled.load()) heddle::this_fiber::yield();
    f();
  });
  EXPECT_TRUE(one.cancel());
  is_cancelled.store(true);
  one.join();
}

/// The code of the std::future_error that `f` throws.
template <class F>
std::optional<std::future_errc> future_error_in(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const std::future_error& e) {
    EXPECT_EQ(e.code().category(), std::future_category());
    return static_cast<std::future_errc>(e.code().value());
  }
  return std::nullopt;
}

/// Lets a number of parties start together, again and again.
class start_line {
 public:
  explicit start_line(int parties) noexcept : parties_(parties) {}
  void wait() noexcept {
    const auto round = round_.load();
    if (arrived_.fetch_add(1) + 1 == parties_) {
      arrived_.store(0);
      round_.fetch_add(1);
      return;
    }
    for (int turn = 0; round_.load() == round; ++turn) {
      if (turn > 20) heddle::this_fiber::yield();
      if (turn > 40) std::this_thread::yield();  // others may need this processor
    }
  }

 private:
  const int parties_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
};

/// A little time, each time another; so that two who started together meet in every order.
class jitter {
 public:
  explicit jitter(unsigned seed) : numbers_(seed) {}
  unsigned below(unsigned n) { return static_cast<unsigned>(numbers_()) % n; }
  void operator()() {
    const unsigned kind = below(16);
    if (kind == 0) heddle::this_fiber::yield();
    for (unsigned i = below(kind < 8 ? 20 : 400); i > 0; --i) asm volatile("");
  }

 private:
  std::minstd_rand numbers_;
};

}  // namespace heddle_test

#define HEDDLE_CREW_TEST(subject, sentence)                          \
  static void subject##_##sentence##_crew(::heddle_test::crew& all); \
  HEDDLE_TEST(subject, sentence##AmongFibers) {                      \
    ::heddle_test::crew all(rt, ::heddle_test::mode::fibers);        \
    subject##_##sentence##_crew(all);                                \
    EXPECT_TRUE(all.is_joined());                                    \
  }                                                                  \
  HEDDLE_THREAD_TEST(subject, sentence##AmongThreads) {              \
    ::heddle_test::crew all(rt, ::heddle_test::mode::threads);       \
    subject##_##sentence##_crew(all);                                \
    EXPECT_TRUE(all.is_joined());                                    \
  }                                                                  \
  HEDDLE_TEST(subject, sentence##AmongBoth) {                        \
    ::heddle_test::crew all(rt, ::heddle_test::mode::mixed);         \
    subject##_##sentence##_crew(all);                                \
    EXPECT_TRUE(all.is_joined());                                    \
  }                                                                  \
  static void subject##_##sentence##_crew([[maybe_unused]] ::heddle_test::crew& all)

// One build of them all is enough to know the tests themselves right (CMakeLists.txt).
#if defined(HEDDLE_TEST_AT_LENGTH) && !defined(HEDDLE_CHAOS)
#define HEDDLE_STD_CONTROL_(subject, sentence)                 \
  TEST(subject, sentence##InStd) {                             \
    heddle::runtime rt({.workers = 1});                        \
    ::heddle_test::crew all(rt, ::heddle_test::mode::threads); \
    subject##_##sentence##_with<::heddle_test::std_kit>(all);  \
    EXPECT_TRUE(all.is_joined());                              \
  }
#else
#define HEDDLE_STD_CONTROL_(subject, sentence)
#endif

#define HEDDLE_STD_TEST(subject, sentence)                           \
  template <class kit>                                               \
  static void subject##_##sentence##_with(::heddle_test::crew& all); \
  HEDDLE_CREW_TEST(subject, sentence) {                              \
    subject##_##sentence##_with<::heddle_test::heddle_kit>(all);     \
  }                                                                  \
  HEDDLE_STD_CONTROL_(subject, sentence)                             \
  template <class kit>                                               \
  static void subject##_##sentence##_with([[maybe_unused]] ::heddle_test::crew& all)
