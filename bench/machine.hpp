// SPDX-License-Identifier: BSL-1.0
// machine: what a benchmark asks of the operating system: which cores it may use, what it has
// cost so far in processor time, and what it holds in memory.
//   I1  a `pinned` restores the affinity mask that it found.
// Linux only. Any thread may call.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;

// The cores that this process might use when it started, in order. A pin does not shrink it.
const std::vector<int>& cores();

// Keeps the calling thread, and the threads that it starts, on cores() [first, first + count).
class pinned {
 public:
  explicit pinned(unsigned first, unsigned count = 1);
  ~pinned();
  pinned(const pinned&) = delete;
  pinned& operator=(const pinned&) = delete;

 private:
  std::vector<int> before_;
};

// User and system seconds of the whole process.
double cpu_seconds();

// Context switches that the kernel made for this process, by choice of a thread or not.
std::int64_t kernel_switches();

// What /proc/self says of this process's memory.
struct memory {
  std::int64_t resident_bytes = 0;    // VmRSS
  std::int64_t peak_bytes = 0;        // VmHWM
  std::int64_t page_table_bytes = 0;  // VmPTE
  std::int64_t mappings = 0;          // lines of /proc/self/maps
};
memory memory_now();

// Pages that MADV_GUARD_INSTALL guards; -1 where the kernel cannot tell (before Linux 6.15).
std::int64_t guard_pages();

// Runs f and says how many seconds it took.
template <class Fn>
double timed(Fn&& f) {
  const auto start = clock::now();
  f();
  return std::chrono::duration<double>(clock::now() - start).count();
}

}  // namespace bench
