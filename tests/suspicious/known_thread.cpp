// SPDX-License-Identifier: BSL-1.0
// known_thread: all fibers wait for a thread that has used heddle before, and sleeps by itself.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <thread>

using namespace std::chrono_literals;

int main() {
  heddle::channel<int> questions, answers;
  std::thread slow([&] {
    const int q = *questions.receive();
    std::this_thread::sleep_for(1500ms);
    answers.send(q + 1);
  });
  const auto got = heddle::run({.deadlock = heddle::on_deadlock::abort}, [&] {
    questions.send(41);
    return answers.receive();
  });
  slow.join();
  return got == 42 ? 0 : 1;
}
