// SPDX-License-Identifier: BSL-1.0
// reader_and_writer: who reads the table waits for the log, whose owner waits to write the table.
//   Says with HEDDLE_ASSERTIONS: ^heddle: deadlock: 2 fibers wait for each other, for ever:$
//   Says with HEDDLE_ASSERTIONS: (shared_mutex 0x\w+, which .* 'reader' shares|'writer' owns)$
//   Says with HEDDLE_ASSERTIONS: (shared_mutex 0x\w+, which .* 'reader' shares|'writer' owns)$
//   Says with HEDDLE_ASSERTIONS: reader_and_writer\.cpp:\d
//   Ends: 0
#include <heddle/heddle.hpp>

#include <cstdlib>
#include <mutex>
#include <shared_mutex>

using namespace std::chrono_literals;

int main() {
  heddle::shared_mutex table;
  heddle::mutex log;
  heddle::run([&] {
    heddle::latch both(2);
    heddle::go({.name = "reader"}, [&] {
      const std::shared_lock read(table);
      both.arrive_and_wait();
      const std::lock_guard write_down(log);
    });
    heddle::go({.name = "writer"}, [&] {
      const std::lock_guard write_down(log);
      both.arrive_and_wait();
      const std::lock_guard write(table);
    });
    heddle::this_fiber::sleep_for(1s);
    std::quick_exit(0);
  });
  return 1;
}
