// SPDX-License-Identifier: BSL-1.0
// strange_thread: all fibers wait for a thread that has nothing to do with heddle until it sends.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <thread>

using namespace std::chrono_literals;

int main() {
  heddle::channel<int> answers;
  std::thread slow([&] {
    std::this_thread::sleep_for(1500ms);
    answers.send(42);
  });
  const auto got =
      heddle::run({.deadlock = heddle::on_deadlock::abort}, [&] { return answers.receive(); });
  slow.join();
  return got == 42 ? 0 : 1;
}
