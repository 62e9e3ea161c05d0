// SPDX-License-Identifier: BSL-1.0
// lock_and_join: waits for a call's result under the lock that the call wants.
//   Says: ^heddle: deadlock: 2 fibers wait for each other, for ever \(unless one is cancelled\):$
//   Says: (until fiber \d+ has ended|which fiber \d+ 'total' owns)$
//   Says: (until fiber \d+ has ended|which fiber \d+ 'total' owns)$
//   Says: lock_and_join\.cpp:\d
//   Ends: SIGABRT
#include <heddle/heddle.hpp>

#include <mutex>

struct ledger {
  heddle::mutex lock;
  int sum = 0;

  int add(int n) {
    return heddle::async([this, n] {
             const std::lock_guard hold(lock);
             return sum += n;
           })
        .get();
  }
  int add_all() {
    const std::lock_guard hold(lock);
    return add(1) + add(2);
  }
};

int main() {
  heddle::run({.deadlock = heddle::on_deadlock::abort}, [] {
    heddle::this_fiber::set_name("total");
    ledger l;
    return l.add_all();
  });
  return 0;
}
