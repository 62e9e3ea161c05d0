// SPDX-License-Identifier: BSL-1.0
// injector: its queue of batches.
#include <heddle/base/assert.hpp>
#include <heddle/sched/injector.hpp>

#include <algorithm>
#include <limits>
#include <mutex>

namespace heddle::detail {

void injector::push(fiber_record* first, fiber_record* last, std::uint32_t count) noexcept {
  HEDDLE_DCHECK(count <= std::numeric_limits<std::uint16_t>::max(), "a batch of %u fibers", count);
  last->next = nullptr;
  first->batch_size = static_cast<std::uint16_t>(count);
  const std::lock_guard hold(lock_);
  push_batch_locked(first);
}

void injector::push_batch_locked(fiber_record* batch) noexcept {
  batch->set_ahead(nullptr);
  if (last_ == nullptr) {
    first_ = batch;
  } else {
    last_->set_ahead(batch);
  }
  last_ = batch;
  size_.store(size() + batch->batch_size, std::memory_order_relaxed);
}

fiber_record* injector::pop_batch_locked() noexcept {
  fiber_record* batch = first_;
  first_ = batch->ahead();
  if (first_ == nullptr) last_ = nullptr;
  size_.store(size() - batch->batch_size, std::memory_order_relaxed);
  return batch;
}

fiber_record* injector::pop(std::uint32_t wanted, bool whole, std::uint32_t& got) noexcept {
  fiber_record* first;
  {
    const std::lock_guard hold(lock_);
    got = 0;
    if (first_ == nullptr) return nullptr;
    first = pop_batch_locked();
    got = first->batch_size;
    if (got == 1) {
      for (fiber_record* last = first; got < wanted && first_ != nullptr && first_->batch_size == 1;
           ++got) {
        last->next = pop_batch_locked();
        last = last->next;
      }
      return first;
    }
  }
  wanted = std::min(wanted, batch_share);
  if (whole || got <= wanted) return first;
  // The rest goes to the end: what came after it does not wait for all of it.
  fiber_record* last = first;
  for (std::uint32_t i = 1; i < wanted; ++i) last = last->next;
  fiber_record* const rest = last->next;
  rest->batch_size = static_cast<std::uint16_t>(got - wanted);
  got = wanted;
  const std::lock_guard hold(lock_);
  push_batch_locked(rest);
  return first;
}

}  // namespace heddle::detail
