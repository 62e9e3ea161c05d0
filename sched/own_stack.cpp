// SPDX-License-Identifier: BSL-1.0
// own_stack: the list, and where stacks lie.
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/own_stack.hpp>

#include <pthread.h>

#include <mutex>

namespace heddle::detail {

namespace {
constinit spin_lock own_stacks_lock;
constinit intrusive_list<own_stack> own_stacks;  // guarded by own_stacks_lock
}  // namespace

own_stack::own_stack() noexcept : bottom_(extent_of_this_stack().bottom) {
  if (bottom_ == nullptr) bottom_ = reinterpret_cast<const std::byte*>(this);
  const std::lock_guard hold(own_stacks_lock);
  own_stacks.push_back(*this);
}

own_stack::~own_stack() {
  const std::lock_guard hold(own_stacks_lock);
  unlink();
}

void own_stack::for_each(const std::function<void(const void*, const void*)>& visit) {
  const std::lock_guard hold(own_stacks_lock);
  own_stacks.for_each([&](const own_stack& each) {
    if (!each.lent_.load(std::memory_order_relaxed)) visit(each.bottom_, &each);
  });
}

stack_extent extent_of_this_stack() noexcept {
  stack_extent found;
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return found;
  void* bottom = nullptr;
  std::size_t bytes = 0;
  if (::pthread_attr_getstack(&attributes, &bottom, &bytes) == 0) {
    found.bottom = static_cast<const std::byte*>(bottom);
    found.top = found.bottom + bytes;
    // One that may grow without a limit reaches down to what lies below, on paper.
    constexpr std::ptrdiff_t deepest = 64 << 20;
    const auto* here = static_cast<const std::byte*>(__builtin_frame_address(0));
    if (here - found.bottom > deepest) found.bottom = here - deepest;
  }
  ::pthread_attr_destroy(&attributes);
  return found;
}

}  // namespace heddle::detail
