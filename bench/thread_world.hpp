// SPDX-License-Identifier: BSL-1.0
// thread_world: the raw-thread rival of heddle_world: the same names, written as one would write
// them for std::thread. One worker means all threads pinned to one core, two workers two cores.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "machine.hpp"

namespace bench {

// Go's WaitGroup for threads.
class thread_wait_group {
 public:
  void add(std::ptrdiff_t n = 1) {
    const std::scoped_lock lock(mutex_);
    count_ += n;
  }
  void done() {
    const std::scoped_lock lock(mutex_);
    // Notified under the lock: the waiter may destroy this as soon as it sees zero.
    if (--count_ == 0) zero_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    zero_.wait(lock, [&] { return count_ == 0; });
  }
  template <class Fn>
  void go(Fn&& f) {
    add();
    std::thread([this, f = std::forward<Fn>(f)]() mutable {
      f();
      done();
    }).detach();
  }

 private:
  std::mutex mutex_;
  std::condition_variable zero_;
  std::ptrdiff_t count_ = 0;  // guarded by mutex_
};

// A bounded queue with Go's contract: a handle, whose copies refer to one queue. Capacity 0 is a
// rendezvous: send returns once the value was received.
template <class T>
class thread_channel {
 public:
  explicit thread_channel(std::size_t capacity = 0) : state_(std::make_shared<state>(capacity)) {}

  bool send(T value) {
    state& s = *state_;
    std::unique_lock lock(s.mutex);
    const std::size_t room = s.capacity == 0 ? 1 : s.capacity;
    s.not_full.wait(lock, [&] { return s.closed || s.items.size() < room; });
    if (s.closed) return false;
    s.items.push_back(std::move(value));
    const std::uint64_t ticket = ++s.sent;
    s.not_empty.notify_one();
    if (s.capacity == 0) s.taken.wait(lock, [&] { return s.closed || s.received >= ticket; });
    return true;
  }

  std::optional<T> receive() {
    state& s = *state_;
    std::unique_lock lock(s.mutex);
    s.not_empty.wait(lock, [&] { return s.closed || !s.items.empty(); });
    if (s.items.empty()) return std::nullopt;
    std::optional<T> value(std::move(s.items.front()));
    s.items.pop_front();
    ++s.received;
    s.not_full.notify_one();
    if (s.capacity == 0) s.taken.notify_all();
    return value;
  }

  void close() {
    state& s = *state_;
    const std::scoped_lock lock(s.mutex);
    s.closed = true;
    s.not_full.notify_all();
    s.not_empty.notify_all();
    s.taken.notify_all();
  }

 private:
  struct state {
    explicit state(std::size_t room) : capacity(room) {}
    const std::size_t capacity;
    std::mutex mutex;
    std::condition_variable not_full, not_empty, taken;
    std::deque<T> items;                   // guarded by mutex
    std::uint64_t sent = 0, received = 0;  // guarded by mutex
    bool closed = false;                   // guarded by mutex
  };
  std::shared_ptr<state> state_;
};

class thread_world {
 public:
  using task = std::jthread;
  using mutex = std::mutex;
  using wait_group = thread_wait_group;
  template <class T>
  using channel = thread_channel<T>;

  explicit thread_world(unsigned workers) : pin_(0, workers) {}

  template <class Fn>
  auto run(Fn&& f) {
    return f();
  }

  template <class Fn>
  static void go(Fn&& f) {
    std::thread(std::forward<Fn>(f)).detach();
  }
  static void yield() noexcept { std::this_thread::yield(); }
  static void sleep_for(std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); }

 private:
  pinned pin_;
};

}  // namespace bench
