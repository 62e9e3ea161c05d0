// SPDX-License-Identifier: BSL-1.0
// steal: what a worker has too much of, or cannot see to, goes to the others.
#include "world.hpp"

#include <heddle/heddle.hpp>

namespace {

using namespace heddle_test;
using heddle::fiber;

/// Whether `holds` does within 30 s; no switch meanwhile.
template <class Predicate>
bool spins_until(Predicate&& holds) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    heddle::detail::cpu_relax();
  }
  return true;
}

/// Pairs that send each other a value to and fro until `over`, all of them started here.
class talkers {
 public:
  explicit talkers(int pairs) {
    for (int i = 0; i < pairs; ++i) {
      heddle::channel<int> there, back;
      all_.emplace_back([this, there, back] {
        while (there.send(1) && back.receive()) rounds.fetch_add(1, std::memory_order_relaxed);
      });
      all_.emplace_back([this, there, back] {
        while (there.receive() && !over.load(std::memory_order_relaxed) && back.send(1)) {
        }
        there.close();
        back.close();
      });
    }
  }
  ~talkers() { over = true; }  // before they are joined

  std::atomic<bool> over{false};
  std::atomic<long> rounds{0};

 private:
  std::vector<fiber> all_;
};

// The watchdog, which would help too, is kept from it.
HEDDLE_TEST_WITH(Steal, TakesTalkersAwayFromOneThatComputes, .long_run = 1h) {
  if (rt.workers() == 1) return;
  for (std::size_t i = 0; i < rounds(5); ++i) {
    // Long enough for the other workers to leave them alone, and to go to sleep.
    talkers some(3);
    ASSERT_TRUE(eventually([&] { return some.rounds > 10'000; }));
    bool they_went_on = false;
    fiber computes([&] {
      const long before = some.rounds;
      they_went_on = spins_until([&] { return some.rounds > before + 1'000; });
    });
    computes.join();
    EXPECT_TRUE(they_went_on);
  }
}

HEDDLE_TEST_WITH(Steal, SpreadsThoseWhoCompute, .long_run = 1h) {
  // Each needs that the others run at the same time.
  const unsigned parties = std::min(rt.workers(), std::thread::hardware_concurrency());
  std::atomic<unsigned> here{0}, met{0};
  std::vector<fiber> all;
  for (unsigned i = 0; i < parties; ++i) {
    all.emplace_back([&] {
      ++here;
      met += spins_until([&] { return here == parties; });
    });
  }
  for (fiber& each : all) each.join();
  EXPECT_EQ(met, parties);
}

}  // namespace
