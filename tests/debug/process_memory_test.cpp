// SPDX-License-Identifier: BSL-1.0
// process_memory_test: what is found in this process's memory.
#include <heddle/debug/process_memory.hpp>

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace {

using heddle::detail::address_range;
using heddle::detail::address_ranges;
using heddle::detail::memory_apart;
using heddle::detail::process_memory;

const std::function<bool()> always = [] { return true; };

bool lies_in(const void* at, const address_ranges& ranges) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  return std::any_of(ranges.begin(), ranges.end(),
                     [=](const address_range& r) { return r.from <= address && address < r.to; });
}

/// Pages of our own, all of them there.
class pages {
 public:
  explicit pages(std::size_t count)
      : bytes_(count * size()),
        at_(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~pages() { ::munmap(at_, bytes_); }
  pages(const pages&) = delete;
  pages& operator=(const pages&) = delete;

  static std::size_t size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }
  std::uintptr_t* page(std::size_t i) const {
    return reinterpret_cast<std::uintptr_t*>(static_cast<std::byte*>(at_) + i * size());
  }
  address_range all() const { return address_range::of(at_, bytes_); }

 private:
  std::size_t bytes_;
  void* at_;
};

std::vector<std::uintptr_t> words_in(process_memory& memory, address_range range) {
  std::vector<std::uintptr_t> found;
  EXPECT_TRUE(memory.read(range, [&](std::uintptr_t word) {
    if (word != 0) found.push_back(word);
  }));
  return found;
}

TEST(ProcessMemory, ListsWhatCanBeWrittenTo) {
  memory_apart notes;
  const process_memory memory(notes, always);
  address_ranges all(&notes);
  ASSERT_TRUE(memory.list_writable(all));
  static int in_the_program = 1;
  const auto on_the_heap = std::make_unique<int>(2);
  const int on_the_stack = 3;
  static const int constant = 4;
  EXPECT_TRUE(lies_in(&in_the_program, all));
  EXPECT_TRUE(lies_in(on_the_heap.get(), all));
  EXPECT_TRUE(lies_in(&on_the_stack, all));
  EXPECT_FALSE(lies_in(&constant, all));
}

TEST(ProcessMemory, ReadsWords) {
  memory_apart notes;
  process_memory memory(notes, always);
  const std::vector<std::uintptr_t> words = {7, 8, 9};
  EXPECT_EQ(words_in(memory, address_range::of(words.data(), words.data() + 3)), words);
  EXPECT_EQ(words_in(memory, address_range::of(words.data() + 1, words.data() + 2)),
            std::vector<std::uintptr_t>{8});
  EXPECT_TRUE(words_in(memory, address_range::of(words.data(), words.data())).empty());
}

TEST(ProcessMemory, ReadsFarMoreThanFitsInItsBuffer) {
  memory_apart notes;
  process_memory memory(notes, always);
  const pages some(1'000);
  for (std::size_t i = 0; i < 1'000; ++i) *some.page(i) = i + 1;
  const auto found = words_in(memory, some.all());
  ASSERT_EQ(found.size(), 1'000u);
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
}

TEST(ProcessMemory, LeavesUntouchedPagesAlone) {
  memory_apart notes;
  process_memory memory(notes, always);
  const pages most(10'000);
  *most.page(5'000) = 5;
  *most.page(9'999) = 9;
  EXPECT_EQ(words_in(memory, most.all()), (std::vector<std::uintptr_t>{5, 9}));
  std::vector<unsigned char> is_there(10'000);
  ASSERT_EQ(::mincore(most.page(0), 10'000 * pages::size(), is_there.data()), 0);
  EXPECT_LT(std::count(is_there.begin(), is_there.end(), 1), 1'000);
}

TEST(ProcessMemory, PassesByGuardsAndWhatIsGone) {
  memory_apart notes;
  process_memory memory(notes, always);
  const pages three(3);
  *three.page(0) = 1;
  *three.page(1) = 2;
  *three.page(2) = 3;
  ASSERT_EQ(::munmap(three.page(1), pages::size()), 0);
  EXPECT_EQ(words_in(memory, three.all()), (std::vector<std::uintptr_t>{1, 3}));
}

TEST(ProcessMemory, EndsWhenToldTo) {
  memory_apart notes;
  int asked = 0;
  const std::function<bool()> twice = [&asked] { return ++asked <= 2; };
  process_memory memory(notes, twice);
  const pages some(1'000);
  for (std::size_t i = 0; i < 1'000; ++i) *some.page(i) = i + 1;
  std::size_t words = 0;
  EXPECT_FALSE(memory.read(some.all(), [&](std::uintptr_t word) { words += word != 0; }));
  EXPECT_GT(words, 0u);
  EXPECT_LT(words, 1'000u);
  EXPECT_FALSE(memory.read(some.all(), [](std::uintptr_t) {})) << "it has ended";
}

TEST(ProcessMemory, NotesLieApart) {
  memory_apart notes;
  std::pmr::vector<std::uintptr_t> many(&notes);
  for (std::uintptr_t i = 0; i < 1'000'000; ++i) many.push_back(i);
  bool is_there = false;
  const auto last = reinterpret_cast<std::uintptr_t>(&many.back());
  notes.for_each(
      [&](address_range each) { is_there = is_there || (each.from <= last && last < each.to); });
  EXPECT_TRUE(is_there);
}

}  // namespace
