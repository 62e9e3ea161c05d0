// SPDX-License-Identifier: BSL-1.0
// lost_done: one way out of a worker's function does not say done().
//   Says: ^heddle: deadlock: all fibers wait \(1\), and nothing can wake one
//   Says: ^fiber \d+ 'the one that waits' waits at wait_group 0x
//   Says: heddle::wait_group::wait
//   Says: lost_done\.cpp:25
//   Ends: SIGABRT
#include <heddle/heddle.hpp>

void work(int i, heddle::wait_group& all) {
  if (i == 3) return;
  all.done();
}

int main() {
  heddle::runtime rt({.deadlock = heddle::on_deadlock::abort});
  rt.run([] {
    heddle::this_fiber::set_name("the one that waits");
    heddle::wait_group all;
    all.add(4);
    for (int i = 0; i < 4; ++i) {
      heddle::go([i, &all] { work(i, all); });
    }
    // The others have ended.
    all.wait();
  });
  return 0;
}
