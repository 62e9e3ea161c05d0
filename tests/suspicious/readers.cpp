// SPDX-License-Identifier: BSL-1.0
// readers: one who reads waits for another, whom a writer that will give up keeps from reading; and
// locks are taken in both orders, of which one is only ever shared.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <mutex>
#include <shared_mutex>

using namespace std::chrono_literals;

int main() {
  heddle::run([] {
    heddle::shared_timed_mutex table;
    heddle::latch queued(2);
    std::shared_lock read(table);
    heddle::fiber writer([&] {
      queued.count_down();
      if (table.try_lock_for(500ms)) table.unlock();
    });
    heddle::fiber reader([&] {
      queued.arrive_and_wait();
      heddle::this_fiber::sleep_for(10ms);
      const std::shared_lock read_too(table);
    });
    reader.join();
    read.unlock();
    writer.join();

    heddle::mutex log;
    heddle::fiber([&] {
      const std::shared_lock first(table);
      const std::lock_guard second(log);
    }).join();
    heddle::fiber([&] {
      const std::lock_guard first(log);
      const std::shared_lock second(table);
    }).join();
  });
  return 0;
}
