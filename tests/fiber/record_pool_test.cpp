// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/fiber/record_pool.hpp>

#include <algorithm>
#include <cerrno>
#include <set>

namespace {

using namespace heddle_test;
using heddle::detail::fiber_phase;
using heddle::detail::fiber_record;
using heddle::detail::record_chain;
using heddle::detail::record_pool;

void take(record_pool& pool, record_chain& into, std::size_t count) {
  while (into.count < count) pool.take(into, count - into.count);
}

std::set<const fiber_record*> members(const record_chain& chain) {
  std::set<const fiber_record*> all;
  for (const fiber_record* r = chain.first; r != nullptr; r = r->next) all.insert(r);
  return all;
}

TEST(RecordChain, IsLastInFirstOut) {
  record_pool pool;
  record_chain from, chain;
  take(pool, from, 2);
  fiber_record* a = from.pop();
  fiber_record* b = from.pop();
  EXPECT_EQ(chain.pop(), nullptr);
  chain.push(a);
  chain.push(b);
  EXPECT_EQ(chain.count, 2u);
  EXPECT_EQ(chain.pop(), b);
  EXPECT_EQ(chain.pop(), a);
  EXPECT_EQ(chain.pop(), nullptr);
  EXPECT_EQ(chain.count, 0u);
}

TEST(RecordPool, HandsOutDistinctFreeBlocks) {
  record_pool pool;
  record_chain chain;
  take(pool, chain, 20'000);  // several slabs
  const auto all = members(chain);
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
  record_chain chain;
  pool.take(chain, 3);
  EXPECT_GE(chain.count, 1u);
  EXPECT_LE(chain.count, 3u);
  EXPECT_EQ(members(chain).size(), chain.count);
}

TEST(RecordPool, ReusesWhatWasPutBack) {
  record_pool pool;
  record_chain chain;
  take(pool, chain, 100);
  const auto all = members(chain);
  pool.put(chain, 60);
  EXPECT_EQ(chain.count, 40u);
  pool.put(chain, 1000);  // as many as there are
  EXPECT_EQ(chain.count, 0u);
  take(pool, chain, 100);
  EXPECT_EQ(members(chain), all);
}

TEST(RecordPool, ShowsEveryBlockThatWasEverInUse) {
  record_pool pool;
  record_chain chain;
  take(pool, chain, 5'000);
  const auto all = members(chain);
  std::size_t in_use = 0;
  const auto visit = [&](fiber_record& r) {
    EXPECT_EQ(r.phase.load(), fiber_phase::free);
    in_use += all.count(&r);
  };
  pool.for_each(visit);
  EXPECT_EQ(in_use, all.size());
  in_use = 0;
  pool.put(chain, 2'500);
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
      record_chain mine;
      take(pool, mine, 1 + i % 50);
      for (fiber_record* r = mine.first; r != nullptr; r = r->next) r->pins = mark;
      for (fiber_record* r = mine.first; r != nullptr; r = r->next) ASSERT_EQ(r->pins, mark);
      pool.put(mine, mine.count);
    }
  });
  over = true;
  visitor.join();
}

TEST(RecordPool, LeavesErrnoAlone) {
  record_pool pool;
  record_chain chain;
  errno = 4711;
  take(pool, chain, 10'000);
  EXPECT_EQ(errno, 4711);
}

}  // namespace
