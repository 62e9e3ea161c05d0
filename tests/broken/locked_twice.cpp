// SPDX-License-Identifier: BSL-1.0
// locked_twice: a function that locks calls one that locks too. (With HEDDLE_ASSERTIONS the lock
//   itself finds it.)
//   Says: (deadlock: fiber \d+ 'clerk' waits for itself, for ever:$|is locked by its owner)
//   Ends: SIGABRT
#include <heddle/heddle.hpp>

#include <mutex>

heddle::mutex files;

void find_file() { const std::lock_guard hold(files); }
void put_file() {
  const std::lock_guard hold(files);
  find_file();
}

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::fiber clerk({.name = "clerk"}, put_file);
    heddle::channel<int> others;
    others.receive();
  });
  return 0;
}
