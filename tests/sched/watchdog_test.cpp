// SPDX-License-Identifier: BSL-1.0
// watchdog: what happens while a fiber runs on and on. These tests hold up real threads, so they
// run in real time; each loop ends by what the neighbours do, or by the test's bound.
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <mutex>
#include <set>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::fiber;

/// Holds its worker until `over`; no switch meanwhile.
auto hog(const std::atomic<bool>& over) {
  return [&over] {
    while (!over.load(std::memory_order_relaxed)) heddle::detail::cpu_relax();
  };
}

HEDDLE_TEST(Watchdog, LetsTheNeighboursOfAStuckFiberGoOn) {
  // As many stuck fibers as workers, and more: whoever is left goes on.
  std::atomic<bool> over{false};
  std::vector<fiber> hogs;
  for (unsigned i = 0; i < rt.workers() + 1; ++i) hogs.emplace_back(hog(over));
  std::atomic<int> steps{0};
  fiber neighbour([&] {
    for (; steps < 100; ++steps) this_fiber::yield();
  });
  neighbour.join();
  EXPECT_EQ(steps, 100);
  over = true;
}

HEDDLE_TEST(Watchdog, LetsSleepersOnAStuckWorkerWake) {
  std::atomic<bool> over{false};
  std::vector<fiber> sleepers;
  for (unsigned i = 0; i < 4 * rt.workers(); ++i) {
    sleepers.emplace_back([] { this_fiber::sleep_for(5ms); });
  }
  this_fiber::yield();
  std::vector<fiber> hogs;
  for (unsigned i = 0; i < rt.workers(); ++i) hogs.emplace_back(hog(over));
  for (auto& each : sleepers) each.join();
  over = true;
}

HEDDLE_TEST(Watchdog, LetsWhatComesFromOutsideIn) {
  std::atomic<bool> over{false};
  std::vector<fiber> hogs;
  for (unsigned i = 0; i < rt.workers(); ++i) hogs.emplace_back(hog(over));
  std::thread outside([&] {
    EXPECT_EQ(rt.run([] { return 5; }), 5);
    over = true;
  });
  for (auto& each : hogs) each.join();
  outside.join();
}

HEDDLE_TEST(Watchdog, CountsLongRunsOfWhoLetsOthersWait) {
  // With several workers, a spare that came for the first stuck one may take over from the second
  // before that one has run for long.
  if (rt.workers() != 1) return;
  EXPECT_EQ(rt.stats().long_runs, 0u);
  std::atomic<bool> over{false}, counted{false};
  fiber stuck(hog(over));
  fiber waits([&] { counted = eventually([&] { return rt.stats().long_runs >= 1; }); });
  waits.join();
  EXPECT_TRUE(counted);
  over = true;
}

HEDDLE_TEST(Watchdog, BringsInSparesAndSendsThemAway) {
  for (int round = 0; round < 2; ++round) {
    std::atomic<bool> over{false};
    std::vector<fiber> hogs;
    for (unsigned i = 0; i < rt.workers() + 2; ++i) hogs.emplace_back(hog(over));
    // This one runs while more fibers are stuck than there are workers: on a spare.
    EXPECT_TRUE(eventually([&] { return rt.stats().spare_workers >= 1; }));
    over = true;
    hogs.clear();
    // By and by it is seen that nothing is stuck.
    EXPECT_TRUE(eventually([&] { return rt.stats().spare_workers == 0; }));
  }
}

HEDDLE_TEST_WITH(Watchdog, BringsInNoMoreSparesThanAllowed, .max_spare_workers = 1) {
  std::atomic<bool> over{false};
  std::atomic<unsigned> stuck{0};
  std::vector<fiber> hogs;
  for (unsigned i = 0; i < rt.workers() + 4; ++i) {
    hogs.emplace_back([&] {
      ++stuck;
      hog(over)();
    });
  }
  std::uint64_t most_spares = 0;
  unsigned most_stuck = 0;
  std::thread observer([&] {
    // All workers and the spare are stuck; for a while after that, too.
    EXPECT_TRUE(eventually([&] { return stuck >= rt.workers() + 1; }));
    const auto until = std::chrono::steady_clock::now() + 60ms;
    while (std::chrono::steady_clock::now() < until) {
      most_spares = std::max(most_spares, rt.stats().spare_workers);
      most_stuck = std::max(most_stuck, stuck.load());
      std::this_thread::yield();
    }
    over = true;
  });
  for (auto& each : hogs) each.join();
  observer.join();
  EXPECT_EQ(most_spares, 1u);
  EXPECT_EQ(most_stuck, rt.workers() + 1);
}

