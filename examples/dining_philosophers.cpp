// SPDX-License-Identifier: BSL-1.0
// dining_philosophers: a thousand of them eat at one round table, and none waits for ever.
//
// Between each two neighbours lies one chopstick, and to eat takes both beside one's seat. If each
// took the left one and waited for the right one, then sooner or later all would hold the left and
// none would eat again. std::scoped_lock knows better: while it waits for one mutex it holds none.
// It takes any mutex that has the members of std's, and so heddle's.

#include <heddle/heddle.hpp>

#include <cstddef>
#include <iostream>
#include <mutex>
#include <string_view>
#include <vector>

constexpr std::string_view usage =
    "usage: dining_philosophers [--help]\n"
    "A thousand philosophers share a thousand chopsticks, two for each meal.\n";

constexpr std::size_t seats = 1000;
constexpr int meals_each = 20;

struct chopstick {
  heddle::mutex mutex;
  int hands = 0;  // that hold it; guarded by mutex
};

// One meal. Returns whether both chopsticks were in no other hand all the time.
bool eat(chopstick& left, chopstick& right) {
  const std::scoped_lock both(left.mutex, right.mutex);
  ++left.hands;
  ++right.hands;
  // A meal takes time, in which others run and want these chopsticks. A mutex of heddle's may be
  // held over any wait: its owner is the fiber, on whichever thread that goes on.
  heddle::this_fiber::yield();
  const bool alone = left.hands == 1 && right.hands == 1;
  --left.hands;
  --right.hands;
  return alone;
}

struct philosopher {
  int meals = 0;
  int disturbed = 0;  // meals during which a neighbour ate too
};

std::vector<philosopher> dine() {
  std::vector<chopstick> chopsticks(seats);
  std::vector<philosopher> philosophers(seats);
  std::vector<heddle::fiber> fibers;  // declared last, so joined first: they use what is above
  for (std::size_t seat = 0; seat < seats; ++seat) {
    fibers.emplace_back([&, seat] {
      philosopher& self = philosophers[seat];
      for (; self.meals < meals_each; ++self.meals) {
        if (!eat(chopsticks[seat], chopsticks[(seat + 1) % seats])) ++self.disturbed;
      }
    });
  }
  for (heddle::fiber& fiber : fibers) fiber.join();
  return philosophers;
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "dining_philosophers: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  philosopher total;
  for (const philosopher& each : heddle::run(dine)) {
    total.meals += each.meals;
    total.disturbed += each.disturbed;
  }
  std::cout << seats << " philosophers ate " << total.meals << " meals\n"
            << "meals while a neighbour ate: " << total.disturbed << std::endl;
  return std::cout && total.disturbed == 0 ? 0 : 1;
}
