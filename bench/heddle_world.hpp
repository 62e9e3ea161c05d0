// SPDX-License-Identifier: BSL-1.0
// heddle_world: the names that a benchmark's body uses, meaning fibers. thread_world has the same
// names, meaning threads; a body is written once and compiled for both.
#pragma once

#include <heddle/heddle.hpp>

#include <chrono>
#include <cstddef>
#include <utility>

namespace bench {

class heddle_world {
 public:
  using task = heddle::fiber;  // runs a callable; its destructor joins
  using mutex = heddle::mutex;
  using wait_group = heddle::wait_group;
  template <class T>
  using channel = heddle::channel<T>;

  explicit heddle_world(unsigned workers) : runtime_(heddle::options{.workers = workers}) {}

  // Runs f as a task of this world and returns its result.
  template <class Fn>
  auto run(Fn&& f) {
    return runtime_.run(std::forward<Fn>(f));
  }

  // A task that nobody joins.
  template <class Fn>
  static void go(Fn&& f) {
    heddle::go(std::forward<Fn>(f));
  }
  static void yield() noexcept { heddle::this_fiber::yield(); }
  static void sleep_for(std::chrono::nanoseconds time) { heddle::this_fiber::sleep_for(time); }
  heddle::runtime_stats stats() const { return runtime_.stats(); }

 private:
  heddle::runtime runtime_;
};

}  // namespace bench
