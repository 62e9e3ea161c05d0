// SPDX-License-Identifier: BSL-1.0
// lock_order: two locks are taken in either order, at different times; three others in a circle.
//   Says with HEDDLE_ASSERTIONS: ^heddle: lock order: 2 locks are taken in a circle, which may
//   Says with HEDDLE_ASSERTIONS: ^  fiber \d+ 'back' locked mutex 0x\w+ while it owned mutex 0x
//   Says with HEDDLE_ASSERTIONS: lock_order\.cpp:22
//   Says with HEDDLE_ASSERTIONS: ^  fiber \d+ 'forth' locked mutex 0x\w+ while it owned mutex 0x
//   Says with HEDDLE_ASSERTIONS: lock_order\.cpp:22
//   Says with HEDDLE_ASSERTIONS: ^heddle: lock order: 3 locks are taken in a circle
//   Ends: 0
#include <heddle/heddle.hpp>

#include <mutex>

struct account {
  heddle::mutex lock;
  int balance = 100;
};

void transfer(account& from, account& to, int amount) {
  const std::lock_guard hold_from(from.lock);
  from.balance -= amount;
  const std::lock_guard hold_to(to.lock);
  to.balance += amount;
}

int main() {
  heddle::run([] {
    account a, b;
    heddle::fiber({.name = "forth"}, [&] { transfer(a, b, 1); }).join();
    heddle::fiber({.name = "back"}, [&] { transfer(b, a, 1); }).join();
    account c, d, e;
    heddle::fiber([&] { transfer(c, d, 1); }).join();
    heddle::fiber([&] { transfer(d, e, 1); }).join();
    heddle::fiber([&] { transfer(e, c, 1); }).join();
  });
  return 0;
}
