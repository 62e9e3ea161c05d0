// SPDX-License-Identifier: BSL-1.0
// main: runs the tests under a watchdog: a test that takes longer than a minute (ten under a
//   sanitizer or Valgrind) hangs; it is named, and the process aborts. After a failure the chaos
//   seed is printed, by which its choices can be had again.
#include "world.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

namespace heddle_test {
namespace {

class watchdog : public ::testing::EmptyTestEventListener {
 public:
  watchdog() : thread_([this] { watch(); }) {}
  ~watchdog() override {
    {
      const std::lock_guard hold(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void OnTestStart(const ::testing::TestInfo& test) override {
    const std::lock_guard hold(mutex_);
    running_ = std::string(test.test_suite_name()) + "." + test.name();
    give_up_ = std::chrono::steady_clock::now() + limit();
    changed_.notify_one();
  }
  void OnTestEnd(const ::testing::TestInfo&) override {
    const std::lock_guard hold(mutex_);
    running_.clear();
  }

 private:
  static std::chrono::seconds limit() { return std::chrono::seconds(60) * slowness(); }

  void watch() {
    std::unique_lock hold(mutex_);
    while (!over_) {
      if (running_.empty()) {
        changed_.wait(hold);
        continue;
      }
      changed_.wait_until(hold, give_up_);
      if (running_.empty() || std::chrono::steady_clock::now() < give_up_) continue;
      std::fprintf(stderr, "\nheddle_test: %s hangs: it has run for %lld s%s%s\n", running_.c_str(),
                   static_cast<long long>(limit().count()),
                   std::getenv("HEDDLE_CHAOS") != nullptr ? ", with HEDDLE_CHAOS=" : "",
                   std::getenv("HEDDLE_CHAOS") != nullptr ? std::getenv("HEDDLE_CHAOS") : "");
      std::abort();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string running_;                            // guarded by mutex_; empty between tests
  std::chrono::steady_clock::time_point give_up_;  // the same
  bool over_ = false;                              // the same
  std::thread thread_;
};

}  // namespace
}  // namespace heddle_test

#if defined(__SANITIZE_THREAD__)
// It would sleep for a second at each exit, and refuse what the tests of fork() do.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "atexit_sleep_ms=0:die_after_fork=0"; }
#endif

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  // A process that must die is started anew: a fork of one with threads could only exec.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::testing::UnitTest::GetInstance()->listeners().Append(new heddle_test::watchdog);
  const int status = RUN_ALL_TESTS();
  const char* seed = std::getenv("HEDDLE_CHAOS");
  if (status != 0 && seed != nullptr) std::fprintf(stderr, "repeat with HEDDLE_CHAOS=%s\n", seed);
  return status;
}
