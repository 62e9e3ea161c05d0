// SPDX-License-Identifier: BSL-1.0
// injector: its queue of batches.
#include <heddle/sched/injector.hpp>

#include <mutex>

namespace heddle::detail {

void injector::push(fiber_record* first, fiber_record* last, std::uint32_t count) noexcept {
  last->next = nullptr;
  first->batch_size = count;
  const std::lock_guard hold(lock_);
  push_batch_locked(first);
}

void injector::push_batch_locked(fiber_record* batch) noexcept {
  batch->next_batch = nullptr;
  (last_ == nullptr ? first_ : last_->next_batch) = batch;
  last_ = batch;
  size_.store(size() + batch->batch_size, std::memory_order_relaxed);
}

fiber_record* injector::pop_batch_locked() noexcept {
  fiber_record* batch = first_;
  first_ = batch->next_batch;
  if (first_ == nullptr) last_ = nullptr;
  size_.store(size() - batch->batch_size, std::memory_order_relaxed);
  return batch;
}

fiber_record* injector::pop(std::uint32_t wanted, bool whole, std::uint32_t& got) noexcept {
  const std::lock_guard hold(lock_);
  got = 0;
  if (first_ == nullptr) return nullptr;
  if (!whole && first_->batch_size > 1) {
    // The rest of it goes to the end: what came after it waits for one fiber, not for all of them.
    fiber_record* const one = pop_batch_locked();
    fiber_record* const rest = one->next;
    rest->batch_size = one->batch_size - 1;
    push_batch_locked(rest);
    got = 1;
    return one;
  }
  fiber_record* const first = pop_batch_locked();
  got = first->batch_size;
  if (got > 1) return first;
  for (fiber_record* last = first; got < wanted && first_ != nullptr && first_->batch_size == 1;
       ++got) {
    last->next = pop_batch_locked();
    last = last->next;
  }
  return first;
}

}  // namespace heddle::detail
