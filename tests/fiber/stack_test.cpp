// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/random.hpp>
#include <heddle/fiber/stack.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <string>

namespace {

using namespace heddle_test;
using heddle::detail::cache_line;
using heddle::detail::page_size;
using heddle::detail::stack;
using heddle::detail::stack_class;
using heddle::detail::stack_depot;

constexpr std::size_t KiB = 1024;

std::vector<stack*> taken(stack_class& from, std::size_t count) {
  std::vector<stack*> got(count);
  for (std::size_t have = 0; have < count;) {
    const std::size_t more = from.take(&got[have], std::min<std::size_t>(count - have, 16));
    if (more == 0) {
      ADD_FAILURE() << "only " << have << " of " << count << " stacks to be had";
      got.resize(have);
      break;
    }
    have += more;
  }
  return got;
}

void put_back(stack_class& to, const std::vector<stack*>& stacks) {
  to.put(stacks.data(), stacks.size());
}

/// Whether a byte can be read, by the kernel's word: no signal, no sanitizer.
bool readable(const std::byte* at) {
  int ends[2];
  if (::pipe(ends) != 0) return false;
  const bool yes = ::write(ends[1], at, 1) == 1;
  ::close(ends[0]);
  ::close(ends[1]);
  return yes;
}

/// How many pages of [from, to) are in memory.
std::size_t resident_pages(const std::byte* from, const std::byte* to) {
  const std::size_t page = page_size();
  std::vector<unsigned char> pages(static_cast<std::size_t>(to - from) / page);
  EXPECT_EQ(::mincore(const_cast<std::byte*>(from), pages.size() * page, pages.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; }));
}

std::size_t lines_of(const char* file) {
  std::ifstream in(file);
  std::string line;
  std::size_t lines = 0;
  while (std::getline(in, line)) ++lines;
  return lines;
}

void fill(const stack& s, int byte) { std::memset(s.bottom, byte, s.bytes()); }

TEST(Stack, HasTheSizeAskedForLessItsColour) {
  for (const std::size_t size : {16 * KiB, 64 * KiB, 256 * KiB, 1024 * KiB}) {
    stack_class stacks(size, true);
    EXPECT_EQ(stacks.size(), size);
    for (const stack* s : taken(stacks, 40)) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(s->bottom) % page_size(), 0u);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(s->top) % cache_line, 0u);
      EXPECT_LE(s->bytes(), size);
      EXPECT_GT(s->bytes(), size - page_size());
      EXPECT_EQ(s->of, &stacks);
      EXPECT_TRUE(s->guarded);
    }
  }
}

TEST(Stack, CanBeWrittenFromEndToEndAndTouchesNoOther) {
  stack_class stacks(16 * KiB, true);
  const auto all = taken(stacks, 100);
  for (std::size_t i = 0; i < all.size(); ++i) fill(*all[i], static_cast<int>(i));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto is_mine = [i](std::byte b) { return b == static_cast<std::byte>(i); };
    ASSERT_TRUE(std::all_of(all[i]->bottom, all[i]->top, is_mine)) << "stack " << i;
  }
}

TEST(Stack, HasAGuardBelowAlsoFarIntoTheSlabs) {
  stack_class stacks(16 * KiB, true);
  EXPECT_GE(stacks.guard_bytes(), page_size());
  for (const stack* s : taken(stacks, 1000)) {
    ASSERT_TRUE(readable(s->bottom));
    ASSERT_FALSE(readable(s->bottom - 1));
    ASSERT_FALSE(readable(s->bottom - stacks.guard_bytes()));
  }
}

TEST(Stack, KeepsItsGuardOverReuseAndTrim) {
  stack_class stacks(16 * KiB, true);
  for (int round = 0; round < 3; ++round) {
    const auto all = taken(stacks, 40);
    for (const stack* s : all) {
      fill(*s, round);
      ASSERT_FALSE(readable(s->bottom - 1));
    }
    put_back(stacks, all);
    while (stacks.trim(0)) {
    }
  }
}

TEST(Stack, HasNoGuardWhereTheUserOptedOut) {
  stack_class stacks(16 * KiB, false);
  EXPECT_EQ(stacks.guard_bytes(), 0u);
  for (const stack* s : taken(stacks, 3)) EXPECT_FALSE(s->guarded);
  EXPECT_TRUE(readable(taken(stacks, 1)[0]->bottom - 1));
}

TEST(StackDeathTest, DiesBySegmentationFaultInItsGuard) {
  stack_class stacks(16 * KiB, true);
  const stack* s = taken(stacks, 1)[0];
  if (sanitized) {
    EXPECT_DEATH(*reinterpret_cast<volatile char*>(s->bottom - 1) = 1, "SEGV");
  } else {
    EXPECT_EXIT(*reinterpret_cast<volatile char*>(s->bottom - 1) = 1,
                ::testing::KilledBySignal(SIGSEGV), "");
  }
}

