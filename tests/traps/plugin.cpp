// SPDX-License-Identifier: BSL-1.0
// plugin: trap 24: a module that holds a copy of heddle, of another build than that of the program
//   which loads it (unload.cpp).
#include "plugin.hpp"

#include <heddle/heddle.hpp>

#include <chrono>
#include <cstdlib>
#include <mutex>

namespace {

thread_local int on_this_thread = 0;

int use_fibers() {
  heddle::channel<int> numbers;
  heddle::mutex m;
  heddle::wait_group all;
  int sum = 0;
  for (int i = 0; i < 10; ++i) {
    all.go([&, i] {
      heddle::this_fiber::sleep_for(std::chrono::microseconds(i));
      numbers.send(i);
    });
  }
  for (int i = 0; i < 10; ++i) {
    all.go([&] {
      const int number = *numbers.receive();
      ++on_this_thread;
      const std::lock_guard hold(m);
      sum += number;
    });
  }
  all.wait();
  return sum;
}

int use_heddle() {
  const int sum = use_fibers();
  // Its thread ends with the runtime, and has what such threads have of their own.
  static heddle::fiber_local<int> local;
  heddle::blocking([] { *local = ++on_this_thread; });
  return sum;
}

}  // namespace

int use_own_runtime() {
  // To this copy the caller is a plain thread, also where it is a fiber of the program's.
  if (heddle::this_fiber::get_id() != heddle::fiber::id{}) return 0;
  return heddle::run({.workers = 2}, use_heddle);
}

int use_default_runtime() { return heddle::runtime::default_runtime().run(use_fibers); }

// No thread_local with a destructor: for that another thread needs the lock that dlopen() holds.
const int used = std::getenv("HEDDLE_TEST_WHILE_LOADING") != nullptr
                     ? heddle::run({.workers = 2}, use_fibers)
                     : 45;

int used_while_loading() { return used; }
