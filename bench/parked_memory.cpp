// SPDX-License-Identifier: BSL-1.0
// What memory does a waiting task hold? Row 10, and the plot of memory and mappings against number
// of fibers. `n` tasks wait for one event; once all wait, /proc/self is read. Bytes each are
// resident pages and page tables, less what the process held before the first task. The floor is
// one touched page each, and its share of the page tables, at the distance at which stacks lie.
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <new>
#include <vector>

#include "heddle_world.hpp"
#include "in_child.hpp"
#include "machine.hpp"
#include "thread_world.hpp"

namespace bench {
namespace {

figures compare(const memory& before, const memory& after, std::int64_t n) {
  const auto each = [n](std::int64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(n);
  };
  const std::int64_t resident = after.resident_bytes - before.resident_bytes;
  const std::int64_t tables = after.page_table_bytes - before.page_table_bytes;
  return {{"bytes_each", each(resident + tables)},
          {"resident_each", each(resident)},
          {"page_tables_each", each(tables)},
          {"mappings", static_cast<double>(after.mappings)},
          {"resident_mib", static_cast<double>(after.resident_bytes) / (1 << 20)},
          {"page_tables_mib", static_cast<double>(after.page_table_bytes) / (1 << 20)}};
}

template <class World>
figures parked(const std::vector<std::int64_t>& arguments) {
  World world(static_cast<unsigned>(arguments[0]));
  const std::int64_t n = arguments[1];
  return world.run([n] {
    figures result;
    const double seconds = timed([&] {
      const memory before = memory_now();
      typename World::wait_group event, ended;
      event.add();
      std::atomic<std::int64_t> arrived{0};  // the tasks count, the first reads
      for (std::int64_t i = 0; i < n; ++i)
        ended.go([&] {
          arrived.fetch_add(1, std::memory_order_relaxed);
          event.wait();
        });
      // The last to arrive may not have parked yet: one in n.
      while (arrived.load(std::memory_order_relaxed) != n) World::yield();
      result = compare(before, memory_now(), n);
      result["guard_pages"] = static_cast<double>(guard_pages());
      event.done();
      ended.wait();
    });
    result["seconds"] = seconds;
    return result;
  });
}

figures one_page(const std::vector<std::int64_t>& arguments) {
  const auto n = static_cast<std::size_t>(arguments[0]);
  constexpr std::size_t slot = 256 * 1024;
  figures result;
  const double seconds = timed([&] {
    const memory before = memory_now();
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* stacks = ::mmap(nullptr, n * slot, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (stacks == MAP_FAILED) throw std::bad_alloc();
    ::madvise(stacks, n * slot, MADV_NOHUGEPAGE);
    volatile char* bytes = static_cast<char*>(stacks);
    for (std::size_t i = 0; i < n; ++i) bytes[i * slot + slot - 1] = 1;
    result = compare(before, memory_now(), arguments[0]);
  });
  result["seconds"] = seconds;
  return result;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  using namespace bench;
  const std::vector<std::string> names{"w", "n"};
  std::vector<std::vector<std::int64_t>> fibers, threads, pages;
  for (std::int64_t n = 100; n <= 1'000'000; n *= 10) {
    pages.push_back({n});
    for (const std::int64_t workers : {1, 2}) {
      fibers.push_back({workers, n});
      if (n <= 10'000) threads.push_back({workers, n});
    }
  }
  register_in_child("parked_memory/one_page", {"n"}, pages, one_page);
  register_in_child("parked_memory/heddle", names, fibers, parked<heddle_world>);
  register_in_child("parked_memory/thread", names, threads, parked<thread_world>);
  return child_main(argc, argv);
}
