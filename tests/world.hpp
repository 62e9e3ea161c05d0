// SPDX-License-Identifier: BSL-1.0
// world: the same test in several worlds. Its body runs in a fresh runtime with 1, then 2, then 8
//   workers, and at the end no fiber, stack or timer may be left.
//
//     HEDDLE_TEST(Subject, SentenceThatMustHold) { ... }          the body is a fiber of `rt`
//
//     HEDDLE_THREAD_TEST(Subject, SentenceThatMustHold) { ... }   it is the plain main thread
//
//     HEDDLE_TEST_WITH(Subject, Sentence, .stack_size = 65'536)   `rt` has options of its own;
//                                                    HEDDLE_THREAD_TEST_WITH(...) is the same
//   They mix with TEST() in one suite. `rt` is the heddle::runtime; a body is a void function, so
//   ASSERT_* leaves it. Expectations work in any fiber and thread, SCOPED_TRACE only where the
//   fiber does not switch (it is a thread-local of GoogleTest's). Nothing sleeps "to let it
//   happen": a wait group, eventually(), or virtual_time.
#pragma once

#include <heddle/sched/clock.hpp>
#include <heddle/sched/runtime.hpp>
#include <heddle/sched/this_fiber.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace heddle_test {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool tsan = true;
#elif defined(__has_feature)
inline constexpr bool tsan = __has_feature(thread_sanitizer);
#else
inline constexpr bool tsan = false;
#endif

/// By how much bounds in time are widened: 10 under a sanitizer or Valgrind, else 1 (main.cpp).
int slowness() noexcept;

/// Whether scheduling choices are random: then other seeds, not more rounds, find other ways.
bool chaotic() noexcept;

/// `n`, or a tenth of it (at least 1) where everything is slow, or chaotic, and in all builds but
/// the one that tests at length (CMakeLists.txt): for counts of rounds.
inline std::size_t rounds(std::size_t n) {
#if defined(HEDDLE_TEST_AT_LENGTH)
  const bool all = slowness() == 1 && !chaotic();
#else
  const bool all = false;
#endif
  return all ? n : std::max<std::size_t>(n / 10, 1);
}

/// For loops of many rounds, which a busy machine may end early: over after 2 s, wherever they are.
class time_limit {
 public:
  bool over() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  const std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + 2s;
};

/// Whether `holds()` becomes true within a generous bound (10 s of real time). From a fiber others
/// run meanwhile; from a thread it looks again every 50 us. A fiber that looks often holds its
/// worker up for 50 us now and then: many tests wait so at once, on few processors.
template <class Predicate>
[[nodiscard]] bool eventually(Predicate&& holds, std::chrono::milliseconds bound = 10s) {
  const auto give_up = std::chrono::steady_clock::now() + bound * slowness();
  for (unsigned turn = 1; !holds(); ++turn) {
    if (std::chrono::steady_clock::now() >= give_up) return static_cast<bool>(holds());
    const bool in_fiber = heddle::this_fiber::get_id() != heddle::fiber::id{};
    if (in_fiber) heddle::this_fiber::yield();
    if (!in_fiber || (turn > 64 && turn % 16 == 0)) std::this_thread::sleep_for(50us);
  }
  return true;
}

/// A second, of a machine of which this process has two processors: where others use it too,
/// longer.
class a_second {
 public:
  bool over() const {
    return std::chrono::steady_clock::now() >= end_ &&
           std::clock() - used_ >= 2 * CLOCKS_PER_SEC * slowness();
  }

 private:
  const std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + 1s;
  const std::clock_t used_ = std::clock();
};

/// Whether `holds()` becomes true within a second. With one worker, where it may be the watchdog
/// that lets others run: within 20 s.
template <class Predicate>
[[nodiscard]] bool within_a_second(const heddle::runtime& rt, Predicate&& holds) {
  if (rt.workers() == 1) return eventually(holds, 20s);
  const a_second limit;
  bool held = false;
  (void)eventually([&] { return (held = holds()) || limit.over(); }, 60s);
  return held;
}

/// Runs `f(0)` to `f(n - 1)` on OS threads of their own, all at once, and joins them.
template <class F>
void on_threads(int n, F&& f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) threads.emplace_back([&f, i] { f(i); });
  for (auto& each : threads) each.join();
}

/// While one is alive, heddle's clock stands still but for advance(). For tests whose runtimes have
/// no timer pending at its start and end.
class virtual_time {
 public:
  virtual_time() noexcept { heddle::detail::use_virtual_time(); }
  ~virtual_time() { heddle::detail::use_real_time(); }
  virtual_time(const virtual_time&) = delete;
  virtual_time& operator=(const virtual_time&) = delete;
  void advance(std::chrono::nanoseconds by) noexcept { heddle::detail::advance_virtual_time(by); }
};

/// Sets an environment variable (nullptr: removes it) while it lives.
class environment {
 public:
  environment(const char* variable, const char* value);
  ~environment();
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

 private:
  std::string variable_;
  std::string before_;
  bool was_set_;
};

/// Fails the test unless every fiber, stack and timer of `rt` is gone, or goes within a generous
/// bound: the last stack is released a moment after its fiber's joiner was woken.
void expect_nothing_left(heddle::runtime& rt);

enum class on { fiber, thread };
using body_fn = void (*)(heddle::runtime& rt);

/// Runs `body` in a runtime of these options, and expects that nothing is left of it.
void run_in_world(body_fn body, on where, heddle::options how);

/// Registers `body` as Subject.Sentence/1, /2 and /8.
bool add_worlds(const char* subject, const char* sentence, const char* file, int line, body_fn body,
                on where, heddle::options how);

}  // namespace heddle_test

#define HEDDLE_TEST_IN_(where, subject, sentence, ...)                                         \
  static void subject##_##sentence##_body(heddle::runtime& rt);                                \
  [[maybe_unused]] static const bool subject##_##sentence##_added = ::heddle_test::add_worlds( \
      #subject, #sentence, __FILE__, __LINE__, &subject##_##sentence##_body, where,            \
      heddle::options{__VA_ARGS__});                                                           \
  static void subject##_##sentence##_body([[maybe_unused]] heddle::runtime& rt)

#define HEDDLE_TEST(subject, sentence) \
  HEDDLE_TEST_IN_(::heddle_test::on::fiber, subject, sentence, )
#define HEDDLE_THREAD_TEST(subject, sentence) \
  HEDDLE_TEST_IN_(::heddle_test::on::thread, subject, sentence, )
#define HEDDLE_TEST_WITH(subject, sentence, ...) \
  HEDDLE_TEST_IN_(::heddle_test::on::fiber, subject, sentence, __VA_ARGS__)
#define HEDDLE_THREAD_TEST_WITH(subject, sentence, ...) \
  HEDDLE_TEST_IN_(::heddle_test::on::thread, subject, sentence, __VA_ARGS__)
