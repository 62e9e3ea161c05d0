// SPDX-License-Identifier: BSL-1.0
// stack_limit: what the tests of trap 19 share: parking many fibers, and what the kernel says of
// it.
#pragma once

#include "world.hpp"

#include <heddle/fiber/stack.hpp>
#include <heddle/sync/wait_group.hpp>

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <fstream>
#include <string>
#include <system_error>

namespace heddle_test {

inline std::size_t lines_of_maps() {
  std::ifstream in("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(in, line);) ++count;
  return count;
}

/// MADV_GUARD_INSTALL: Linux 6.13 and later.
inline bool kernel_has_light_guards() {
  const std::size_t page = heddle::detail::page_size();
  void* at = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool has = ::madvise(at, page, 102) == 0;
  ::munmap(at, page);
  return has;
}

/// Fibers that park on stacks of their own until they are let go.
class parked_fibers {
 public:
  explicit parked_fibers(heddle::runtime& rt) : rt_(rt) { gate_.add(1); }
  ~parked_fibers() { let_go(); }

  /// Starts one more. \throws as go()
  void add() {
    rt_.go([this] {
      running_.fetch_add(1, std::memory_order_relaxed);
      gate_.wait();
      ended_.fetch_add(1, std::memory_order_relaxed);
    });
    ++started_;
  }
  /// Lets all end, and waits for that.
  void let_go() {
    if (open_) return;
    open_ = true;
    gate_.done();
    EXPECT_TRUE(eventually([&] { return ended_.load() == started_; }, 30s))
        << ended_.load() << " of " << started_ << " have ended";
  }
  std::size_t started() const { return started_; }
  std::size_t running() const { return running_.load(std::memory_order_relaxed); }

 private:
  heddle::runtime& rt_;
  heddle::wait_group gate_;
  std::atomic<std::size_t> running_{0};
  std::atomic<std::size_t> ended_{0};
  std::size_t started_ = 0;
  bool open_ = false;
};

}  // namespace heddle_test
