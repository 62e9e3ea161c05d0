// SPDX-License-Identifier: BSL-1.0
// leaked_select: a worker takes jobs until it is told to quit; who gave them has dropped both
// channels, and told it nothing. The program goes on.
//   Says: ^heddle: leak: 1 fiber waits for ever, at a channel that nobody else holds any more:$
//   Says: ^fiber \d+ 'worker' waits in a select for
//   Says: leaked_select\.cpp:2\d
//   Not with: AddressSanitizer, ThreadSanitizer, where nobody looks for leaks
//   Ends: 0
#include <heddle/heddle.hpp>

#include <cstdio>

using namespace std::chrono_literals;

void hire() {
  heddle::channel<int> jobs(3), quit;
  heddle::go({.name = "worker"}, [jobs, quit] {
    bool go_on = true;
    while (go_on) {
      heddle::select(
          heddle::on_receive(jobs, [](std::optional<int> job) { std::printf("%d\n", *job); }),
          heddle::on_receive(quit, [&](std::optional<int>) { go_on = false; }));
    }
  });
  for (int i = 0; i < 3; ++i) jobs.send(i);
}

int main() {
  heddle::run([] {
    heddle::fiber(hire).join();  // on a stack of its own, where what it leaves hides nothing
    heddle::this_fiber::sleep_for(1s);
  });
  return 0;
}
