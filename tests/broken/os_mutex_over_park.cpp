// SPDX-License-Identifier: BSL-1.0
// os_mutex_over_park: fibers park and yield while they hold std's mutexes; each place is told once.
//   Says with HEDDLE_ASSERTIONS: ^heddle: fiber \d+ 'clerk' parks while it holds OS mutex 0x\w+, l
//   Says with HEDDLE_ASSERTIONS: heddle::this_fiber::sleep_for
//   Says with HEDDLE_ASSERTIONS: file_away.*os_mutex_over_park\.cpp:35
//   Says with HEDDLE_ASSERTIONS: 1 yields while it holds OS mutex .*:recursive\(.*:41\)\. Who
//   Says with HEDDLE_ASSERTIONS: 1 parks while it holds OS mutex .*:timed\(.*:49\)\. Who
//   Says with HEDDLE_ASSERTIONS: 1 parks while it holds OS shared mutex .*:reader\(.*:55\)\. Who
//   Says with HEDDLE_ASSERTIONS: 1 parks while it holds OS shared mutex .*:writer\(.*:60\)\. Who
//   Says with HEDDLE_ASSERTIONS: 1 yields while it holds OS mutex .*:one_of_two\(.*:67\)\. Who
//   Says with HEDDLE_ASSERTIONS: 1 yields while it holds OS mutex .*:posix\(.*:74\)\. Who
//   Says with HEDDLE_ASSERTIONS: OS mutex .*:own_mutex::lock\(
//   Says with HEDDLE_ASSERTIONS: this_way
//   Says with HEDDLE_ASSERTIONS: OS mutex .*:own_mutex::lock\(
//   Says with HEDDLE_ASSERTIONS: that_way
//   Says with HEDDLE_ASSERTIONS: 1 parks while .* OS shared mutex .*synchronized_pool_.*\. Who
//   Once with HEDDLE_ASSERTIONS: locked in .*file_away
//   Not with: ThreadSanitizer AddressSanitizer
//   Ends: 0
#include <heddle/heddle.hpp>

#include <pthread.h>

#include <chrono>
#include <memory_resource>
#include <mutex>
#include <shared_mutex>

using namespace std::chrono_literals;

void park() { heddle::this_fiber::sleep_for(1ms); }

void file_away(std::mutex& office) {
  const std::lock_guard hold(office);
  park();
  park();
}

void recursive() {
  std::recursive_mutex m;
  m.lock();
  const std::lock_guard hold(m);
  m.unlock();
  heddle::this_fiber::yield();
}

void timed() {
  std::timed_mutex m;
  if (const std::unique_lock hold(m, 1s); hold) park();
}

std::shared_mutex catalogue;

void reader() {
  const std::shared_lock hold(catalogue);
  park();
}

void writer() {
  const std::lock_guard hold(catalogue);
  park();
}

void one_of_two() {
  std::mutex first, second;
  first.lock();
  if (!second.try_lock()) return;
  first.unlock();
  heddle::this_fiber::yield();
  second.unlock();
}

void posix(pthread_mutex_t& m) {
  pthread_mutex_lock(&m);
  heddle::this_fiber::yield();
  pthread_mutex_unlock(&m);
}

// As many libraries have one: all lock in the same place.
struct own_mutex {
  void lock() { m.lock(); }
  void unlock() { m.unlock(); }
  std::mutex m;
};

void this_way(own_mutex& m) {
  const std::lock_guard hold(m);
  heddle::this_fiber::yield();
}

void that_way(own_mutex& m) {
  const std::lock_guard hold(m);
  heddle::this_fiber::yield();
}

// libstdc++'s pool asks it for memory under a lock of its own.
struct slow_memory : std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (is_slow) park();
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  bool is_slow = false;
};

void a_library(std::pmr::synchronized_pool_resource& pool) {
  pool.deallocate(pool.allocate(100), 100);
}

int main() {
  heddle::run([] {
    std::mutex office;
    heddle::fiber({.name = "clerk"}, [&] { file_away(office); }).join();
    // Else they may well unlock in another thread, and all ends in confusion.
    const heddle::no_migrate here;
    file_away(office);
    recursive();
    timed();
    reader();
    writer();
    one_of_two();
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    posix(m);
    own_mutex own;
    this_way(own);
    that_way(own);
    slow_memory slow;
    std::pmr::synchronized_pool_resource pool(&slow);
    slow.is_slow = true;
    a_library(pool);
  });
  return 0;
}
