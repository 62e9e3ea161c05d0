// SPDX-License-Identifier: BSL-1.0
// os_mutexes: std's mutexes in fibers that park, but never over a park; and over a wait of threads.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <regex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

std::mutex a, b;
std::recursive_mutex recursive;
std::shared_timed_mutex shared;

void park() {
  heddle::channel<int> answer;
  heddle::go([=]() mutable { answer.send(1); });
  (void)answer.receive();
  heddle::this_fiber::yield();
}

void let_go_first() {
  {
    const std::scoped_lock both(a, b);
    std::vector<std::string> some(100, std::string(1000, 'x'));
    std::cout << std::regex_match(some[0].substr(990), std::regex("x+")) << " " << 1.5 << std::endl;
  }
  park();
  a.lock();
  b.lock();
  a.unlock();
  b.unlock();
  park();
  recursive.lock();
  recursive.lock();
  recursive.unlock();
  recursive.unlock();
  park();
  shared.lock_shared();
  shared.lock_shared();
  shared.unlock_shared();
  shared.unlock_shared();
  if (shared.try_lock_for(1s)) shared.unlock();
  park();
  try {
    const std::unique_lock hold(a);
    throw std::runtime_error("");
  } catch (const std::runtime_error&) {
    park();
  }
  std::mutex many[20];
  for (std::mutex& each : many) each.lock();
  for (std::mutex& each : many) each.unlock();
  park();
}

// It blocks the thread, and the C library opens and locks the mutex inside.
void wait_for_thread() {
  std::condition_variable changed;
  bool done = false;
  std::thread other([&] {
    const std::lock_guard hold(a);
    done = true;
    changed.notify_one();
  });
  {
    std::unique_lock hold(a);
    changed.wait(hold, [&] { return done; });
  }
  other.join();
  park();
  {
    heddle::condition_variable_any any;
    std::unique_lock hold(a);
    (void)any.wait_for(hold, 1ms);
  }
  park();
}

// A thread sleeps, and needs no other one to unlock.
void hold_in_threads() {
  heddle::blocking([] {
    const std::lock_guard hold(a);
    std::this_thread::sleep_for(1ms);
  });
  heddle::event done;
  std::thread other([&] {
    const std::lock_guard hold(b);
    done.wait();
  });
  park();
  done.set();
  other.join();
}

// As a library does that was bound to the C library alone; the mutex is gone at last.
void unlock_unseen() {
  void* const c = ::dlopen("libc.so.6", RTLD_NOW);
  const auto unlock =
      reinterpret_cast<int (*)(pthread_mutex_t*)>(::dlsym(c, "pthread_mutex_unlock"));
  if (unlock == nullptr) return;
  void* const page = ::mmap(nullptr, sizeof(std::mutex), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* const m = new (page) std::mutex;
  m->lock();
  unlock(m->native_handle());
  park();
  m->lock();
  unlock(m->native_handle());
  ::munmap(page, sizeof(std::mutex));
  park();
}

int main() {
  heddle::run([] {
    std::vector<heddle::fiber> all;
    for (int i = 0; i < 4; ++i) all.emplace_back(&let_go_first);
    all.clear();
    wait_for_thread();
    hold_in_threads();
    unlock_unseen();
  });
  return 0;
}