bool is_readable(const std::byte* at) {
  std::byte got{};
  const iovec into{&got, 1}, from{const_cast<std::byte*>(at), 1};
  return ::process_vm_readv(::getpid(), &into, 1, &from, 1, 0) == 1;
}

TEST(Stack, HasItsGuardHoweverManyAreTakenAtOnce) {
  for (const std::size_t at_once : {1, 2, 15, 16, 17, 100}) {
    stack_class stacks(16 * KiB, true);
    for (const stack* s : taken(stacks, at_once)) {
      EXPECT_TRUE(s->guarded);
      EXPECT_FALSE(is_readable(s->bottom - 1)) << at_once;
      EXPECT_FALSE(is_readable(s->bottom - stacks.guard_bytes())) << at_once;
      EXPECT_TRUE(is_readable(s->bottom)) << at_once;
      EXPECT_TRUE(is_readable(s->top - 1)) << at_once;
    }
  }
}

TEST(Stack, CostsNoMappingOfItsOwnWhereGuardsAreLight) {
  if (!heddle::detail::kernel_has_light_guards()) {
    GTEST_SKIP() << "this kernel has no MADV_GUARD_INSTALL";
  }
  stack_class stacks(16 * KiB, true);
  const auto before = lines_of("/proc/self/maps");
  (void)taken(stacks, 5000);
  EXPECT_LT(lines_of("/proc/self/maps"), before + 100);
}

TEST(Stack, CommitsNoPageBeforeItIsTouched) {
  stack_class stacks(256 * KiB, true);
  const auto all = taken(stacks, 200);
  for (const stack* s : all) {
    ASSERT_EQ(resident_pages(s->bottom, s->bottom + stacks.size()), 0u);
    *(s->top - 1) = std::byte{1};
    ASSERT_EQ(resident_pages(s->bottom, s->bottom + stacks.size()), 1u);
  }
}

TEST(Stack, IsReusedMostRecentlyUsedFirst) {
  stack_class stacks(16 * KiB, true);
  const auto all = taken(stacks, 3);
  put_back(stacks, {all[0]});
  put_back(stacks, {all[2]});
  put_back(stacks, {all[1]});
  EXPECT_EQ(taken(stacks, 3), (std::vector{all[1], all[2], all[0]}));
  EXPECT_EQ(stacks.made(), 3u);
}

TEST(Stack, ComesFromWhatIsThereBeforeANewOneIsMade) {
  stack_class stacks(16 * KiB, true);
  const auto all = taken(stacks, 50);
  put_back(stacks, all);
  const auto again = taken(stacks, 50);
  EXPECT_EQ(std::set<stack*>(again.begin(), again.end()), std::set<stack*>(all.begin(), all.end()));
  EXPECT_EQ(stacks.made(), 50u);
  EXPECT_EQ(stacks.pooled(), 0u);
}

TEST(Stack, StartsOnAnotherCacheLineThanItsNeighbours) {
  stack_class stacks(64 * KiB, true);
  std::set<std::size_t> colours;
  for (const stack* s : taken(stacks, 16)) colours.insert(s->bytes());
  EXPECT_EQ(colours.size(), 16u);
}

TEST(StackTrim, GivesThePagesOfIdleStacksBack) {
  stack_class stacks(64 * KiB, true);
  const auto all = taken(stacks, 100);
  for (const stack* s : all) fill(*s, 1);
  const auto resident = [&](const stack* s) {
    return resident_pages(s->bottom, s->bottom + stacks.size());
  };
  put_back(stacks, all);
  // Not before they lay idle for two turns.
  EXPECT_TRUE(stacks.trim(2));
  for (const stack* s : all) ASSERT_EQ(resident(s), 64 * KiB / page_size());
  EXPECT_FALSE(stacks.trim(2));
  for (const stack* s : all) ASSERT_EQ(resident(s), 0u);
  EXPECT_EQ(stacks.pooled(), 100u);
  // They can be used again, and are then as new.
  const auto again = taken(stacks, 100);
  EXPECT_EQ(stacks.made(), 100u);
  for (const stack* s : again) ASSERT_EQ(*(s->bottom), std::byte{0});
}

TEST(StackTrim, LeavesAloneWhatIsInUseOrWasUsedLately) {
  stack_class stacks(16 * KiB, true);
  const auto all = taken(stacks, 4);
  for (const stack* s : all) fill(*s, 1);
  put_back(stacks, {all[0]});
  (void)stacks.trim(2);
  put_back(stacks, {all[1]});
  EXPECT_TRUE(stacks.trim(2));  // all[1] is still young
  EXPECT_EQ(resident_pages(all[0]->bottom, all[0]->bottom + 16 * KiB), 0u);
  for (const int i : {1, 2, 3}) {
    EXPECT_EQ(resident_pages(all[i]->bottom, all[i]->bottom + 16 * KiB), 16 * KiB / page_size());
  }
  EXPECT_EQ(taken(stacks, 1)[0], all[1]);  // what still has its pages goes first
}

