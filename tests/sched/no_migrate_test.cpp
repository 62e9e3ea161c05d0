// SPDX-License-Identifier: BSL-1.0
#include "migrate.hpp"
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <mutex>
#include <optional>

namespace {

using namespace heddle_test;
namespace this_fiber = heddle::this_fiber;
using heddle::fiber;
using heddle::no_migrate;

/// Fibers that keep every worker busy, and fibers on the move, while it lives.
class load {
 public:
  explicit load(heddle::runtime& rt) {
    for (unsigned i = 0; i < 2 * rt.workers() + 2; ++i) {
      busy_.emplace_back([this] {
        while (!over_) {
          for (int k = 0; k < 20; ++k) heddle::detail::cpu_relax();
          this_fiber::yield();
        }
      });
    }
  }
  ~load() { over_ = true; }

 private:
  std::atomic<bool> over_{false};
  std::vector<fiber> busy_;  // joined first
};

HEDDLE_TEST(NoMigrate, KeepsItsFiberOnOneThreadThroughEveryKindOfWait) {
  const load others(rt);
  std::vector<fiber> pinned;
  heddle::mutex mutex;
  heddle::channel<int> c(2);
  for (int id = 0; id < 6; ++id) {
    pinned.emplace_back([&, id, c]() mutable {
      const no_migrate stay;
      const pid_t home = thread_id();
      for (std::size_t i = 0; i < rounds(50); ++i) {
        this_fiber::yield();
        ASSERT_EQ(thread_id(), home) << "yield";
        this_fiber::sleep_for(10us);
        ASSERT_EQ(thread_id(), home) << "sleep";
        {
          const std::lock_guard hold(mutex);
          this_fiber::yield();
        }
        ASSERT_EQ(thread_id(), home) << "mutex";
        id % 2 == 0 ? (void)c.send(1) : (void)c.receive();
        ASSERT_EQ(thread_id(), home) << "channel";
        fiber([] { this_fiber::yield(); }).join();
        ASSERT_EQ(thread_id(), home) << "join";
        if (i % 10 == 0) {
          heddle::blocking([] {});
          ASSERT_EQ(thread_id(), home) << "blocking";
        }
      }
    });
  }
}

HEDDLE_TEST(NoMigrate, EndsWithItsScope) {
  if (rt.workers() < 2) return;
  {
    const no_migrate stay;
    const pid_t home = thread_id();
    // Its worker is held up again and again, long enough for it to be stolen.
    for (int i = 0; i < 50; ++i) {
      heddle::go([] {
        const auto until = std::chrono::steady_clock::now() + 50us;
        while (std::chrono::steady_clock::now() < until) heddle::detail::cpu_relax();
      });
      i % 2 == 0 ? this_fiber::yield() : this_fiber::sleep_for(10us);
      ASSERT_EQ(thread_id(), home);
    }
  }
  migrate();
}

HEDDLE_TEST(NoMigrate, Nests) {
  const load others(rt);
  const no_migrate outer;
  const pid_t home = thread_id();
  for (int i = 0; i < 50; ++i) {
    {
      const no_migrate inner;
      this_fiber::yield();
      ASSERT_EQ(thread_id(), home);
    }
    this_fiber::yield();
    ASSERT_EQ(thread_id(), home);
  }
}

HEDDLE_TEST(NoMigrate, IsWokenFromOtherWorkersThreadsAndRuntimes) {
  heddle::runtime other({.workers = 1});
  heddle::channel<int> c;
  fiber waits([&, c]() mutable {
    const no_migrate stay;
    const pid_t home = thread_id();
    for (const int each : c) {
      ASSERT_GT(each, 0);
      ASSERT_EQ(thread_id(), home);
    }
  });
  heddle::wait_group all;
  all.go([&, c]() mutable {
    for (std::size_t i = 0; i < rounds(200); ++i) c.send(1);
  });
  all.go([&, c]() mutable {
    heddle::blocking([&] {
      for (std::size_t i = 0; i < rounds(200); ++i) c.send(2);
    });
  });
  other.run([&] {
    for (std::size_t i = 0; i < rounds(200); ++i) c.send(3);
  });
  all.wait();
  c.close();
  waits.join();
}

HEDDLE_TEST(NoMigrate, DoesNotStarveOthersNorIsItStarved) {
  std::atomic<bool> pinned_ran{false}, other_ran{false};
  fiber pinned([&] {
    const no_migrate stay;
    while (!other_ran) this_fiber::yield();
    pinned_ran = true;
  });
  fiber other([&] {
    other_ran = true;
    while (!pinned_ran) this_fiber::yield();
  });
  pinned.join();
  other.join();
}

HEDDLE_TEST(NoMigrate, IsOverForTheNextFiberInTheSameRecord) {
  if (rt.workers() < 2) return;
  for (int i = 0; i < 20; ++i) {
    fiber([] {
      const no_migrate stay;
      this_fiber::yield();
    }).join();
    fiber([] { migrate(); }).join();
  }
}

TEST(NoMigrate, DoesNothingOnAPlainThread) {
  const no_migrate stay;
  const no_migrate twice;
}

#if defined(HEDDLE_ASSERTIONS)
TEST(NoMigrate, DiesWithAMessageIfItEndsInAnotherFiber) {
  EXPECT_DEATH(heddle::run({.workers = 1},
                           [] {
                             std::optional<no_migrate> stay(std::in_place);
                             fiber([&] { stay.reset(); }).join();
                           }),
               "a no_migrate 0x[0-9a-f]+ ends in another fiber than it was made in");
}
#endif

}  // namespace
