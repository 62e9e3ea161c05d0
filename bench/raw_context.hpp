// SPDX-License-Identifier: BSL-1.0
// raw_context: the floor under every switch: a bare jump of Boost.Context, with no scheduler.
// One thread makes and runs the contexts of one raw_stacks.
#pragma once

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cfenv>
#include <cstddef>
#include <new>

namespace bench {

namespace raw = boost::context::detail;

// Stacks of 1 KiB, as dense as they can lie and on large pages: no real fiber's can, and so none
// has fewer misses in cache and translation buffer. No guards.
class raw_stacks {
 public:
  static constexpr std::size_t size = 1024;

  explicit raw_stacks(std::size_t count) : bytes_(count * size) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(memory);
    ::madvise(base_, bytes_, MADV_HUGEPAGE);
  }
  ~raw_stacks() { ::munmap(base_, bytes_); }
  raw_stacks(const raw_stacks&) = delete;
  raw_stacks& operator=(const raw_stacks&) = delete;

  // A context that will run `entry` on stack i.
  raw::fcontext_t make(std::size_t i, void (*entry)(raw::transfer_t)) const {
    return raw::make_fcontext(base_ + (i + 1) * size, size, entry);
  }

 private:
  std::size_t bytes_;
  std::byte* base_;
};

// Leaves this thread's floating-point flags all clear; a context that is made then will have them
// so. Where two contexts differ in them, a jump takes 90 ns on Intel; and to compute a mean sets
// one.
inline void clear_float_flags() { std::feclearexcept(FE_ALL_EXCEPT); }

// Inexact arithmetic: sets a sticky flag that a switch may carry along at a cost.
inline void float_work() {
  volatile double third = 1.0;
  third = third / 3.0;
}

}  // namespace bench