TEST(StackTrim, LosesNothingWhileOthersTakeAndPut) {
  stack_class stacks(16 * KiB, true);
  std::atomic<bool> over{false};
  std::thread trimmer([&] {
    while (!over) (void)stacks.trim(0);
  });
  on_threads(3, [&](int thread) {
    heddle::detail::random_source random(static_cast<std::uint64_t>(thread));
    std::vector<stack*> mine;
    for (std::size_t i = 0; i < rounds(5'000); ++i) {
      if (mine.size() < 20 && random.below(2) == 0) {
        stack* s = nullptr;
        ASSERT_EQ(stacks.take(&s, 1), 1u);
        std::memcpy(s->bottom, &s, sizeof s);
        mine.push_back(s);
      } else if (!mine.empty()) {
        stack* s = mine.back();
        mine.pop_back();
        stack* written = nullptr;
        std::memcpy(&written, s->bottom, sizeof written);
        ASSERT_EQ(written, s);  // nobody else had it, or gave its pages away
        stacks.put(&s, 1);
      }
    }
    put_back(stacks, mine);
  });
  over = true;
  trimmer.join();
  EXPECT_EQ(stacks.pooled(), stacks.made());
  const auto made = stacks.made();
  const auto all = taken(stacks, made);
  EXPECT_EQ(std::set<stack*>(all.begin(), all.end()).size(), made);
  EXPECT_EQ(stacks.made(), made);
}

/// In a child process: takes stacks until there are none, and says by its status how that went.
[[noreturn]] void run_out_of_address_space() {
  const rlimit limit{std::size_t{1} << 31, std::size_t{1} << 31};
  ::setrlimit(RLIMIT_AS, &limit);
  stack_class stacks(1024 * KiB, true);
  std::size_t got = 0;
  for (stack* s = nullptr; got < 10'000 && stacks.take(&s, 1) == 1; ++got) {
    *(s->top - 1) = std::byte{1};
  }
  stack* none = nullptr;
  const bool still_none = stacks.take(&none, 1) == 0;
  std::fprintf(stderr, "got %zu", got);
  std::_Exit(still_none && got >= 1000 && got < 2048 ? 0 : 1);
}

TEST(StackDeathTest, TellsWhenThereIsNoMoreAddressSpace) {
  if (sanitized) GTEST_SKIP() << "sanitizers need address space without limit";
  EXPECT_EXIT(run_out_of_address_space(), ::testing::ExitedWithCode(0), "got");
}

TEST(StackDepot, HasOneClassForEachSize) {
  stack_depot depot(256 * KiB, true);
  EXPECT_EQ(&depot.class_of(256 * KiB), &depot.default_class());
  stack_class& small = depot.class_of(16 * KiB);
  EXPECT_EQ(small.size(), 16 * KiB);
  EXPECT_EQ(&depot.class_of(16 * KiB), &small);
  EXPECT_NE(&depot.class_of(32 * KiB), &small);
  stack* s = depot.take_of(16 * KiB);
  ASSERT_NE(s, nullptr);
  EXPECT_EQ(s->of, &small);
  EXPECT_EQ(depot.take_of(64 * KiB), nullptr);  // no such class
  small.put(&s, 1);
}

TEST(StackDepot, CountsOverAllClasses) {
  stack_depot depot(64 * KiB, true);
  EXPECT_EQ(depot.handed_out(), 0u);
  EXPECT_EQ(depot.reserved_bytes(), 0u);
  const auto here = taken(depot.default_class(), 5);
  const auto there = taken(depot.class_of(16 * KiB), 7);
  EXPECT_EQ(depot.handed_out(), 12u);
  EXPECT_EQ(depot.pooled(), 0u);
  EXPECT_GE(depot.reserved_bytes(), 5 * 64 * KiB + 7 * 16 * KiB);
  put_back(depot.default_class(), here);
  put_back(depot.class_of(16 * KiB), {there[0]});
  EXPECT_EQ(depot.handed_out(), 6u);
  EXPECT_EQ(depot.pooled(), 6u);
}

TEST(StackDepot, TrimsAllClasses) {
  stack_depot depot(64 * KiB, true);
  std::vector<stack*> all{taken(depot.default_class(), 1)[0],
                          taken(depot.class_of(16 * KiB), 1)[0]};
  for (stack* s : all) {
    fill(*s, 1);
    s->of->put(&s, 1);
  }
  EXPECT_TRUE(depot.trim(2));
  EXPECT_FALSE(depot.trim(2));
  for (const stack* s : all) {
    EXPECT_EQ(resident_pages(s->bottom, s->bottom + s->of->size()), 0u);
  }
}

TEST(StackDepot, GivesItsAddressSpaceBackAtTheEnd) {
  const std::byte* inside = nullptr;
  {
    stack_depot depot(64 * KiB, true);
    inside = taken(depot.default_class(), 1)[0]->bottom;
    EXPECT_TRUE(readable(inside));
  }
  EXPECT_FALSE(readable(inside));
}

}  // namespace
