// SPDX-License-Identifier: BSL-1.0
// static_objects: trap 23: heddle in the constructors and destructors of static objects. Linked in
// both orders: these objects are made before heddle's own ones, and after.
#include <heddle/heddle.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace {

using namespace std::chrono_literals;

/// Ends the process with a message unless `holds`.
void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("wrong: %s\n", what);
  std::fflush(stdout);
  std::_Exit(1);
}

/// The squares of 1 to 100, by four fibers.
int sum_of_squares() {
  heddle::channel<int> numbers;
  heddle::channel<int> squares{4};
  heddle::wait_group group;
  for (int i = 0; i < 4; ++i) {
    group.go([=]() mutable {
      for (const int n : numbers) squares.send(n * n);
    });
  }
  group.go([=]() mutable {
    for (int i = 1; i <= 100; ++i) numbers.send(i);
    numbers.close();
  });
  heddle::fiber last_one_out([&group, squares]() mutable {
    group.wait();
    squares.close();
  });
  int sum = 0;
  for (const int n : squares) sum += n;
  return sum;
}

/// Ten turns that another fiber takes, under a lock.
int turns() {
  heddle::mutex lock;
  heddle::condition_variable changed;
  int taken = 0;
  heddle::fiber other([&] {
    for (int i = 0; i < 10; ++i) {
      const std::scoped_lock hold(lock);
      ++taken;
      changed.notify_one();
    }
  });
  std::unique_lock hold(lock);
  changed.wait(hold, [&] { return taken == 10; });
  return taken;
}

/// What a race's winner throws, from a wait that its loser gives up.
int thrown() {
  try {
    heddle::race([]() -> int { throw 7; },
                 [] { return heddle::channel<int>().receive().value_or(0); });
  } catch (int what) {
    return what;
  }
  return 0;
}

/// Whether fibers and most of what they wait on do what they should, in the current runtime, or
/// from a plain thread in the default one.
bool all_works() {
  std::atomic<int> counted{0};
  heddle::parallel_for(0, 100, [&](int) { counted.fetch_add(1, std::memory_order_relaxed); });
  heddle::channel<int> never;
  const auto which =
      heddle::select(heddle::on_receive(never, [](std::optional<int>) {}), heddle::on_timeout(1ms));
  return sum_of_squares() == 338'350 && turns() == 10 && thrown() == 7 &&
         heddle::async([] { return heddle::blocking([] { return 5; }); }).get() == 5 &&
         counted.load(std::memory_order_relaxed) == 100 && which == 1;
}

bool all_works_in_a_runtime_of_ones_own() { return heddle::run({.workers = 2}, all_works); }

/// Made before the default runtime, and so destroyed after its end.
struct older_than_the_default_runtime {
  ~older_than_the_default_runtime() {
    check(all_works_in_a_runtime_of_ones_own(), "a runtime of one's own after the default one");
    try {
      heddle::runtime::default_runtime().run(all_works);
      check(false, "run() in the default runtime after its end returned");
    } catch (const std::system_error& error) {
      check(error.code() == std::errc::resource_deadlock_would_occur, "the code of its error");
      check(std::string(error.what()).find("default runtime") != std::string::npos, error.what());
    }
    std::printf("after the default runtime: ok\n");
  }
};

/// Begins a fiber before main(), and ends it after.
class shop {
 public:
  shop() {
    check(all_works(), "the default runtime before main");
    check(all_works_in_a_runtime_of_ones_own(), "a runtime of one's own before main");
    clerk_ = heddle::fiber([this] {
      for (const int n : orders_) sold_ += n;
    });
    std::ostringstream told;
    heddle::dump(told);
    check(told.str().find("fiber") != std::string::npos, "a dump before main");
    std::printf("before main: ok\n");
  }
  ~shop() {
    for (int i = 0; i < 10; ++i) orders_.send(i);
    orders_.close();
    clerk_.join();
    check(sold_ == 45, "a fiber that began before main and ended after it");
    check(all_works(), "the default runtime after main");
    check(all_works_in_a_runtime_of_ones_own(), "a runtime of one's own after main");
    std::printf("after main: ok\n");
  }

 private:
  heddle::channel<int> orders_;
  int sold_ = 0;
  heddle::fiber clerk_;
};

const older_than_the_default_runtime oldest;
const shop the_shop;

}  // namespace

int main() {
  check(all_works(), "the default runtime in main");
  std::printf("main: ok\n");
}
