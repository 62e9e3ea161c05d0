// SPDX-License-Identifier: BSL-1.0
// readers_and_writers: many readers look at two accounts at the same time, while a few writers move
// money between them; the sum is always the same, and the writers get their turn.
//
// The readers never pause, so that at nearly every moment some of them are at the accounts. With a
// lock that lets in whoever comes while others read, no writer would ever be let in. A
// heddle::shared_mutex puts a writer that waits before the readers that come after it.

#include <heddle/heddle.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <shared_mutex>
#include <string_view>

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: readers_and_writers [--help]\n"
    "Moves money between two accounts, under the eyes of sixteen readers.\n";

constexpr int readers = 16;
constexpr int writers = 4;
constexpr int transfers_each = 100;
constexpr int money = 1000;

class accounts {
 public:
  struct view {
    int first, second;
    int transfers;  // that were made up to now
    int readers;    // that were looking at the same time
  };

  view read() {
    const std::shared_lock lock(mutex_);
    view seen;
    seen.readers = ++readers_;
    seen.second = second_;
    heddle::this_fiber::yield();  // others run now: writers, too, if the lock did not hold them off
    seen.first = first_;
    seen.transfers = transfers_;
    --readers_;
    return seen;
  }

  void transfer(int amount) {
    const std::scoped_lock lock(mutex_);
    first_ -= amount;
    heddle::this_fiber::yield();  // and now there is too little money, but nobody can look
    second_ += amount;
    ++transfers_;
  }

 private:
  heddle::shared_mutex mutex_;
  int first_ = money, second_ = 0, transfers_ = 0;  // guarded by mutex_
  std::atomic<int> readers_ = 0;  // not guarded: the readers, who share the lock, all change it
};

struct totals {
  long reads = 0;
  long wrong = 0;
  int together = 0;
};

void watch(accounts& watched, heddle::synchronized<totals>& result) {
  totals mine;
  for (int transfers = 0; transfers < writers * transfers_each; ++mine.reads) {
    const accounts::view seen = watched.read();
    if (seen.first + seen.second != money) ++mine.wrong;
    mine.together = std::max(mine.together, seen.readers);
    transfers = seen.transfers;
  }
  const auto all = result.lock();  // a pointer that keeps the lock while it lives
  all->reads += mine.reads;
  all->wrong += mine.wrong;
  all->together = std::max(all->together, mine.together);
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "readers_and_writers: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  const totals all = heddle::run([] {
    accounts shared;
    heddle::synchronized<totals> result;
    heddle::task_group group;  // declared last, so ended first: its children use what is above
    for (int i = 0; i < readers; ++i) group.spawn([&] { watch(shared, result); });
    for (int i = 0; i < writers; ++i) {
      group.spawn([&, i] {
        for (int n = 0; n < transfers_each; ++n) {
          shared.transfer(i % 2 == 0 ? 1 : -1);
          heddle::this_fiber::sleep_for(1ms);  // most of the time nobody wants to write
        }
      });
    }
    group.wait();
    return *result.lock();
  });
  std::cout << writers << " writers made " << writers * transfers_each << " transfers\n"
            << readers << " readers looked " << all.reads << " times, up to " << all.together
            << " of them together\n"
            << "sums that were wrong: " << all.wrong << std::endl;
  return std::cout && all.wrong == 0 ? 0 : 1;
}
