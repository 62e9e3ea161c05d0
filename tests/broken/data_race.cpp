// SPDX-License-Identifier: BSL-1.0
// data_race: two fibers count in one number, and one has forgotten the lock. Both run on the one
//   thread that there is; only a tool that knows fibers sees it.
//   Only with: ThreadSanitizer
//   Says: WARNING: ThreadSanitizer: data race
//   Says: #0 data_race::deposit
//   Says: Previous write of size 8
//   Says: #0 data_race::deposit
//   Says: Location is global 'data_race::balance'
//   Ends: 66
#include <heddle/heddle.hpp>

#include <mutex>

heddle::mutex lock;
long balance = 0;

void deposit(long amount) { balance += amount; }

int main() {
  heddle::run({.workers = 1}, [] {
    heddle::wait_group all;
    all.go([] {
      const std::lock_guard hold(lock);
      deposit(10);
    });
    all.go([] { deposit(20); });
    all.wait();
  });
  return 0;
}
