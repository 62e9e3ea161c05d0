// SPDX-License-Identifier: BSL-1.0
// leak: who asked has given up, and dropped the channel; the fiber that has the answer waits for
// ever to send it. The program goes on.
//   Says: ^heddle: leak: 1 fiber waits for ever, at a channel that nobody else holds any more:$
//   Says: ^fiber \d+ 'answerer' waits to send to channel 0x
//   Says: leak\.cpp:18
//   Says: started by .*ask.* \(.*leak\.cpp:1[4-9]\)
//   Not with: AddressSanitizer, ThreadSanitizer, where nobody looks for leaks
//   Ends: 0
#include <heddle/heddle.hpp>

using namespace std::chrono_literals;

int ask() {
  heddle::channel<int> answer;
  heddle::go({.name = "answerer"}, [answer] {
    heddle::this_fiber::sleep_for(50ms);
    answer.send(42);
  });
  return answer.receive_for(10ms).value_or(-1);
}

int main() {
  return heddle::run([] {
    // On a stack of its own, where what it leaves hides nothing.
    const int answer = heddle::async(ask).get();
    heddle::this_fiber::sleep_for(1s);
    return answer == -1 ? 0 : 1;
  });
}
