// SPDX-License-Identifier: BSL-1.0
// process_memory_test: what is found in this process's memory.
#include <heddle/debug/process_memory.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace {

using heddle::detail::address_range;
using heddle::detail::mapped_range;
using heddle::detail::mapped_ranges;
using heddle::detail::memory_apart;
using heddle::detail::process_memory;

const std::function<bool()> always = [] { return true; };

bool lies_in(const void* at, const mapped_ranges& ranges) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  return std::any_of(ranges.begin(), ranges.end(),
                     [=](const mapped_range& r) { return r.from <= address && address < r.to; });
}

/// Pages of our own.
class pages {
 public:
  explicit pages(std::size_t count, int how = MAP_PRIVATE)
      : bytes_(count * size()),
        at_(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0)),
        is_private_(how == MAP_PRIVATE) {}
  ~pages() { ::munmap(at_, bytes_); }
  pages(const pages&) = delete;
  pages& operator=(const pages&) = delete;

  static std::size_t size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }
  std::uintptr_t* page(std::size_t i) const {
    return reinterpret_cast<std::uintptr_t*>(static_cast<std::byte*>(at_) + i * size());
  }
  address_range all() const { return address_range::of(at_, bytes_); }
  mapped_range as_mapped() const { return {all(), is_private_}; }

 private:
  std::size_t bytes_;
  void* at_;
  bool is_private_;
};

std::vector<std::uintptr_t> words_in(process_memory& memory, address_range range) {
  std::vector<std::uintptr_t> found;
  EXPECT_TRUE(memory.read(range, [&](std::uintptr_t word) {
    if (word != 0) found.push_back(word);
  }));
  return found;
}

std::vector<std::uintptr_t> words_touched_in(process_memory& memory, mapped_range range) {
  std::vector<std::uintptr_t> found;
  EXPECT_TRUE(memory.read_touched(range, [&](std::uintptr_t word) {
    if (word != 0) found.push_back(word);
  }));
  return found;
}

TEST(ProcessMemory, ListsWhatIsMapped) {
  memory_apart notes;
  const process_memory memory(notes, always);
  mapped_ranges all(&notes);
  ASSERT_TRUE(memory.list(all));
  static int in_the_program = 1;
  const auto on_the_heap = std::make_unique<int>(2);
  const int on_the_stack = 3;
  static const int constant = 4;
  EXPECT_TRUE(lies_in(&in_the_program, all));
  EXPECT_TRUE(lies_in(on_the_heap.get(), all));
  EXPECT_TRUE(lies_in(&on_the_stack, all));
  EXPECT_TRUE(lies_in(&constant, all));
  EXPECT_TRUE(memory.is_intact());
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
  for (const int how : {MAP_PRIVATE, MAP_SHARED}) {
    memory_apart notes;
    process_memory memory(notes, always);
    const pages most(10'000, how);
    *most.page(5'000) = 5;
    *most.page(5'002) = 6;
    *most.page(9'999) = 9;
    EXPECT_EQ(words_touched_in(memory, most.as_mapped()), (std::vector<std::uintptr_t>{5, 6, 9}));
    mapped_range part = most.as_mapped();
    part.from = reinterpret_cast<std::uintptr_t>(most.page(5'001));
    part.to = reinterpret_cast<std::uintptr_t>(most.page(5'002) + 1);
    EXPECT_EQ(words_touched_in(memory, part), (std::vector<std::uintptr_t>{6}));
    std::vector<unsigned char> is_there(10'000);
    ASSERT_EQ(::mincore(most.page(0), 10'000 * pages::size(), is_there.data()), 0);
    EXPECT_EQ(std::count(is_there.begin(), is_there.end(), 1), 3);
  }
}

TEST(ProcessMemory, ReadsWhatOnlyAnotherMappingHasTouched) {
  memory_apart notes;
  process_memory memory(notes, always);
  const int file = ::memfd_create("pages", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(file, static_cast<off_t>(pages::size())), 0);
  const auto map = [&](int allowed) {
    return static_cast<std::uintptr_t*>(
        ::mmap(nullptr, pages::size(), allowed, MAP_SHARED, file, 0));
  };
  std::uintptr_t* const writable = map(PROT_READ | PROT_WRITE);
  std::uintptr_t* const untouched = map(PROT_READ);
  ::close(file);
  *writable = 7;
  ::munmap(writable, pages::size());
  EXPECT_EQ(words_touched_in(memory, {address_range::of(untouched, pages::size()), false}),
            std::vector<std::uintptr_t>{7});
  ::munmap(untouched, pages::size());
}

TEST(ProcessMemory, ReadsWhatMayNotBeReadNow) {
  memory_apart notes;
  process_memory memory(notes, always);
  const pages two(2);
  *two.page(0) = 1;
  *two.page(1) = 2;
  ASSERT_EQ(::mprotect(two.page(1), pages::size(), PROT_NONE), 0);
  EXPECT_EQ(words_touched_in(memory, two.as_mapped()), (std::vector<std::uintptr_t>{1, 2}));
}

TEST(ProcessMemory, LeavesOutWhatIsAsInItsFile) {
  memory_apart notes;
  process_memory memory(notes, always);
  static const std::uintptr_t constant[2] = {0x1234'5678'9ABC, 0};
  asm volatile("" : : "r"(constant), "m"(constant));
  const auto page = reinterpret_cast<std::uintptr_t>(constant) / pages::size() * pages::size();
  const auto found = words_touched_in(memory, {{page, page + pages::size()}, true});
  EXPECT_EQ(std::count(found.begin(), found.end(), constant[0]), 0);
}

TEST(ProcessMemory, FailsWhereSomethingIsGone) {
  memory_apart notes;
  process_memory memory(notes, always);
  const pages three(3);
  *three.page(0) = 1;
  ASSERT_EQ(::munmap(three.page(1), pages::size()), 0);
  std::uintptr_t word = 0;
  EXPECT_TRUE(memory.copy(&word, three.page(0), sizeof word));
  EXPECT_EQ(word, 1u);
  EXPECT_FALSE(memory.copy(&word, three.page(1), sizeof word));
  EXPECT_FALSE(memory.read(three.all(), [](std::uintptr_t) {}));
}

TEST(ProcessMemory, ClosesNothingOfOthers) {
  int other = -1;
  {
    memory_apart notes;
    const process_memory memory(notes, always);
    // As one who closes all descriptors but the first three does; of two, one is enough.
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    other = next - 1;
    ASSERT_EQ(::dup2(next, other), other);
    ::close(next);
    EXPECT_FALSE(memory.is_intact());
  }
  EXPECT_EQ(::close(other), 0);
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