HEDDLE_TEST_WITH(Watchdog, CountsAlsoWhereNoSpareIsAllowed, .max_spare_workers = 0) {
  std::atomic<bool> over{false};
  std::vector<fiber> hogs;
  for (unsigned i = 0; i < rt.workers() + 1; ++i) hogs.emplace_back(hog(over));
  std::thread observer([&] {
    EXPECT_TRUE(eventually([&] { return rt.stats().long_runs >= 1; }));
    EXPECT_EQ(rt.stats().spare_workers, 0u);
    over = true;
  });
  for (auto& each : hogs) each.join();
  observer.join();
}

HEDDLE_TEST(Watchdog, LeavesAFiberAloneThatKeepsNobodyWaiting) {
  // Far longer than long_run, but there is nobody else.
  const auto until = std::chrono::steady_clock::now() + 50ms;
  while (std::chrono::steady_clock::now() < until) heddle::detail::cpu_relax();
  EXPECT_EQ(rt.stats().long_runs, 0u);
  EXPECT_EQ(rt.stats().spare_workers, 0u);
}

// Workers that always have fibers of their own never steal; nor does a spare that has some.
HEDDLE_TEST(Watchdog, GivesAwayWhatWaitsBehindAStuckFiberThoughAllOthersAreBusy) {
  std::atomic<bool> over{false};
  std::vector<fiber> busy;
  for (unsigned i = 0; i < 4 * rt.workers(); ++i) {
    busy.emplace_back([&] {
      while (!over.load(std::memory_order_relaxed)) this_fiber::yield();
    });
  }
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> ran{0};
    fiber stuck([&] {
      std::vector<fiber> behind;
      for (int i = 0; i < 3; ++i) behind.emplace_back([&] { ++ran; });
      const auto give_up = std::chrono::steady_clock::now() + 20s * heddle_test::slowness();
      while (ran.load() < 3 && std::chrono::steady_clock::now() < give_up) {
      }
      EXPECT_EQ(ran.load(), 3);
    });
  }
  over = true;
}

HEDDLE_TEST(Watchdog, LetsFibersOnASpareMigrateBack) {
  // Fibers pass through spares that come and go, thousands of times, and none is lost.
  std::atomic<int> done{0};
  std::vector<fiber> walkers;
  for (int i = 0; i < 50; ++i) {
    walkers.emplace_back([&] {
      for (int k = 0; k < 50; ++k) {
        k % 5 == 0 ? this_fiber::sleep_for(100us) : this_fiber::yield();
      }
      ++done;
    });
  }
  for (int round = 0; round < 3; ++round) {
    std::atomic<bool> let_go{false};
    std::vector<fiber> hogs;
    for (unsigned i = 0; i < rt.workers(); ++i) hogs.emplace_back(hog(let_go));
    this_fiber::sleep_for(15ms);
    let_go = true;
  }
  for (auto& each : walkers) each.join();
  EXPECT_EQ(done, 50);
}

HEDDLE_TEST(Watchdog, RunsAPinnedFiberOnItsSpareEvenWhenThatHasRetired) {
  std::atomic<bool> over{false};
  std::vector<fiber> hogs;
  for (unsigned i = 0; i < rt.workers(); ++i) hogs.emplace_back(hog(over));
  // Some of these are pinned to a spare, which is then no longer needed.
  std::vector<fiber> pinned;
  heddle::channel<int> gate;
  std::atomic<int> asleep{0};
  for (int i = 0; i < 8; ++i) {
    pinned.emplace_back([&, gate]() mutable {
      const heddle::no_migrate stay;
      const pid_t home = thread_id();
      ++asleep;
      gate.receive();
      EXPECT_EQ(thread_id(), home);
    });
  }
  EXPECT_TRUE(eventually([&] { return asleep == 8; }));
  over = true;
  hogs.clear();
  EXPECT_TRUE(eventually([&] { return rt.stats().spare_workers == 0; }));
  gate.close();
  pinned.clear();
}

HEDDLE_TEST(Watchdog, WakesASleeperThatIsPinnedToASpareThatHasRetired) {
  std::atomic<bool> over{false};
  std::vector<fiber> hogs;
  for (unsigned i = 0; i < rt.workers(); ++i) hogs.emplace_back(hog(over));
  std::vector<fiber> pinned;
  std::atomic<int> asleep{0}, awake{0};
  for (int i = 0; i < 8; ++i) {
    pinned.emplace_back([&] {
      const heddle::no_migrate stay;
      ++asleep;
      this_fiber::sleep_for(300ms);
      ++awake;
    });
  }
  EXPECT_TRUE(eventually([&] { return asleep == 8; }));
  over = true;
  hogs.clear();
  EXPECT_TRUE(eventually([&] { return rt.stats().spare_workers == 0; }));
  EXPECT_TRUE(eventually([&] { return awake == 8; }));
}

}  // namespace
