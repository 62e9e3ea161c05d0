// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/fiber/record_pool.hpp>

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

namespace {

using namespace heddle_test;
using heddle::detail::fiber_phase;
using heddle::detail::fiber_record;
using heddle::detail::record_pool;

std::vector<fiber_record*> take(record_pool& pool, std::size_t count) {
  std::vector<fiber_record*> taken(count);
  for (std::size_t got = 0; got < count;) got += pool.take(taken.data() + got, count - got);
  return taken;
}

std::set<const fiber_record*> members(const std::vector<fiber_record*>& blocks) {
  return {blocks.begin(), blocks.end()};
}

TEST(RecordPool, HandsOutDistinctFreeBlocks) {
  record_pool pool;
  const auto all = members(take(pool, 20'000));  // several slabs
  EXPECT_EQ(all.size(), 20'000u);
  const fiber_record* before = nullptr;
  for (const fiber_record* r : all) {
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(r) % alignof(fiber_record), 0u);
    if (before != nullptr) {
      ASSERT_GE(reinterpret_cast<std::uintptr_t>(r) - reinterpret_cast<std::uintptr_t>(before),
                sizeof(fiber_record));
    }
    before = r;
    ASSERT_EQ(r->phase.load(), fiber_phase::free);
    ASSERT_EQ(r->id.load(), 0u);
    ASSERT_EQ(r->extras, nullptr);
  }
}

TEST(RecordPool, GivesNoMoreThanWanted) {
  record_pool pool;
  fiber_record* blocks[4] = {};
  const std::size_t got = pool.take(blocks, 3);
  EXPECT_GE(got, 1u);
  EXPECT_LE(got, 3u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(blocks[i] != nullptr, i < got);
}

TEST(RecordPool, ReusesWhatWasPutBack) {
  record_pool pool;
  const auto blocks = take(pool, 100);
  pool.put(blocks.data(), 60);
  const auto again = take(pool, 60);
  EXPECT_EQ(members(again), members({blocks.begin(), blocks.begin() + 60}));
  pool.put(again.data(), 60);
  pool.put(blocks.data() + 60, 40);
  EXPECT_EQ(members(take(pool, 100)), members(blocks));
}

TEST(RecordPool, ShowsEveryBlockThatWasEverInUse) {
  record_pool pool;
  const auto blocks = take(pool, 5'000);
  const auto all = members(blocks);
  std::size_t in_use = 0;
  const auto visit = [&](fiber_record& r) {
    EXPECT_EQ(r.phase.load(), fiber_phase::free);
    in_use += all.count(&r);
  };
  pool.for_each(visit);
  EXPECT_EQ(in_use, all.size());
  in_use = 0;
  pool.put(blocks.data(), 2'500);
  pool.for_each(visit);  // free again, still to be looked at
  EXPECT_EQ(in_use, all.size());
}

TEST(RecordPool, MayBeUsedByManyThreads) {
  record_pool pool;
  std::atomic<bool> over{false};
  std::thread visitor([&] {
    while (!over) pool.for_each([](fiber_record& r) { (void)r.phase.load(); });
  });
  on_threads(4, [&](int thread) {
    const auto mark = static_cast<std::uint16_t>(thread + 1);
    for (std::size_t i = 0; i < rounds(500); ++i) {
      const auto mine = take(pool, 1 + i % 50);
      for (fiber_record* r : mine) r->pins = mark;
      for (fiber_record* r : mine) ASSERT_EQ(r->pins, mark);
      pool.put(mine.data(), mine.size());
    }
  });
  over = true;
  visitor.join();
}

TEST(RecordPool, LeavesErrnoAlone) {
  record_pool pool;
  errno = 4711;
  take(pool, 10'000);
  EXPECT_EQ(errno, 4711);
}

}  // namespace
