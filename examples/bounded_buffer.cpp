// SPDX-License-Identifier: BSL-1.0
// bounded_buffer: producers and consumers around a buffer with room for a few items, guarded by a
// mutex and two condition variables. The classic of all textbooks, in std's own words.
//
// A heddle::channel with a capacity is such a buffer, and the better choice where one is all that
// is wanted. Written out like this it shows how to wait for any condition at all.

#include <heddle/heddle.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iostream>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

constexpr std::string_view usage =
    "usage: bounded_buffer [--help]\n"
    "Hands items from producers to consumers through a buffer with room for eight.\n";

constexpr std::size_t capacity = 8;
constexpr int producers = 4;
constexpr int consumers = 3;
constexpr int items_each = 5000;  // made by each producer

template <class T>
class bounded_buffer {
 public:
  // Waits while the buffer is full.
  void put(T item) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return items_.size() < capacity; });
    items_.push_back(std::move(item));
    fullest_ = std::max(fullest_, items_.size());
    lock.unlock();  // or else whom we notify would wake only to wait for the mutex
    not_empty_.notify_one();
  }

  // Waits while the buffer is empty. nullopt: it is, and nothing more will come.
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return !items_.empty() || closed_; });
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    not_full_.notify_one();  // not all: there is room for one more, not for many
    return item;
  }

  // To be called when all is put: the consumers end once the buffer is empty.
  void close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    not_empty_.notify_all();  // all: each of them has to know
  }

  // The most items that it ever held.
  std::size_t fullest() {
    const std::scoped_lock lock(mutex_);
    return fullest_;
  }

 private:
  heddle::mutex mutex_;
  // Two, so that put() and take() wake one who can go on: with a single one, a producer's
  // notify_one might reach another producer, and the consumers would sleep on.
  heddle::condition_variable not_full_;
  heddle::condition_variable not_empty_;
  std::deque<T> items_;  // this and what follows is guarded by mutex_
  std::size_t fullest_ = 0;
  bool closed_ = false;
};

struct totals {
  int items = 0;
  std::int64_t sum = 0;
};

totals work(bounded_buffer<int>& buffer) {
  std::vector<totals> eaten(consumers);  // one for each consumer, so that none waits for another
  heddle::task_group consuming;
  for (totals& mine : eaten) {
    consuming.spawn([&] {
      while (const std::optional<int> item = buffer.take()) {
        ++mine.items;
        mine.sum += *item;
      }
    });
  }
  heddle::task_group producing;
  for (int p = 0; p < producers; ++p) {
    producing.spawn([&buffer, p] {
      for (int i = 1; i <= items_each; ++i) buffer.put(p * items_each + i);
    });
  }

  producing.wait();
  buffer.close();
  consuming.wait();
  totals all;
  for (const totals& each : eaten) {
    all.items += each.items;
    all.sum += each.sum;
  }
  return all;
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "bounded_buffer: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  bounded_buffer<int> buffer;
  const totals all = heddle::run([&] { return work(buffer); });
  std::cout << producers << " producers put " << producers * items_each << " items\n"
            << consumers << " consumers took " << all.items << ", in sum " << all.sum << '\n'
            << "at most " << buffer.fullest() << " lay in the buffer" << std::endl;
  return std::cout ? 0 : 1;
}
